package platform

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// String prints a formation as ps:scale takes it.
func (f Formation) String() string {
	var parts []string
	for _, typ := range slices.Sorted(maps.Keys(f)) {
		parts = append(parts, fmt.Sprintf("%s=%d", typ, f[typ]))
	}
	return strings.Join(parts, " ")
}

// ProcessView is one place in the formation and what is in it.
type ProcessView struct {
	Name      string      `json:"name"` // "web.1"
	Status    string      `json:"status"`
	Release   int         `json:"release,omitempty"`
	StartedAt *time.Time  `json:"started_at,omitempty"`
	Address   string      `json:"address,omitempty"`
	Command   string      `json:"command"`
	Type      ProcessType `json:"type"`
	Number    int         `json:"number"`
	OOMKills  int64       `json:"oom_kills,omitempty"`  // of the instance that runs
	KeptUntil *time.Time  `json:"kept_until,omitempty"` // it stands still for a rollback, and has no place
}

// ProcessList is ps.
type ProcessList []ProcessView

// Text implements the verbs' output.
func (l ProcessList) Text(w io.Writer) error {
	var rows [][]string
	for _, v := range l {
		since := ""
		if v.StartedAt != nil {
			since = v.StartedAt.Format(time.RFC3339)
		}
		rows = append(rows, []string{v.Name, v.Status, releaseName(v.Release), v.Address, since, v.Command})
	}
	return table(w, []string{"NAME", "STATUS", "RELEASE", "ADDRESS", "SINCE", "COMMAND"}, rows)
}

// Processes shows the app's instances.
func (p *Platform) Processes(ctx context.Context, _ Call, in AppInput) (ProcessList, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return nil, err
	}
	w, ok, err := p.wanted(ctx, app.Name)
	if err != nil || !ok {
		return ProcessList{}, err
	}
	have, err := p.instances(ctx, app.Name)
	if err != nil {
		return nil, err
	}
	held := p.heldBy(ctx, p.lane(app.Name))
	list := ProcessList{}
	for _, i := range have {
		if i.Exit == nil {
			list = append(list, p.sparedOf(ctx, p.running(w, i, held), i))
		}
	}
	_, _, missing := w.divide(have)
	for _, s := range missing {
		list = append(list, p.absent(w, s))
	}
	list = append(list, p.keptViews(app.Name, p.Now())...)
	slices.SortStableFunc(list, func(a, b ProcessView) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Number, b.Number))
	})
	return list, nil
}

// running shows an instance; held is what a frozen app still has of the memory.
func (p *Platform) running(w want, i Instance, held int64) ProcessView {
	l := p.lane(w.app.Name)
	l.mu.Lock()
	defer l.mu.Unlock()
	status := "up"
	switch {
	case l.nap.sleeps(i):
		status = l.nap.text(p.Now(), held)
	case i.Paused:
		status = "paused"
	case len(l.unready[i.ID]) > 0:
		status = "not ready: fails " + strings.Join(slices.Sorted(maps.Keys(l.unready[i.ID])), ", ")
	}
	return ProcessView{
		Name: i.Name(), Type: i.Type, Number: i.Number, Status: status,
		Release: i.Release, StartedAt: &i.StartedAt, Address: i.Addr.String(),
		Command: w.at(slot{i.Type, i.Number}).release.Image.Processes[i.Type],
	}
}

// absent says why a place of the formation is empty.
func (p *Platform) absent(w want, s slot) ProcessView {
	l := p.lane(w.app.Name)
	l.mu.Lock()
	defer l.mu.Unlock()
	status := "starting"
	if l.nap.Depth != Awake && l.nap.waking == nil && !p.idleRules(w.app.Name).keeps(s.Type) {
		status = l.nap.text(p.Now(), 0)
	} else if c, crashed := l.crashes[s]; crashed {
		status = c.status(p.Now())
	}
	return ProcessView{
		Name: fmt.Sprintf("%s.%d", s.Type, s.Number), Type: s.Type, Number: s.Number, Status: status,
		Command: w.at(s).release.Image.Processes[s.Type],
	}
}

