package platform

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A rename is a deploy of the same release under another name:
//
//	start under the new name -> healthy -> the store renames -> Router.Swap (the new name takes hosts over)
//	-> the old name's requests finish -> its instances stop -> its files follow
//
// Until the store renames, a crash leaves the old name; from then on the new one, whose files Boot lets follow.

// RenameInput is apps:rename.
type RenameInput struct {
	App        string `arg:"app"`
	To         string `arg:"new-name" app:"new"`
	SkipDeploy bool   `flag:"skip-deploy" help:"Dokku's; what runs is replaced all the same"`
}

// Rename gives an app another name; what refers to it follows, and no request is lost.
func (p *Platform) Rename(ctx context.Context, call Call, in RenameInput) (AppView, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return AppView{}, err
	}
	to, err := p.freeName(ctx, in.To)
	if err != nil {
		return AppView{}, err
	}
	leave, err := p.enterBoth(ctx, app.Name, to, call)
	if err != nil {
		return AppView{}, err
	}
	defer leave()
	if err := p.noCanary(ctx, app.Name); err != nil {
		return AppView{}, err
	}
	if err := p.rename(ctx, Move{app.Name, to}, NewStory(call.Err, p.Now)); err != nil {
		return AppView{}, err
	}
	call.Audit.About(to)
	p.say(Event{Kind: EventAppRenamed, App: to, Actor: call.Actor.Name, Text: fmt.Sprintf("%s is called %s now", app.Name, to)})
	_, _ = fmt.Fprintf(call.Err, "%s is called %s now. In a clone of it: git remote set-url %s\n", app.Name, to, "paas …/"+string(to))
	return p.view(ctx, to)
}

// freeName is a name that an app may get.
func (p *Platform) freeName(ctx context.Context, word string) (AppName, error) {
	name, err := ParseAppName(word)
	if err != nil {
		return "", err
	}
	if _, err := p.Store.App(ctx, name); KindOf(err) != NotFound {
		if err == nil {
			err = Errorf(Conflict, "the app %q exists already", name).WithHint("see what is there: ssh paas apps:list")
		}
		return "", err
	}
	return name, p.hostsFree(ctx, name)
}

// enterBoth takes two names' lanes, always in the same order: of two who want both nobody waits for ever.
func (p *Platform) enterBoth(ctx context.Context, a, b AppName, call Call) (leave func(), err error) {
	first, err := p.enter(ctx, min(a, b), call)
	if err != nil {
		return nil, err
	}
	second, err := p.enter(ctx, max(a, b), call)
	if err != nil {
		first()
		return nil, err
	}
	return func() { second(); first() }, nil
}

// rename does it. The caller holds both lanes.
func (p *Platform) rename(ctx context.Context, m Move, story *Story) error {
	w, released, err := p.wanted(ctx, m.From)
	if err != nil {
		return err
	}
	if released {
		drop, err := p.hold(w.release)
		if err != nil {
			return err
		}
		defer drop()
	}
	leaveHelm, err := p.lane(m.From).takeHelm(ctx)
	if err != nil {
		return err
	}
	defer leaveHelm()
	if err := p.pair(ctx, m); err != nil {
		return err
	}
	defer func() { _ = p.pair(context.WithoutCancel(ctx), Move{}) }()
	if err := p.renamed(ctx, w, released, m, story); err != nil {
		return fmt.Errorf("rename %s to %s: %w", m.From, m.To, err)
	}
	return p.farewell(context.WithoutCancel(ctx), m)
}

// renamed is rename up to where requests come by the new name.
func (p *Platform) renamed(ctx context.Context, w want, released bool, m Move, story *Story) error {
	note := func(ctx context.Context) error {
		if err := p.Store.RenameApp(ctx, m.From, m.To); err != nil {
			return err
		}
		p.shutPorts(m.From)
		return p.readIdle(ctx, m.To)
	}
	if !released {
		return note(ctx)
	}
	story.Phase("Launching v%d as %s", w.release.Number, m.To)
	w.app.Name, w.release.App, w.note = m.To, m.To, note
	if err := p.converge(ctx, w, story); err != nil {
		return err
	}
	story.End()
	return nil
}

