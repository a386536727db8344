package platform

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// AppState is how an app is, in a word.
type AppState string

// The states. They do not change their meaning.
const (
	StateNew         AppState = "never-deployed"
	StateDeploying   AppState = "deploying"
	StateServing     AppState = "serving"
	StateDegraded    AppState = "degraded" // some of its processes are up
	StateCrashing    AppState = "crashing" // none is, since they keep ending or do not become healthy
	StateUnhealthy   AppState = "unhealthy"
	StateStarting    AppState = "starting"
	StateStopped     AppState = "stopped"
	StateSleeping    AppState = "sleeping"
	StatePaused      AppState = "paused"
	StateIdle        AppState = "scaled-to-zero"
	StateMaintenance AppState = "maintenance"
)

// well tells whether it is as somebody wants it.
func (s AppState) well() bool {
	switch s {
	case StateDegraded, StateCrashing, StateUnhealthy:
		return false
	}
	return true
}

// look is an app as it is at one moment.
type look struct {
	app    App
	want   want
	have   []Instance
	hosts  []string
	edge   Edge
	events []Event // the latest, oldest first

	holder   string // who changes it just now
	depth    Depth
	up       []slot
	crashes  map[slot]crash
	unready  map[slot][]string // checks that fail
	paused   bool
	troubles []Trouble
	change   *Trouble   // the last change, if it failed
	command  *Trouble   // the last command that makes no release, if it failed
	coming   []Instance // that are not healthy yet
	now      time.Time
}

// lookEvents is how many of the latest events are looked at for who did what.
const lookEvents = 200

func (p *Platform) lookAt(ctx context.Context, app App) (look, error) {
	k := look{app: app, now: p.Now(), want: want{app: app}}
	var err error
	if app.Release > 0 {
		if k.want, _, err = p.wanted(ctx, app.Name); err != nil {
			return k, err
		}
	}
	if k.have, err = p.instances(ctx, app.Name); err != nil {
		return k, err
	}
	if k.hosts, err = p.hosts(ctx, app.Name); err != nil {
		return k, err
	}
	if _, k.edge, err = p.edge(ctx, app.Name); err != nil {
		return k, err
	}
	if k.events, err = p.Store.Events(ctx, EventQuery{App: app.Name, Last: lookEvents}); err != nil {
		return k, err
	}
	known, err := p.Store.Troubles(ctx, app.Name)
	if err != nil {
		return k, err
	}
	k.readLane(p.lane(app.Name))
	k.gather(ctx, p, known)
	return k, nil
}

// readLane copies what only this daemon knows.
func (k *look) readLane(l *lane) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.yield == nil { // a repair is nobody's change
		k.holder = l.holder
	}
	k.depth, k.paused, k.crashes = l.nap.Depth, l.paused, maps.Clone(l.crashes)
	k.unready = map[slot][]string{}
	for _, i := range k.have {
		s := slot{i.Type, i.Number}
		candidate := slices.ContainsFunc(l.candidates, func(c Instance) bool { return c.ID == i.ID })
		if !candidate && i.Exit == nil && i.Kept.IsZero() && !i.Paused {
			k.coming = append(k.coming, i)
		}
		switch checks := l.unready[i.ID]; {
		case len(checks) > 0:
			k.unready[s] = slices.Sorted(maps.Keys(checks))
		case candidate && k.want.fits(i):
			k.up = append(k.up, s)
		}
	}
}

// gather lists what is wrong, the worst first: what is down, what fails, the last change, what is over.
func (k *look) gather(ctx context.Context, p *Platform, known map[string]Trouble) {
	k.troubles = append(k.crashed(known), k.failing(ctx, p)...)
	if t, ok := known[LastChange]; ok && k.holder == "" {
		k.change = &t
		k.troubles = append(k.troubles, t)
	}
	if t, ok := known[LastCommand]; ok && k.holder == "" {
		k.command = &t
		k.troubles = append(k.troubles, t)
	}
	k.troubles = append(k.troubles, k.spared(ctx, p)...)
	for _, place := range slices.Sorted(maps.Keys(known)) {
		t := known[place]
		again := slices.ContainsFunc(k.up, func(s slot) bool { return s.String() == place })
		if again && k.now.Sub(t.At) < pastTrouble {
			t.Over = true
			k.troubles = append(k.troubles, t)
		}
	}
}