// ScaleInput is ps:scale.
type ScaleInput struct {
	App     string   `arg:"app"`
	Changes []string `arg:"type=n" rest:"optional" help:"web=3, worker=0, web=+1; none prints the formation"`
}

// Scaled is the formation before and after.
type Scaled struct {
	Before Formation `json:"before"`
	After  Formation `json:"after"`
}

// Text implements the verbs' output.
func (s Scaled) Text(w io.Writer) error {
	for _, typ := range slices.Sorted(maps.Keys(s.After)) {
		line := fmt.Sprintf("%s=%d", typ, s.After[typ])
		if s.Before[typ] != s.After[typ] {
			line += fmt.Sprintf(" (was %d)", s.Before[typ])
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// Scale changes how many instances run and waits until they do. If they do not become healthy the
// formation stays as it was.
func (p *Platform) Scale(ctx context.Context, call Call, in ScaleInput) (Scaled, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return Scaled{}, err
	}
	leave, err := p.enter(ctx, app.Name, call)
	if err != nil {
		return Scaled{}, err
	}
	defer leave()
	before, err := p.Store.Formation(ctx, app.Name)
	if err != nil || len(in.Changes) == 0 {
		return Scaled{before, before}, err
	}
	after, err := p.scaled(ctx, app.Name, before, in.Changes)
	if err != nil || maps.Equal(before, after) {
		return Scaled{before, after}, err
	}
	err = p.put(ctx, app.Name, call, wish{
		verb: "ps:scale", what: "Scale to " + after.String(),
		edit:  func(w *want) { w.formation = after },
		store: func(ctx context.Context) error { return p.Store.SetFormation(ctx, app.Name, after) },
	})
	if err != nil {
		return Scaled{}, err
	}
	p.say(Event{Kind: EventScaled, App: app.Name, Actor: call.Actor.Name, Text: fmt.Sprintf("scaled to %s from %s", after, before)})
	return Scaled{before, after}, nil
}

const maxQuantity = 100 // instances of one process type on one host

// scaled applies changes like web=3 and worker=+1, refusing types that the app does not declare.
func (p *Platform) scaled(ctx context.Context, name AppName, before Formation, changes []string) (Formation, error) {
	after := maps.Clone(before)
	w, released, err := p.wanted(ctx, name)
	if err != nil {
		return nil, err
	}
	for _, change := range changes {
		typ, quantity, err := parseChange(change, before)
		if err != nil {
			return nil, err
		}
		if _, declares := w.release.Image.Processes[typ]; (released && !declares) || typ == ReleasePhase {
			return nil, Errorf(Usage, "%s has no process type %q to scale: %s", name, typ, declared(w.release.Image))
		}
		after[typ] = quantity
	}
	return after, nil
}

func parseChange(change string, before Formation) (ProcessType, int, error) {
	typ, number, ok := strings.Cut(change, "=")
	n, err := strconv.Atoi(number)
	if strings.HasPrefix(number, "+") || strings.HasPrefix(number, "-") {
		n += before[ProcessType(typ)]
	}
	if !ok || typ == "" || err != nil || n < 0 || n > maxQuantity {
		return "", 0, Errorf(Usage, "%q is not a change of scale: write type=number with 0 to %d, like web=3 or web=+1", change, maxQuantity)
	}
	return ProcessType(typ), n, nil
}

// Restart replaces every instance with a fresh one, without dropping a request.
func (p *Platform) Restart(ctx context.Context, call Call, in RestartInput) (Done, error) {
	if in.All && in.Type == "" {
		in.App, in.Type = "", in.App
	}
	runs := func(app App) bool {
		in.App = string(app.Name)
		_, err := p.restarted(ctx, in)
		return err == nil && isOn(app)
	}
	return p.each(ctx, call, EachInput{in.App, in.All}, runs, func(name string) (Done, error) {
		in.App = name
		return p.restart(ctx, call, in)
	})
}

func isOn(app App) bool { return !app.Stopped }

func (p *Platform) restart(ctx context.Context, call Call, in RestartInput) (Done, error) {
	typ, err := p.restarted(ctx, in)
	if err != nil {
		return Done{}, err
	}
	done := "Restarted %s."
	if typ != "" {
		done = "Restarted " + string(typ) + " of %s."
	}
	return p.change(ctx, call, in.App, EventRestarted, done, func(name AppName) wish {
		what := "Restart"
		if typ != "" {
			what += " of " + string(typ)
		}
		return wish{
			verb: "ps:restart", what: what,
			edit:  func(w *want) { w.app = w.app.raised(typ) },
			store: func(ctx context.Context) error { return p.Store.RaiseEpoch(ctx, name, typ) },
		}
	})
}

// RestartInput is ps:restart.
type RestartInput struct {
	App  string `arg:"app" optional:"true"`
	All  bool   `flag:"all" help:"every app that runs, one after the other; for admins"`
	Type string `arg:"type" optional:"true" help:"one type, like web (all of them for web.1, too); without it all"`
	Flag string `flag:"process" short:"p" value:"TYPE" help:"the same, as a flag"`
}

// restarted is the type that is meant, "" for all: the current release must have it. Instances of a type are
// replaced together.
func (p *Platform) restarted(ctx context.Context, in RestartInput) (ProcessType, error) {
	word, _, _ := strings.Cut(cmp.Or(in.Type, in.Flag), ".")
	typ := ProcessType(word)
	app, err := p.find(ctx, in.App)
	if err != nil || typ == "" || app.Release == 0 {
		return "", err
	}
	release, err := p.Store.Release(ctx, app.Name, app.Release)
	if err != nil {
		return "", err
	}
	if _, ok := release.Image.Processes[typ]; !ok {
		return "", Errorf(NotFound, "%s has no process type %q", app.Name, typ).WithHint("see them: ssh paas ps %s", app.Name)
	}
	return typ, nil
}

// Stop ends every instance; visitors see that the app is stopped.
func (p *Platform) Stop(ctx context.Context, call Call, in EachInput) (Done, error) {
	return p.each(ctx, call, in, isOn, func(name string) (Done, error) {
		return p.change(ctx, call, name, EventAppStopped, "Stopped %s.", func(name AppName) wish {
			return wish{
				verb: "ps:stop", what: "Stop",
				edit:  func(w *want) { w.app.Stopped = true },
				store: func(ctx context.Context) error { return p.Store.SetStopped(ctx, name, true) },
			}
		})
	})
}

// Start undoes Stop.
func (p *Platform) Start(ctx context.Context, call Call, in EachInput) (Done, error) {
	return p.each(ctx, call, in, func(app App) bool { return app.Stopped }, func(name string) (Done, error) {
		return p.change(ctx, call, name, EventAppStarted, "Started %s.", func(name AppName) wish {
			return wish{
				verb: "ps:start", what: "Start",
				edit:  func(w *want) { w.app.Stopped = false },
				store: func(ctx context.Context) error { return p.unstop(ctx, name) },
			}
		})
	})
}

func (p *Platform) unstop(ctx context.Context, name AppName) error {
	app, err := p.Store.App(ctx, name)
	if err == nil && app.Stopped {
		err = p.beginAnew(ctx, app, "") // what was due while it was stopped is not made up for
	}
	if err != nil {
		return err
	}
	return p.Store.SetStopped(ctx, name, false)
}

// change makes what runs as was asked for, and then records it: see put.
func (p *Platform) change(ctx context.Context, call Call, name string, kind EventKind, done string, asked func(AppName) wish) (Done, error) {
	app, err := p.find(ctx, name)
	if err != nil {
		return Done{}, err
	}
	leave, err := p.enter(ctx, app.Name, call)
	if err != nil {
		return Done{}, err
	}
	defer leave()
	if err := p.put(ctx, app.Name, call, asked(app.Name)); err != nil {
		return Done{}, err
	}
	p.say(Event{Kind: kind, App: app.Name, Actor: call.Actor.Name, Text: strings.TrimSuffix(fmt.Sprintf(done, app.Name), ".")})
	return donef(done, app.Name), nil
}
