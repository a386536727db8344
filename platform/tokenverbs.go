package platform

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// TokenView is a token as people see it.
type TokenView struct {
	Name      string     `json:"name"`
	User      string     `json:"user"`
	Scopes    []Scope    `json:"scopes"`
	Apps      []AppName  `json:"apps"` // empty: all that the user has
	ReadOnly  bool       `json:"read_only"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	Expired   bool       `json:"expired"`
	CreatedAt time.Time  `json:"created_at"`
	UsedAt    *time.Time `json:"last_used_at,omitempty"`
	UsedBy    string     `json:"last_used_from,omitempty"`
}

func (t Token) view(now time.Time) TokenView {
	v := TokenView{
		Name: t.Name, User: t.User, Scopes: t.Scopes, Apps: append([]AppName{}, t.Apps...), CreatedAt: t.CreatedAt, UsedBy: t.UsedBy,
		ReadOnly: !slices.ContainsFunc(t.Scopes, Scope.changes), Expired: t.expired(now),
	}
	if !t.ExpiresAt.IsZero() {
		v.ExpiresAt = &t.ExpiresAt
	}
	if !t.UsedAt.IsZero() {
		v.UsedAt = &t.UsedAt
	}
	return v
}

// changes tells whether a scope lets its holder change anything.
func (s Scope) changes() bool {
	return !slices.Contains([]Scope{ScopeAppsRead, ScopeLogsRead, ScopeConfigRead, ScopeConfigReveal, ScopeServerRead}, s)
}

// TokenList is tokens:list.
type TokenList []TokenView

// Text implements the verbs' output.
func (l TokenList) Text(w io.Writer) error {
	var rows [][]string
	for _, t := range l {
		apps, until, used := "all", "never", "never"
		if len(t.Apps) > 0 {
			apps = appNames(t.Apps)
		}
		if t.ExpiresAt != nil {
			until = t.ExpiresAt.Format(time.RFC3339)
		}
		if t.Expired {
			until += " (over)"
		}
		if t.UsedAt != nil {
			used = strings.TrimSpace(t.UsedAt.Format(time.RFC3339) + " " + t.UsedBy)
		}
		rows = append(rows, []string{t.Name, t.User, apps, joinScopes(t.Scopes), until, used})
	}
	return table(w, []string{"NAME", "USER", "APPS", "SCOPES", "EXPIRES", "LAST USED"}, rows)
}

// ListTokens shows an admin who may come in by token, and others their own.
func (p *Platform) ListTokens(ctx context.Context, call Call, _ struct{}) (TokenList, error) {
	tokens, err := p.Store.Tokens(ctx)
	list := TokenList{}
	for _, t := range tokens {
		if call.Actor.Admin || t.User == call.Actor.Name {
			list = append(list, t.view(p.Now()))
		}
	}
	return list, err
}

// CreateTokenInput is tokens:create.
type CreateTokenInput struct {
	Name     string   `arg:"name"`
	Scopes   []string `flag:"scope" value:"SCOPE,…" help:"what it may do, at most what you may: apps:read unless said otherwise"`
	Apps     []string `flag:"app" short:"a" value:"APP" help:"only with this app, or these; without it, with all that you have"`
	ReadOnly bool     `flag:"read-only" help:"short for --scope apps:read"`
	Expires  string   `flag:"expires" value:"TIME" default:"90d" help:"when it ends by itself: 12h, 90d, or never"`
}

// Bounds of tokens.
const (
	mostTokens    = 100 // of one user
	mostTokenApps = 100 // of one token
	neverExpires  = "never"
)

// NewToken is a token with its secret, which is shown this once.
type NewToken struct {
	TokenView
	Secret string `json:"token"`
}

// Text implements the verbs' output: the secret alone, so that it can be piped on.
func (t NewToken) Text(w io.Writer) error {
	_, err := fmt.Fprintln(w, t.Secret)
	return err
}

// CreateToken makes an API token for the caller. No token makes another.
func (p *Platform) CreateToken(ctx context.Context, call Call, in CreateTokenInput) (NewToken, error) {
	t, err := p.tokenWanted(ctx, call, in)
	if err != nil {
		return NewToken{}, err
	}
	secret := newTokenSecret()
	t.Hash = hashToken(secret)
	if err := p.Store.AddToken(ctx, t, mostTokens); err != nil {
		return NewToken{}, withHint(err, "see them: ssh paas tokens:list")
	}
	_, _ = fmt.Fprintln(call.Err, "This is the only time that the token is shown:")
	return NewToken{t.view(p.Now()), secret}, nil
}

func (p *Platform) tokenWanted(ctx context.Context, call Call, in CreateTokenInput) (Token, error) {
	if call.Actor.Token != nil {
		return Token{}, Errorf(Denied, "a token cannot make tokens").WithHint("come in with your key: ssh paas tokens:create %s", in.Name)
	}
	if !keyName.MatchString(in.Name) {
		return Token{}, Errorf(Usage, "%q is not a name for a token: %s", in.Name, nameHint)
	}
	t := Token{Name: in.Name, User: call.Actor.Name, MadeWith: call.Actor.Fingerprint, CreatedAt: p.Now().UTC()}
	if err := p.limitToken(ctx, call, &t, in.Apps); err != nil {
		return t, err
	}
	var err error
	if t.Scopes, err = scopesWanted(call.Actor, in); err != nil {
		return t, err
	}
	if in.Expires == neverExpires {
		return t, nil
	}
	d, err := parseTerm(in.Expires)
	t.ExpiresAt = t.CreatedAt.Add(d).Truncate(time.Millisecond)
	return t, err
}

func (p *Platform) limitToken(ctx context.Context, call Call, t *Token, names []string) error {
	if len(names) > mostTokenApps {
		return Errorf(Usage, "a token is for at most %d apps, or for all", mostTokenApps)
	}
	for _, list := range names {
		for name := range strings.SplitSeq(list, ",") {
			if err := p.Permit(ctx, call.Actor, name, ViewRole, "a token"); err != nil {
				return err
			}
			t.Apps, t.Limited = append(t.Apps, AppName(name)), true
		}
	}
	return nil
}

func scopesWanted(actor Actor, in CreateTokenInput) ([]Scope, error) {
	scopes, err := parseScopes(in.Scopes)
	switch {
	case err != nil:
		return nil, err
	case in.ReadOnly && len(scopes) > 0:
		return nil, Errorf(Usage, "--read-only is short for --scope apps:read: write one of them")
	case len(scopes) == 0:
		return []Scope{ScopeAppsRead}, nil
	}
	for _, s := range scopes {
		if strings.HasPrefix(string(s), "server:") && !actor.Admin {
			return nil, Errorf(Denied, "the scope %s is for admins, and %s is not one", s, actor.said())
		}
	}
	return scopes, nil
}

// RevokeTokenInput is tokens:revoke.
type RevokeTokenInput struct {
	Name string `arg:"name"`
	User string `flag:"user" value:"USER" help:"whose it is; your own without it (admins only)"`
}

// RevokeToken ends a token, and what was begun with it, at once.
func (p *Platform) RevokeToken(ctx context.Context, call Call, in RevokeTokenInput) (Done, error) {
	owner := cmp.Or(in.User, call.Actor.Name)
	if owner != call.Actor.Name && !call.Actor.Admin {
		return Done{}, Errorf(Denied, "tokens of others are for admins, and %s is not one", call.Actor.said())
	}
	tokens, err := p.Store.Tokens(ctx)
	if err != nil {
		return Done{}, err
	}
	i := slices.IndexFunc(tokens, func(t Token) bool { return t.Name == in.Name && t.User == owner })
	if i < 0 && in.User == "" && call.Actor.Admin { // an admin need not say whose it is when there is but one
		if all := indexesOf(tokens, in.Name); len(all) == 1 {
			i = all[0]
		}
	}
	if i < 0 {
		return Done{}, Errorf(NotFound, "%s has no token named %q", owner, in.Name).WithHint("see them: ssh paas tokens:list")
	}
	if err := p.Store.RemoveToken(ctx, tokens[i].ID); err != nil {
		return Done{}, err
	}
	p.recheck(ctx, call.Actor)
	return donef("Revoked the token %s.", in.Name), nil
}

func indexesOf(tokens []Token, name string) (list []int) {
	for i, t := range tokens {
		if t.Name == name {
			list = append(list, i)
		}
	}
	return list
}
