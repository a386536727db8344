package platform

import (
	"slices"
	"strings"
	"time"
)

// Scope is what a token lets its holder do, at most: the rights of a token are those that its user has as well.
type Scope string

// The scopes. Those of apps include each other as roles do, and apps:read is in all of them; server:manage includes
// server:read, and config:write no config:reveal.
const (
	ScopeAppsRead     Scope = "apps:read"
	ScopeAppsDeploy   Scope = "apps:deploy"
	ScopeAppsOperate  Scope = "apps:operate"
	ScopeAppsManage   Scope = "apps:manage"
	ScopeLogsRead     Scope = "logs:read"
	ScopeConfigRead   Scope = "config:read"
	ScopeConfigReveal Scope = "config:reveal"
	ScopeConfigWrite  Scope = "config:write"
	ScopeServerRead   Scope = "server:read"
	ScopeServerManage Scope = "server:manage"
)

// Scopes are all there are, in the order of their power.
func Scopes() []Scope {
	return []Scope{
		ScopeAppsRead, ScopeAppsDeploy, ScopeAppsOperate, ScopeAppsManage, ScopeLogsRead, ScopeConfigRead, ScopeConfigReveal,
		ScopeConfigWrite, ScopeServerRead, ScopeServerManage,
	}
}

// includes are what a scope contains beside itself.
func (s Scope) includes() []Scope {
	switch s {
	case ScopeAppsDeploy:
		return []Scope{ScopeAppsRead}
	case ScopeAppsOperate:
		return []Scope{ScopeAppsRead, ScopeAppsDeploy}
	case ScopeAppsManage:
		return []Scope{ScopeAppsRead, ScopeAppsDeploy, ScopeAppsOperate}
	case ScopeConfigReveal:
		return []Scope{ScopeConfigRead}
	case ScopeServerManage:
		return []Scope{ScopeServerRead}
	}
	return nil
}

// Grant is what a token lets its holder do.
type Grant struct {
	Name    string
	Scopes  []Scope
	Apps    []AppName // only these; empty for all that its user has
	OfAdmin bool      // its user is an admin
	Until   time.Time // when it ends; zero: never
	Hash    string    // of its secret, see Token
}

// covers tells whether the token is for an app, apart from what it may do there. No token is for all.
func (g *Grant) covers(app AppName) bool {
	return g == nil || len(g.Apps) == 0 || slices.Contains(g.Apps, app)
}

// Holds tells whether a scope is among the token's or in one of them. No token holds all.
func (g *Grant) Holds(want Scope) bool {
	if g == nil {
		return true
	}
	return slices.ContainsFunc(g.Scopes, func(s Scope) bool { return s == want || slices.Contains(s.includes(), want) })
}

// parseScopes reads a list with commas or blanks.
func parseScopes(words []string) (scopes []Scope, err error) {
	for _, word := range strings.FieldsFunc(strings.Join(words, ","), func(r rune) bool { return r == ',' || r == ' ' }) {
		s := Scope(strings.ToLower(word))
		if !slices.Contains(Scopes(), s) {
			return nil, unknownScope(word)
		}
		if !slices.Contains(scopes, s) {
			scopes = append(scopes, s)
		}
	}
	return scopes, nil
}

func unknownScope(word string) error {
	e := Errorf(Usage, "there is no scope %q", word)
	for _, s := range Scopes() {
		if Near(word, string(s)) {
			return e.WithHint("did you mean %s?", s)
		}
	}
	return e.WithHint("the scopes are %s", joinScopes(Scopes()))
}

func joinScopes(scopes []Scope) string {
	words := make([]string, len(scopes))
	for i, s := range scopes {
		words[i] = string(s)
	}
	return strings.Join(words, " ")
}