// pastTrouble is for how long it is told that a process had ended and runs again.
const pastTrouble = 24 * time.Hour

func (s slot) String() string { return fmt.Sprintf("%s.%d", s.Type, s.Number) }

// crashed are the places of the formation that are empty because what was there ended.
func (k *look) crashed(known map[string]Trouble) (list []Trouble) {
	if k.depth != Awake {
		return nil
	}
	for _, s := range k.want.slots() {
		if slices.Contains(k.up, s) || k.unready[s] != nil {
			continue
		}
		t, told := known[s.String()]
		c, crashing := k.crashes[s]
		switch {
		case !told && !crashing:
			continue // it is just starting
		case !told:
			t = ending{app: k.app.Name, typ: s.Type, name: s.String(), exit: c.exit, command: k.want.release.Image.Processes[s.Type]}.trouble()
		}
		t.Times = max(c.count, t.Times)
		if crashing && !c.resting && c.retry.After(k.now) {
			t.Next = &c.retry
		}
		list = append(list, t)
	}
	return list
}

// failing are the instances that get no requests since a check fails.
func (k *look) failing(ctx context.Context, p *Platform) (list []Trouble) {
	for _, i := range k.have {
		checks := k.unready[slot{i.Type, i.Number}]
		if len(checks) == 0 || i.Exit != nil {
			continue
		}
		t := Trouble{Code: TroubleCheck, Process: i.Name(), Release: i.Release, Instance: i.ID, Port: int(i.Addr.Port())}
		t.Text = fmt.Sprintf("%s fails its readiness check %s, and gets no requests", i.Name(), strings.Join(checks, ", "))
		if e, ok := k.last(func(e Event) bool { return e.Kind == EventUnhealthy && e.Instance == i.ID }); ok {
			t.Text, t.At = e.Text, e.At
		}
		t.Fix = fmt.Sprintf("see what it says: ssh paas logs %s -p %s", k.app.Name, i.Name())
		t.Output, t.Check = p.lastLines(ctx, i, newMask(k.want.release.Config)), p.transcriptOf(i)
		list = append(list, t)
	}
	return list
}

// spared are instances that lived on when the kernel killed processes of theirs.
func (k *look) spared(ctx context.Context, p *Platform) (list []Trouble) {
	for _, i := range k.have {
		c, err := p.Runner.Consumed(ctx, i.ID)
		if i.Exit != nil || err != nil || c.OOMKills == 0 {
			continue
		}
		list = append(list, Trouble{
			Code: TroubleMemory, Process: i.Name(), Release: i.Release, Instance: i.ID, Times: int(c.OOMKills),
			Text: fmt.Sprintf("%s of %s killed for want of memory: its limit is %s", plural(c.OOMKills, "process", "processes"), i.Name(), Bytes(c.MemoryLimit)),
			Fix:  moreMemory(k.app.Name, i.Type, c.MemoryLimit), Over: true,
		})
	}
	return list
}

// last is the latest event that fits.
func (k *look) last(fits func(Event) bool) (Event, bool) {
	for _, e := range slices.Backward(k.events) {
		if fits(e) {
			return e, true
		}
	}
	return Event{}, false
}

// by says who did it last, and when: " by alice, 5m ago".
func (k *look) by(kind EventKind) string {
	e, ok := k.last(func(e Event) bool { return e.Kind == kind })
	if !ok {
		return ""
	}
	if e.Actor != "" {
		return fmt.Sprintf(" by %s, %s ago", e.Actor, roughly(k.now.Sub(e.At)))
	}
	return fmt.Sprintf(" %s ago", roughly(k.now.Sub(e.At)))
}

