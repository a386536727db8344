package verbs

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"

	"paas/platform"
)

// Who may do what is decided here, for every door, before a verb is called:
//
//	the level of the verb  +  the apps that its arguments name  =  the roles that the actor needs
//
// An argument or flag called app names one, with the verb's level. Others say so by the tag app:
//
//	app:"manage"   it names an app on which this role is needed
//	app:"same"     the verb's own level
//	app:"image"    it names an app, maybe with @v12 behind it
//	app:"first"    its first word does, unless --app or --global is given
//	app:"past"     it may name an app that is gone, which admins may ask about
//	app:"new"      it names one that shall be there afterwards

// role is the role that a level means, NoRole for those that are about no app.
func (a Access) role() platform.Role {
	if a < View {
		return platform.NoRole
	}
	return platform.ViewRole + platform.Role(a-View)
}

// reads tells whether the verb only shows something.
func (v Verb) reads() bool {
	return v.Reads || v.Watch || v.Access == View || slices.Contains(shows(), v.Name)
}

func (v Verb) lists() bool { return v.Lists || slices.Contains(lists(), v.Name) }

// request is one call of a verb, as far as rights go.
type request struct {
	verb   Verb
	needs  []platform.Requirement
	level  platform.Role    // of the verb, or of a flag that needs more
	raised bool             // by such a flag
	wide   bool             // --global or --all: about all apps
	named  bool             // some argument could name an app
	dry    bool             // --dry-run
	fresh  platform.AppName // that shall be there afterwards
}

func (v Verb) requestFor(in reflect.Value, actor platform.Actor) request {
	r := request{verb: v, level: v.Access.role()}
	for _, p := range v.params {
		field := in.Field(p.index)
		on := !field.IsZero()
		if role, err := platform.ParseRole(p.access); err == nil && on {
			r.level, r.raised = max(r.level, role), true
		}
		r.wide = r.wide || on && p.flag && p.isBool && (p.name == "global" || p.name == "all")
		r.dry = r.dry || on && p.name == "dry-run"
	}
	for _, p := range v.params {
		r.take(p, in, actor)
	}
	return r
}

// take adds what a parameter names.
func (r *request) take(p param, in reflect.Value, actor platform.Actor) {
	if p.app == "new" {
		r.fresh = platform.AppName(in.Field(p.index).String())
	}
	if p.app == "" && p.name != appArg || p.app == "new" {
		return
	}
	r.named = true
	if p.name == appArg && r.wide { // the word is not an app then
		return
	}
	need := max(r.level, platform.ViewRole)
	if role, err := platform.ParseRole(p.app); err == nil {
		need = role
	}
	if p.app == "past" && actor.MayAdmin(platform.ScopeServerRead) {
		return
	}
	for _, name := range r.names(p, in) {
		if name != "" {
			r.needs = append(r.needs, platform.Requirement{App: platform.AppName(name), Role: need, What: r.verb.Name})
		}
	}
}

func (r *request) names(p param, in reflect.Value) []string {
	field := in.Field(p.index)
	words := []string{}
	if field.Kind() == reflect.Slice {
		words = field.Interface().([]string)
	} else {
		words = append(words, field.String())
	}
	switch {
	case p.app == "first" && (r.wide || given(r.verb, in, appArg) || len(words) == 0 || strings.Contains(words[0], "=")):
		return nil
	case p.app == "first":
		return words[:1]
	case p.app == "image":
		name, _, _ := strings.Cut(words[0], "@")
		return []string{name}
	}
	return strings.Split(strings.Join(words, ","), ",")
}

func given(v Verb, in reflect.Value, name string) bool {
	return slices.ContainsFunc(v.params, func(p param) bool { return p.name == name && !in.Field(p.index).IsZero() })
}

// admits is nil when the actor may use a verb of that level at all.
func (v Verb) admits(actor platform.Actor) error {
	scope := platform.ScopeServerManage
	if v.reads() {
		scope = platform.ScopeServerRead
	}
	if v.Access != Admin || actor.MayAdmin(scope) {
		return nil
	}
	if actor.Token != nil {
		return platform.Errorf(platform.Denied, "%s is for admins with a token of the scope %s, and %q is none", v.Name, scope, actor.Token.Name)
	}
	return platform.Errorf(platform.Denied, "%s is for admins, and %q is not one", v.Name, actor.Name)
}

// permit is nil when the actor has the roles and the scopes for all that the request is about.
func (t *Table) permit(ctx context.Context, actor platform.Actor, r request) error {
	for _, n := range r.needs {
		if err := t.platform.Permit(ctx, actor, string(n.App), n.Role, n.What); err != nil {
			return err
		}
	}
	if err := t.permitWide(ctx, actor, r); err != nil {
		return err
	}
	if scope := r.scope(); scope != "" {
		return platform.HoldsScope(actor, r.verb.Name, scope)
	}
	return nil
}

