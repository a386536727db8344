package platform

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
)

// Role is what a user may do with an app. Each includes those before.
type Role int

// The roles. NoRole is who does not even learn that the app exists.
const (
	NoRole      Role = iota
	ViewRole         // sees its state and log, not its secrets
	DeployRole       // changes which code runs
	OperateRole      // changes how it runs, and sees its config vars
	ManageRole       // changes what it is, who reaches it, and who may do what
	OwnerRole        // made it: nobody but an admin takes that away
)

var roleNames = [...]string{"none", "view", "deploy", "operate", "manage", "owner"}

// String is how people spell it.
func (r Role) String() string { return roleNames[r] }

// MarshalJSON writes it as people spell it.
func (r Role) MarshalJSON() ([]byte, error) { return json.Marshal(r.String()) }

// ParseRole reads a role that can be given.
func ParseRole(s string) (Role, error) {
	i := slices.Index(roleNames[:], strings.ToLower(s))
	if i < int(ViewRole) {
		e := Errorf(Usage, "%q is not a role", s)
		for _, name := range roleNames[1:] {
			if Near(s, name) {
				return NoRole, e.WithHint("did you mean %s?", name)
			}
		}
		return NoRole, e.WithHint("the roles are %s; each includes those before", strings.Join(roleNames[1:], ", "))
	}
	return Role(i), nil
}

// Role is what an actor may do with an app, as far as apps go: a token's scopes are asked for by Scope. An app that
// is not there gives no role, after the same look-up.
func (p *Platform) Role(ctx context.Context, actor Actor, name AppName) (Role, error) {
	there, role, err := p.Store.RoleOf(ctx, actor.Name, name)
	if err != nil || !there {
		return NoRole, err
	}
	if actor.isAdmin() {
		role = OwnerRole
	}
	if !actor.Token.covers(name) {
		role = NoRole
	}
	return role, nil
}

// Sees gives a filter for lists: which apps the actor may know of.
func (p *Platform) Sees(ctx context.Context, actor Actor) (func(AppName) bool, error) {
	if actor.isAdmin() {
		return actor.Token.covers, nil
	}
	roles, err := p.Store.RolesOfUser(ctx, actor.Name)
	if err != nil {
		return nil, err
	}
	return func(name AppName) bool { return roles[name] > NoRole && actor.Token.covers(name) }, nil
}

// seen are those of the apps that the actor may know of.
func (p *Platform) seen(ctx context.Context, actor Actor, apps []App) ([]App, error) {
	sees, err := p.Sees(ctx, actor)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(apps, func(a App) bool { return !sees(a.Name) }), nil
}

// Missing is the answer to somebody who named an app that is not there, or that they may not know of: nothing in it
// tells which. Names that it suggests are of apps that they see.
func (p *Platform) Missing(ctx context.Context, actor Actor, name string) error {
	apps, err := p.Store.Apps(ctx)
	if err != nil {
		return err
	}
	if apps, err = p.seen(ctx, actor, apps); err != nil {
		return err
	}
	return missing(name, apps)
}

func missing(name string, known []App) error {
	if strings.ContainsAny(name, "= /") {
		return Errorf(Usage, "%q is not an app; name the app first, or with -a APP", name)
	}
	_, err := ParseAppName(name)
	kind := NotFound
	if err != nil { // no app can be called so
		kind = Usage
	}
	const look = "see what is there: ssh paas apps:list"
	for _, a := range known {
		if Near(name, string(a.Name)) {
			return Errorf(kind, "there is no app %q; did you mean %q?", name, a.Name).WithHint(look)
		}
	}
	if err != nil {
		return Errorf(Usage, "%s", sentence(err)).WithHint(look)
	}
	return Errorf(NotFound, "there is no app %q", name).WithHint(look)
}

// Permit is nil when the actor may do with an app what needs the role. The app's existence is no secret to who has
// some role: such a one is told which is needed.
func (p *Platform) Permit(ctx context.Context, actor Actor, name string, need Role, what string) error {
	role, err := p.Role(ctx, actor, AppName(name))
	switch {
	case err != nil:
		return err
	case role == NoRole:
		return p.Missing(ctx, actor, name)
	case role < need:
		return Errorf(Denied, "%s needs the role %s on %s, and you have %s", what, need, name, role).
			WithHint("ask one who may give it: ssh paas access:list %s", name)
	}
	return nil
}

// PermitSomewhere is nil for who has the role on some app: it is asked for what is about no app, and not for everybody.
func (p *Platform) PermitSomewhere(ctx context.Context, actor Actor, need Role, what string) error {
	roles, err := p.Store.RolesOfUser(ctx, actor.Name)
	if err != nil || actor.isAdmin() {
		return err
	}
	for app, role := range roles {
		if role >= need && actor.Token.covers(app) {
			return nil
		}
	}
	return Errorf(Denied, "%s needs the role %s on some app, and you have it on none", what, need)
}
