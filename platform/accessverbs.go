package platform

import (
	"cmp"
	"context"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// MemberList is who may do what with apps.
type MemberList []Member

// Text implements the verbs' output.
func (l MemberList) Text(w io.Writer) error {
	var rows [][]string
	for _, m := range l {
		rows = append(rows, []string{string(m.App), m.User, m.Role.String(), m.GivenBy, m.GivenAt.Format(time.RFC3339)})
	}
	return table(w, []string{"APP", "USER", "ROLE", "GIVEN BY", "AT"}, rows)
}

// AccessInput is access:list.
type AccessInput struct {
	App string `arg:"app" optional:"true" help:"all apps that you see unless one is named"`
}

// ListAccess shows who may do what with an app, or with all.
func (p *Platform) ListAccess(ctx context.Context, call Call, in AccessInput) (MemberList, error) {
	if in.App != "" {
		if _, err := p.find(ctx, in.App); err != nil {
			return nil, err
		}
	}
	sees, err := p.Sees(ctx, call.Actor)
	if err != nil {
		return nil, err
	}
	members, err := p.Store.Members(ctx)
	list := MemberList{}
	for _, m := range members {
		if sees(m.App) && (in.App == "" || in.App == string(m.App)) {
			list = append(list, m)
		}
	}
	return list, err
}

// AddAccessInput is access:add.
type AddAccessInput struct {
	App  string `arg:"app"`
	User string `arg:"user"`
	Role string `arg:"role" help:"view, deploy, operate or manage; each includes those before"`
}

// AddAccess gives a user a role on an app, in place of the one that they have.
func (p *Platform) AddAccess(ctx context.Context, call Call, in AddAccessInput) (MemberList, error) {
	role, err := ParseRole(in.Role)
	if err != nil {
		return nil, err
	}
	if err := p.changeAccess(ctx, call, in.App, in.User, role); err != nil {
		return nil, err
	}
	return p.ListAccess(ctx, call, AccessInput{in.App})
}

// RemoveAccessInput is access:remove.
type RemoveAccessInput struct {
	App  string `arg:"app"`
	User string `arg:"user"`
}

// RemoveAccess takes a user's role away. What they have open on the app ends.
func (p *Platform) RemoveAccess(ctx context.Context, call Call, in RemoveAccessInput) (Done, error) {
	if err := p.changeAccess(ctx, call, in.App, in.User, NoRole); err != nil {
		return Done{}, err
	}
	return donef("%s has no role on %s any more.", in.User, in.App), nil
}

func (p *Platform) changeAccess(ctx context.Context, call Call, name, user string, role Role) error {
	app, err := p.find(ctx, name)
	if err != nil {
		return err
	}
	_, had, err := p.Store.RoleOf(ctx, user, app.Name)
	if err != nil {
		return err
	}
	if err := p.mayGive(ctx, call, app.Name, max(role, had)); err != nil {
		return err
	}
	if err := p.Store.SetRole(ctx, Member{App: app.Name, User: user, Role: role, GivenBy: call.Actor.Name}); err != nil {
		return withHint(err, "see who may do what: ssh paas access:list %s", app.Name)
	}
	p.recheck(ctx, call.Actor)
	return nil
}

// mayGive keeps people from giving, and from taking away, more than they have themselves.
func (p *Platform) mayGive(ctx context.Context, call Call, app AppName, role Role) error {
	own, err := p.Role(ctx, call.Actor, app)
	if err != nil || own >= role {
		return err
	}
	return Errorf(Denied, "you have the role %s on %s, and only one who has %s may give or take that", own, app, role)
}

// WhoIs is whoami.
type WhoIs struct {
	User        string           `json:"user"`
	Admin       bool             `json:"admin"`
	Creates     bool             `json:"creates_apps"`
	Fingerprint string           `json:"fingerprint,omitempty"`
	Token       string           `json:"token,omitempty"`
	Scopes      []Scope          `json:"scopes,omitempty"`
	Door        Door             `json:"door"`
	Remote      string           `json:"remote,omitempty"`
	Roles       map[AppName]Role `json:"roles"`
}

// WhoAmI shows who the caller is here, and what they may do.
func (p *Platform) WhoAmI(ctx context.Context, call Call, _ struct{}) (WhoIs, error) {
	a := call.Actor
	who := WhoIs{
		User: a.Name, Admin: a.Admin, Creates: a.Creates || a.Admin, Fingerprint: a.Fingerprint, Door: a.Door, Remote: a.Remote,
		Roles: map[AppName]Role{},
	}
	if a.Token != nil {
		who.Token, who.Scopes = a.Token.Name, a.Token.Scopes
	}
	roles, err := p.Store.RolesOfUser(ctx, a.Name)
	for app, role := range roles {
		if a.Token.covers(app) {
			who.Roles[app] = role
		}
	}
	return who, err
}

// Text implements the verbs' output.
func (v WhoIs) Text(w io.Writer) error {
	rows := [][]string{{"user", v.User}, {"may", PersonView{Admin: v.Admin, Creates: v.Creates}.may()}}
	for _, row := range [][]string{{"key", v.Fingerprint}, {"token", v.Token}, {"scopes", joinScopes(v.Scopes)}, {"came by", strings.TrimSpace(string(v.Door) + " " + v.Remote)}} {
		if row[1] != "" {
			rows = append(rows, row)
		}
	}
	for _, app := range slices.Sorted(maps.Keys(v.Roles)) {
		rows = append(rows, []string{"role on " + string(app), v.Roles[app].String()})
	}
	if len(v.Roles) == 0 && !v.Admin {
		rows = append(rows, []string{"roles", cmp.Or("", "none yet: ask an admin for one")})
	}
	return table(w, nil, rows)
}