// permitWide is about requests that name no app.
func (t *Table) permitWide(ctx context.Context, actor platform.Actor, r request) error {
	v := r.verb
	if v.Access < View || actor.MayAdmin(platform.ScopeAppsRead) {
		return nil
	}
	switch {
	case r.wide && !v.reads():
		return platform.Errorf(platform.Denied, "%s for all apps is for admins, and %q is not one", v.Name, actor.Name)
	case len(r.needs) > 0 || v.lists():
		return nil
	case r.named && v.reads():
		return platform.Errorf(platform.Denied, "%s without an app is for admins", v.Name).WithHint("%s", v.usage())
	case r.named:
		return nil // the verb says what is missing
	}
	return t.platform.PermitSomewhere(ctx, actor, r.level, v.Name)
}

// scope is what a token needs for the request; "" is nothing.
func (r request) scope() platform.Scope {
	v := r.verb
	topic, word, _ := strings.Cut(v.Name, ":")
	switch {
	case v.Name == "whoami":
		return ""
	case v.Access == Admin: // see admits
		return ""
	case v.Name == "apps:create", v.Name == "trash:restore":
		return platform.ScopeAppsManage
	case v.Access == Anyone && v.reads():
		return platform.ScopeAppsRead
	case v.Access == Anyone:
		return platform.ScopeServerManage
	case topic == "config" && (r.raised || word == "get" || word == "export" || word == "bundle"):
		return platform.ScopeConfigReveal
	case topic == "config" && v.reads():
		return platform.ScopeConfigRead
	case topic == "config":
		return platform.ScopeConfigWrite
	case v.reads() && (topic == "logs" || topic == "attach" || v.Name == "builds:output" || v.Name == "run:logs"):
		return platform.ScopeLogsRead
	}
	return [...]platform.Scope{"", platform.ScopeAppsRead, platform.ScopeAppsDeploy, platform.ScopeAppsOperate, platform.ScopeAppsManage}[r.level]
}

// carryOut calls the verb for who may, and leaves an entry in the audit if it changes something. Who loses the right
// meanwhile is cut off.
func (t *Table) carryOut(ctx context.Context, actor platform.Actor, v Verb, args arguments, call platform.Call) (output, error) {
	if err := v.admits(actor); err != nil {
		t.platform.Refuse(actor, "", v.Name, err)
		return nil, err
	}
	ready, err := v.prepare(args)
	if err != nil {
		return nil, err
	}
	r := v.requestFor(ready.in, actor)
	if err := r.wellFormed(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if g := actor.Token; g != nil && !g.Until.IsZero() {
		var stop context.CancelFunc
		ctx, stop = context.WithDeadlineCause(ctx, g.Until, platform.Errorf(platform.Denied, "the token %s has expired meanwhile", g.Name))
		defer stop()
	}
	defer t.platform.Visiting(platform.Visit{Actor: actor, Needs: r.needs, Admin: v.Access == Admin && actor.Admin, End: cancel})()
	if err := t.permit(ctx, actor, r); err != nil {
		t.tellRefusal(actor, r, args, err)
		return nil, err
	}
	call.Actor = actor
	if r.audited() {
		if call.Audit, err = t.platform.Begin(ctx, actor, r.app(), v.line(args)); err != nil {
			return nil, err
		}
	}
	out, err := ready.do(call.Audit.Within(ctx), t.platform, call)
	if lost := context.Cause(ctx); platform.KindOf(lost) == platform.Denied || platform.KindOf(lost) == platform.NotFound {
		err = lost
	}
	call.Audit.End(err)
	return out, err
}

// wellFormed is nil unless no app can be called what an app shall be called: that is a slip, and nothing to note.
func (r request) wellFormed() error {
	if r.fresh == "" {
		return nil
	}
	_, err := platform.ParseAppName(string(r.fresh))
	return err
}

func (r request) audited() bool { return (!r.verb.reads() || r.raised) && !r.dry }

// app is what the request is about first of all.
func (r request) app() platform.AppName {
	if len(r.needs) == 0 {
		return r.fresh
	}
	return r.needs[0].App
}

// tellRefusal leaves an entry for what was denied, and for changes that would have been, of an app that is not there.
func (t *Table) tellRefusal(actor platform.Actor, r request, args arguments, err error) {
	var e *platform.Error
	if errors.As(err, &e) && (e.Kind == platform.Denied || e.Kind == platform.NotFound && r.audited()) {
		t.platform.Refuse(actor, r.app(), r.verb.line(args), err)
	}
}