// state says it in a word and a sentence.
func (k *look) state(p *Platform) (AppState, string) {
	name := k.app.Name
	wanted := k.want.slots()
	switch {
	case k.app.Release == 0:
		return k.unborn()
	case k.deploying():
		return StateDeploying, fmt.Sprintf("%s is being deployed: %s is under way; v%d serves meanwhile", name, k.holder, k.app.Release)
	case k.app.Stopped:
		return StateStopped, fmt.Sprintf("%s is stopped%s; start it: ssh paas ps:start %s", name, k.by(EventAppStopped), name)
	case k.edge.Maintenance:
		return StateMaintenance, fmt.Sprintf("%s is in maintenance: every request is answered with 503; end it: ssh paas maintenance:off %s", name, name)
	case k.depth != Awake:
		return StateSleeping, fmt.Sprintf("%s sleeps%s: the next request wakes it", name, k.by(EventSlept))
	case k.paused:
		return StatePaused, fmt.Sprintf("%s is paused%s; let it go on: ssh paas ps:resume %s", name, k.by(EventPaused), name)
	case len(wanted) == 0:
		return StateIdle, fmt.Sprintf("%s runs nothing: no process is scaled up, and %s", name, declared(k.want.release.Image))
	}
	return k.running(p, wanted)
}

func (k *look) deploying() bool { return strings.HasSuffix(k.holder, "'s push") }

func (k *look) unborn() (AppState, string) {
	switch {
	case k.holder != "":
		return StateDeploying, fmt.Sprintf("%s is being deployed for the first time: %s is under way", k.app.Name, k.holder)
	case k.change != nil:
		return StateNew, fmt.Sprintf("%s was never deployed: its last push failed", k.app.Name)
	}
	return StateNew, fmt.Sprintf("%s was never deployed: nothing was pushed yet; push it: git push paas main", k.app.Name)
}

// running is the state of an app that shall run.
func (k *look) running(p *Platform, wanted []slot) (AppState, string) {
	name := k.app.Name
	some := fmt.Sprintf("%d of %s up", len(k.up), plural(int64(len(wanted)), "process is", "processes are"))
	webUp := slices.ContainsFunc(k.up, func(s slot) bool { return s.Type == Web })
	hasWeb := slices.ContainsFunc(wanted, func(s slot) bool { return s.Type == Web })
	down := slices.ContainsFunc(k.troubles, func(t Trouble) bool { return !t.Over && t.Process != "" && t.Change == "" })
	switch {
	case len(k.up) == len(wanted) && k.change != nil:
		return StateServing, fmt.Sprintf("%s serves v%d at %s, but its last change failed", name, k.app.Release, p.URL(name))
	case len(k.up) == len(wanted) && k.command != nil:
		return StateServing, fmt.Sprintf("%s goes on with v%d as it was: %s, but %s failed", name, k.app.Release, some, k.command.Command)
	case len(k.up) == len(wanted) && !hasWeb:
		return StateServing, fmt.Sprintf("%s runs v%d: %s", name, k.app.Release, some)
	case len(k.up) == len(wanted):
		return StateServing, fmt.Sprintf("%s serves v%d at %s: %s", name, k.app.Release, p.URL(name), some)
	case !down:
		return StateStarting, fmt.Sprintf("%s is starting: %s", name, some)
	case len(k.unready) > 0 && !webUp:
		return StateUnhealthy, fmt.Sprintf("%s does not serve: its processes fail their checks, %s", name, some)
	case webUp || !hasWeb && len(k.up) > 0:
		return StateDegraded, fmt.Sprintf("%s serves v%d with less than it should: %s", name, k.app.Release, some)
	}
	return StateCrashing, fmt.Sprintf("%s does not serve: its processes keep ending (crash loop), %s", name, some)
}
