package platform

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"hash/crc32"
	"strconv"
	"strings"
	"time"
)

// Token lets a program in, with less than its user may do.
type Token struct {
	ID        int64
	User      string // whose rights it has at most; Root for those made on the server itself
	OfAdmin   bool   // the user is an admin
	Name      string // unique among its user's
	Hash      string // hex SHA-256 of the secret; the secret itself is kept nowhere
	MadeWith  string // the fingerprint of the key whose session made it: it goes with that key
	Scopes    []Scope
	Limited   bool      // only for Apps
	Apps      []AppName // it goes with the last of them
	ExpiresAt time.Time // zero for never
	CreatedAt time.Time
	UsedAt    time.Time // zero: never
	UsedBy    string    // the address it was last used from
}

// Tokens is the part of the Store that keeps API tokens.
type Tokens interface {
	// AddToken is of kind Conflict when the user has most tokens already, or one of that name.
	AddToken(ctx context.Context, t Token, most int) error
	Tokens(ctx context.Context) ([]Token, error) // by name
	RemoveToken(ctx context.Context, id int64) error
	TokenByHash(ctx context.Context, hash string) (Token, error)
	TokenUsed(ctx context.Context, id int64, at time.Time, by string) error
}

// A token's secret is "paas_", 32 random characters and 6 of a checksum over what stands before them, all
// in base 62: scanners of leaked secrets can tell one without asking.
const (
	tokenPrefix  = "paas_"
	tokenRandom  = 32 // characters: 190 bits
	tokenSum     = 6  // enough for 32 bits
	tokenSymbols = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

func newTokenSecret() string {
	var b strings.Builder
	b.WriteString(tokenPrefix)
	for b.Len() < len(tokenPrefix)+tokenRandom {
		var c [1]byte
		_, _ = rand.Read(c[:]) // never fails (crypto/rand)
		if i := int(c[0] & 63); i < len(tokenSymbols) {
			b.WriteByte(tokenSymbols[i])
		}
	}
	return b.String() + tokenChecksum(b.String())
}

// tokenChecksum is CRC-32 (IEEE) in base 62, highest digit first.
func tokenChecksum(s string) string {
	n := crc32.ChecksumIEEE([]byte(s))
	var digits [tokenSum]byte
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = tokenSymbols[n%uint32(len(tokenSymbols))]
		n /= uint32(len(tokenSymbols))
	}
	return string(digits[:])
}

// isTokenSecret tells a mistyped secret without looking it up.
func isTokenSecret(s string) bool {
	const end = len(tokenPrefix) + tokenRandom
	return len(s) == end+tokenSum && strings.HasPrefix(s, tokenPrefix) && tokenChecksum(s[:end]) == s[end:]
}

func hashToken(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// usedStep is how exactly it is known when a token was last used: noting it is a write.
const usedStep = time.Minute

// Bearer is who shows a token's secret, at a door and from an address. A wrong, revoked or expired one is of kind
// Unauthorized.
func (p *Platform) Bearer(ctx context.Context, secret string, door Door, remote string) (Actor, error) {
	wrong := Errorf(Unauthorized, "that API token is not valid (any more)").WithHint("make one: ssh paas tokens:create NAME")
	if !isTokenSecret(secret) {
		return Actor{}, wrong
	}
	t, err := p.Store.TokenByHash(ctx, hashToken(secret))
	now := p.Now()
	if KindOf(err) == NotFound || err == nil && t.expired(now) {
		return Actor{}, wrong
	}
	if err != nil {
		return Actor{}, err
	}
	if now.Sub(t.UsedAt) >= usedStep || t.UsedBy != remote && now.Sub(t.UsedAt) >= time.Second {
		err = p.Store.TokenUsed(ctx, t.ID, now, remote)
	}
	actor := p.actorOf(t)
	actor.Door, actor.Remote, actor.Request = door, remote, NewRequest()
	return actor, err
}

// actorOf is who comes in with a token.
func (*Platform) actorOf(t Token) Actor {
	g := &Grant{Name: t.Name, Scopes: t.Scopes, Apps: t.Apps, OfAdmin: t.OfAdmin, Until: t.ExpiresAt, Hash: t.Hash}
	return Actor{
		Name: t.User, Token: g, Admin: t.OfAdmin && len(t.Apps) == 0 && g.Holds(ScopeServerManage),
		Creates: t.OfAdmin && len(t.Apps) == 0 && g.Holds(ScopeAppsManage),
	}
}

func (t Token) expired(now time.Time) bool { return !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt) }

// OpenRepository is nil when the actor may read, or also write, the repository. Repositories of apps that are not
// there, or that the actor may not know of, are NotFound. Those of no app everybody reads, and admins write.
func (p *Platform) OpenRepository(ctx context.Context, actor Actor, repo Repository, write bool) error {
	need, scope, what := ViewRole, ScopeAppsRead, "pulling an image"
	if write {
		need, scope, what = DeployRole, ScopeAppsDeploy, "pushing an image"
	}
	if repo.App() == "" {
		return p.openLibrary(actor, repo, write, scope)
	}
	if role, err := p.Role(ctx, actor, repo.App()); err != nil || role == NoRole {
		return errorOr(err, Errorf(NotFound, "there is no app %q for the repository %s; without an app it goes below library/", repo.App(), repo))
	}
	if err := p.Permit(ctx, actor, string(repo.App()), need, what); err != nil {
		return err
	}
	if !actor.Token.Holds(scope) {
		return lacksScope(actor, what, scope)
	}
	return nil
}

func (p *Platform) openLibrary(actor Actor, repo Repository, write bool, scope Scope) error {
	switch {
	case actor.Token != nil && len(actor.Token.Apps) > 0:
		return Errorf(Denied, "the token %s is for the repositories of its apps, not for %s", actor.Token.Name, repo)
	case write && !actor.isAdmin():
		return Errorf(Denied, "repositories below library/ are for admins to write")
	case !actor.Token.Holds(scope):
		return lacksScope(actor, "that", scope)
	}
	return nil
}

func lacksScope(actor Actor, what string, scope Scope) error {
	return Errorf(Denied, "%s needs the scope %s, and the token %s has %s", what, scope, actor.Token.Name, joinScopes(actor.Token.Scopes)).
		WithHint("make another: ssh paas tokens:create NAME --scope %s", scope)
}

// HoldsScope is nil when the actor came without a token, or with one of that scope.
func HoldsScope(actor Actor, what string, scope Scope) error {
	if actor.Token.Holds(scope) {
		return nil
	}
	return lacksScope(actor, what, scope)
}

// maxTerm is ten years: longer is never.
const maxTerm = 10 * 365 * 24 * time.Hour

// parseTerm reads hours or days.
func parseTerm(s string) (time.Duration, error) {
	wrong := Errorf(Usage, "%q is not a time: write hours or days, like 12h or 90d", s)
	unit := time.Hour
	number, ok := strings.CutSuffix(s, "h")
	if !ok {
		if number, ok = strings.CutSuffix(s, "d"); !ok {
			return 0, wrong
		}
		unit = 24 * time.Hour
	}
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > int(maxTerm/unit) {
		return 0, wrong
	}
	return time.Duration(n) * unit, nil
}
