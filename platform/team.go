package platform

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// team names the people who decide what an app's builds leave behind: all who may deploy it, but for admins, who may
// do everything. Apps of equal teams take each other's layers of equal steps. Others do not: who makes a layer first
// decides what all get that have its key, and who waits for one can tell by the time whether somebody had it. "" is
// the admins' own.
func (p *Platform) team(ctx context.Context, app AppName) (string, error) {
	members, err := p.Store.Members(ctx)
	if err != nil {
		return "", fmt.Errorf("find the team of %s: %w", app, err)
	}
	var names []string // in order, as Members has them
	for _, m := range members {
		if m.App == app && m.Role >= DeployRole {
			names = append(names, m.User)
		}
	}
	return p.nameTeam(ctx, names)
}

const teamDigits = 16 // of a SHA-256

func (p *Platform) nameTeam(ctx context.Context, names []string) (string, error) {
	if len(names) == 0 {
		return "", nil
	}
	users, err := p.Store.Users(ctx)
	if err != nil {
		return "", fmt.Errorf("find the admins: %w", err)
	}
	admin := map[string]bool{}
	for _, u := range users {
		admin[u.Name] = u.Admin
	}
	var team []string
	for _, name := range names {
		if !admin[name] {
			team = append(team, name)
		}
	}
	if len(team) == 0 {
		return "", nil
	}
	sum := sha256.Sum256([]byte(strings.Join(team, "\n"))) // names have no line ends
	return hex.EncodeToString(sum[:])[:teamDigits], nil
}