// shutPorts lets go of the ports that lead to the old name, so that the new one can have them.
func (p *Platform) shutPorts(name AppName) {
	l := p.lane(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.route.App == "" || len(l.mappings) == 0 {
		return
	}
	l.mappings = nil
	p.drainLater(p.swap(l, func(list []Instance) []Instance { return list }))
}

// farewell ends what still has the old name. Requests that found its route a moment ago are led to the new
// instances; those in flight finish.
func (p *Platform) farewell(ctx context.Context, m Move) error {
	app, err := p.Store.App(ctx, m.To)
	if err != nil {
		return err
	}
	var errs []error
	if app.Release == 0 || app.Stopped {
		p.publish(ctx, app, nil)
	}
	if p.Certificates != nil {
		errs = append(errs, p.wish(ctx, app))
		p.Certificates.Forget(m.From)
	}
	p.forgetSleep(m.From)
	p.noteSleep(m.To) // it is awake now
	old, err := p.instances(ctx, m.From)
	old = append(old, p.takeShelf(m.From)...)
	drained := p.leadAway(m)
	p.markRetiring(m.From, old)
	p.spawn(func(ctx context.Context) { p.endOldName(ctx, m.From, old, drained) })
	return errors.Join(append(errs, err, p.redirectPaths(ctx, m.To), p.follow(ctx, m))...)
}

// takeShelf is what is kept for a rollback, which is nobody's from now on.
func (p *Platform) takeShelf(name AppName) []Instance {
	l := p.lane(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.shelf.list
	l.shelf = shelf{}
	return list
}

// redirectPaths publishes the routes of apps anew whose paths lead to the app: their rules have its new name.
func (p *Platform) redirectPaths(ctx context.Context, to AppName) error {
	apps, err := p.Store.Apps(ctx)
	if err != nil {
		return err
	}
	for _, app := range apps {
		rules, err := p.Store.EdgeRules(ctx, app.Name)
		if err != nil {
			return err
		}
		if app.Release > 0 && slices.ContainsFunc(rules, func(r EdgeRule) bool { return r.leadsTo(to) }) {
			p.drainLater(p.republish(ctx, app, func(list []Instance) []Instance { return list }))
		}
	}
	return nil
}

func (r EdgeRule) leadsTo(name AppName) bool {
	if r.Kind != PathKind {
		return false
	}
	rule, err := parsePath(r.Key, strings.Fields(r.Value))
	return err == nil && rule.App == name
}

// leadAway takes the old route's hosts and instances away. What was led there a moment ago finds the new instances. The
// lane forgets all of it: an app that gets the old name has nothing of this.
func (p *Platform) leadAway(m Move) (drained func(context.Context)) {
	to := p.lane(m.To)
	to.mu.Lock()
	backends := to.backends()
	to.mu.Unlock()
	l := p.lane(m.From)
	l.mu.Lock()
	defer l.mu.Unlock()
	last := l.route
	if last.App == "" {
		return func(context.Context) {}
	}
	last.Hosts, last.Backends, last.Ports, last.Asleep = nil, backends, nil, false
	l.route, l.candidates, l.routed, l.mappings = Route{}, nil, nil, nil
	return p.Router.Swap(last)
}

// backends are those that the route leads to. The lane's mu is held.
func (l *lane) backends() (list []Backend) {
	pools := poolsOf(l.edge)
	for _, i := range l.candidates {
		if pool, routed := pools.of(i); routed && !l.gone[i.ID] {
			list = append(list, Backend{ID: i.ID, Name: i.Name(), Addr: i.Addr, Pool: pool})
		}
	}
	return list
}

// endOldName waits for the requests and removes the route, unless an app has the name again, and what ran.
func (p *Platform) endOldName(ctx context.Context, name AppName, old []Instance, drained func(context.Context)) {
	draining, cancel := context.WithTimeout(ctx, p.drain(name))
	drained(draining)
	cancel()
	if ctx.Err() != nil {
		return
	}
	p.stopAll(ctx, old)
	leave, err := p.lane(name).enter(ctx, "the end of a rename", nil)
	if err != nil {
		return
	}
	defer leave()
	if _, err := p.Store.App(ctx, name); KindOf(err) == NotFound {
		p.unpublish(name)
	}
}

// pair lets the walls treat both names of a rename alike; a zero Move ends that.
func (p *Platform) pair(ctx context.Context, m Move) error {
	p.wallsMu.Lock()
	p.twin = m
	p.wallsMu.Unlock()
	return p.setWalls(ctx)
}

// policies are all, with those of one of two names for the other as well.
func (m Move) policies(all []Policy) []Policy {
	if m.From == "" {
		return all
	}
	there := map[AppName]bool{}
	for _, policy := range all {
		there[policy.App] = true
	}
	if there[m.From] == there[m.To] {
		return all
	}
	have, lack := m.From, m.To
	if there[m.To] {
		have, lack = m.To, m.From
	}
	var out []Policy
	for _, policy := range all {
		policy.Links = alike(policy.Links, have, lack)
		out = append(out, policy)
		if policy.App == have {
			policy.App = lack
			policy.Links = ownedBy(policy.Links, lack)
			out = append(out, policy)
		}
	}
	return out
}

// alike adds to links to an app the same to the other.
func alike(links []Link, have, lack AppName) (out []Link) {
	for _, l := range links {
		out = append(out, l)
		if l.To == have {
			l.To = lack
			out = append(out, l)
		}
	}
	return out
}

func ownedBy(links []Link, name AppName) (out []Link) {
	for _, l := range links {
		l.App = name
		out = append(out, l)
	}
	return out
}

// follow lets an app's files follow its name, and notes that they have.
func (p *Platform) follow(ctx context.Context, m Move) error {
	if err := errors.Join(p.Runner.Rename(ctx, m.From, m.To), p.RenameLog(ctx, m.From, m.To), p.Sources.Rename(ctx, m.From, m.To)); err != nil {
		return fmt.Errorf("move the files of %s to %s: %w", m.From, m.To, err)
	}
	return p.Store.Moved(ctx, m)
}

// finishMoves does what a crash left of renames. What has the old name since is another's.
func (p *Platform) finishMoves(ctx context.Context, apps []App) error {
	moves, err := p.Store.Moving(ctx)
	errs := []error{err}
	names := map[AppName]bool{}
	for _, app := range apps {
		names[app.Name] = true
	}
	for _, m := range moves {
		if names[m.From] {
			errs = append(errs, p.Store.Moved(ctx, m))
			continue
		}
		errs = append(errs, p.follow(ctx, m))
	}
	return errors.Join(errs...)
}

// notRenamed refuses a name that an app had once, to who comes by it out of habit and may know of the app.
func (p *Platform) notRenamed(ctx context.Context, actor Actor, name AppName) error {
	now, err := p.Store.Formerly(ctx, name)
	if err != nil || now == "" {
		return err
	}
	sees, err := p.Sees(ctx, actor)
	if err != nil || !sees(now) {
		return err
	}
	return Errorf(Conflict, "%s is called %s now", name, now).
		WithHint("git remote set-url paas with %s at its end; for a new app of the old name: ssh paas apps:create %s", now, name)
}
