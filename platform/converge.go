package platform

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// want is what shall run of an app.
type want struct {
	app       App
	release   Release
	formation Formation
	settings  []Setting
	security  Security
	shut      error                // why what was opened cannot be given
	routed    map[ProcessType]bool // beside web: paths lead to them

	canary Release     // a second release that runs beside; Number 0: none
	share  CanaryShare // of the clients that it gets

	note func(context.Context) error // stores what was asked for, once it is healthy; may be nil
	then func(context.Context) error // does what is left to do when it serves and is not current yet; may be nil

	recall *recall       // the release whose kept instances may go on as this one's; nil: none
	lag    Release       // that process types not among first stay on; Number 0: all change at once
	first  []ProcessType // that

	places map[int]places // of mounts, by release

	asleep bool          // of the formation, only what stays awake is wanted
	keep   []ProcessType // that
}

// wanted reads what shall run now. ok is false for an app without a release.
func (p *Platform) wanted(ctx context.Context, name AppName) (w want, ok bool, err error) {
	if w.app, err = p.Store.App(ctx, name); err != nil || w.app.Release == 0 {
		return w, false, err
	}
	if w.formation, err = p.Store.Formation(ctx, name); err != nil {
		return w, false, err
	}
	if w.release, err = p.Store.Release(ctx, name, w.app.Release); err != nil {
		return w, false, err
	}
	if err = p.addCanary(ctx, &w); err != nil {
		return w, false, err
	}
	err = p.equip(ctx, &w)
	return w, err == nil, err
}

// equip adds what the app was given beyond the defaults.
func (p *Platform) equip(ctx context.Context, w *want) (err error) {
	if w.settings, err = p.Store.Settings(ctx, w.app.Name); err != nil {
		return err
	}
	w.security, w.shut = p.opened(w.settings)
	rules, err := p.Store.EdgeRules(ctx, w.app.Name)
	w.routed = routedTypes(rules)
	if err != nil {
		return err
	}
	w.places = map[int]places{}
	for _, r := range []Release{w.release, w.canary} {
		if w.places[r.Number], err = p.places(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// slots lists the places of the formation, in a stable order. A stopped app has none.
func (w want) slots() []slot {
	if w.app.Stopped {
		return nil
	}
	var list []slot
	for _, typ := range slices.Sorted(maps.Keys(w.formation)) {
		if _, ok := w.at(slot{typ, 1}).release.Image.Processes[typ]; !ok || w.asleep && !slices.Contains(w.keep, typ) {
			continue
		}
		for n := 1; n <= w.formation[typ]; n++ {
			list = append(list, slot{typ, n})
		}
	}
	if w.asleep && !slices.Contains(w.keep, Web) {
		return list
	}
	return append(list, w.canarySlots()...)
}

// fits tells whether a running instance is one that w asks for.
func (w want) fits(i Instance) bool {
	s := slot{i.Type, i.Number}
	return i.Exit == nil && i.Release == w.at(s).release.Number && i.Epoch == w.app.epoch(i.Type) && slices.Contains(w.slots(), s)
}

// divide splits the app's instances into those that stay and those that are too much, and lists the
// slots that lack one.
func (w want) divide(have []Instance) (stay, excess []Instance, missing []slot) {
	filled := map[slot]bool{}
	for _, i := range have {
		s := slot{i.Type, i.Number}
		if w.fits(i) && !filled[s] {
			filled[s] = true
			stay = append(stay, i)
		} else {
			excess = append(excess, i)
		}
	}
	for _, s := range w.slots() {
		if !filled[s] && !w.lags(s.Type) { // nothing more is begun of what is being left
			missing = append(missing, s)
		}
	}
	return stay, excess, missing
}

// converge makes what runs match w, all or nothing: it starts what lacks, waits until that is healthy,
// moves the requests over, records the release as current, and lets go of what is too much. Until the
// requests move, a failure or the end of ctx undoes everything; after that it completes.
func (p *Platform) converge(ctx context.Context, w want, story *Story) error {
	leave, err := p.lane(w.app.Name).takeHelm(ctx)
	if err != nil {
		return err
	}
	defer leave()
	have, err := p.instances(ctx, w.app.Name)
	if err != nil {
		return err
	}
	stay, excess, missing := w.divide(have)
	if len(stay) > 0 {
		stay = p.stir(w.app.Name, stay)
	}
	rest, err := p.giveWay(ctx, w, excess, missing, story)
	if err == nil {
		err = p.advance(ctx, w, stay, rest, missing, story)
	}
	if err != nil && len(rest) < len(excess) {
		p.reconcileSoon(w.app.Name) // has what gave way started again
	}
	return err
}

// advance is converge from the first start on.
func (p *Platform) advance(ctx context.Context, w want, stay, excess []Instance, missing []slot, story *Story) error {
	started, err := p.launch(ctx, w, missing, story)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = p.durable(w)
	}
	if err == nil && w.note != nil {
		err = w.note(ctx)
	}
	if err != nil {
		p.discard(w.app.Name, started)
		return err
	}
	return p.adoptRelease(context.WithoutCancel(ctx), w, append(stay, started...), excess)
}

// durable waits until the disk has what is about to be live. The app has started meanwhile.
func (p *Platform) durable(w want) error {
	if err := p.Images.Durable(slices.Concat(w.release.Image.Layers, w.canary.Image.Layers)); err != nil {
		return fmt.Errorf("put v%d of %s on the disk: %w", w.release.Number, w.app.Name, err)
	}
	return nil
}

// adoptRelease is the point of no return: the swap, the record, the farewell.
func (p *Platform) adoptRelease(ctx context.Context, w want, running, excess []Instance) error {
	before := p.candidates(w.app.Name)
	p.endSleep(w.app.Name)
	after := w.app
	after.Release = w.release.Number
	drained := p.publish(ctx, after, running)
	if w.recall != nil {
		w.recall.live = time.Now()
	}
	if err := p.settle(ctx, w); err != nil {
		p.retire(w.app.Name, p.publish(ctx, w.app, before), without(running, before))
		p.spawn(func(ctx context.Context) { drained(ctx) })
		return err
	}
	p.calm(w.app.Name)
	p.endTroubles(w.app.Name, w.app.Release != w.release.Number)
	p.retireRelease(ctx, w, drained, excess)
	return nil
}

// settle does what is left and makes the release current.
func (p *Platform) settle(ctx context.Context, w want) error {
	if w.then != nil {
		if err := w.then(ctx); err != nil {
			return err
		}
	}
	if w.app.Release == w.release.Number {
		return nil
	}
	if err := p.Store.SetCurrent(ctx, w.app.Name, w.release.Number); err != nil {
		return fmt.Errorf("record %s v%d: %w", w.app.Name, w.release.Number, err)
	}
	return nil
}

// launch starts an instance for each slot, in parallel, and waits until all are healthy. The started
// ones are returned even when some failed; the caller discards or keeps them.
func (p *Platform) launch(ctx context.Context, w want, slots []slot, story *Story) ([]Instance, error) {
	var mu sync.Mutex
	var started []Instance
	var errs []error
	var wg sync.WaitGroup
	gates := w.gates()
	for _, s := range slots {
		wg.Go(func() {
			defer gates[s.Type].pass()()
			i, err := p.fill(ctx, w.at(s), s, story)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
			} else {
				started = append(started, i)
			}
		})
	}
	wg.Wait()
	if len(errs) > 0 {
		return started, errs[0] // the others are mostly the same: one sentence is enough
	}
	return started, nil
}

// startHealthy starts one instance and waits for its checks; an unhealthy one is gone afterwards.
func (p *Platform) startHealthy(ctx context.Context, w want, s slot, story *Story) (Instance, error) {
	spec, err := w.spec(s)
	if err != nil {
		p.sayNotStarted(ctx, w, s, err)
		return Instance{}, err
	}
	begun := p.Now()
	i, err := p.Runner.Start(ctx, spec)
	if err != nil {
		p.sayNotStarted(ctx, w, s, err)
		return i, fmt.Errorf("start %s.%d of %s v%d: %w", s.Type, s.Number, w.app.Name, w.release.Number, w.notStarted(s, err))
	}
	p.sayOf(EventStarted, i, "", "%s of v%d was started", i.Name(), i.Release)
	if story != nil {
		story.Line("%s started in %s", i.Name(), Seconds(p.Now().Sub(begun)))
	}
	if err := p.healthy(ctx, w, i, story); err != nil {
		p.discard(w.app.Name, []Instance{i})
		return i, err
	}
	p.sayOf(EventHealthy, i, "", "%s of v%d is healthy", i.Name(), i.Release)
	p.tend(w, i)
	return i, nil
}

// spec is what the runner needs to start an instance for the slot.
func (w want) spec(s slot) (InstanceSpec, error) {
	image := w.release.Image
	limits, err := limitsOf(w.settings, s.Type)
	mounts, mountErr := w.mounts(s.Type)
	return InstanceSpec{
		AppID: w.app.ID, App: w.app.Name, Release: w.release.Number, Epoch: w.app.epoch(s.Type),
		Type: s.Type, Number: s.Number, Image: image,
		Command: image.argv(s.Type), Env: environment(w.release),
		Limits: limits, Security: w.security, Mounts: mounts,
	}, cmp.Or(w.shut, err, mountErr)
}

// commandLine makes the argv that runs a Procfile line. In an image without a shell it is split at blanks.
func commandLine(image Image, line string) []string {
	if len(image.Shell) == 0 {
		return strings.Fields(line)
	}
	return append(slices.Clone(image.Shell), line)
}

// environment is what a release's processes see: the image's, then config vars, then who they are.
func environment(r Release) map[string]string {
	env := map[string]string{}
	maps.Copy(env, r.Image.Env)
	maps.Copy(env, r.Globals)
	maps.Copy(env, r.Config)
	env["PAAS_APP"] = string(r.App)
	env["PAAS_RELEASE"] = fmt.Sprintf("v%d", r.Number)
	if r.Commit != "" {
		env["GIT_REV"] = r.Commit
	}
	return env
}

// instances lists the app's instances that are not on their way out.
func (p *Platform) instances(ctx context.Context, name AppName) ([]Instance, error) {
	all, err := p.Runner.Instances(ctx)
	if err != nil {
		return nil, fmt.Errorf("list instances of %s: %w", name, err)
	}
	l := p.lane(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(all, func(i Instance) bool { return i.App != name || l.retiring[i.ID] }), nil
}

// hosts are the names the app answers to; its default ones always, and first.
func (p *Platform) hosts(ctx context.Context, name AppName) ([]string, error) {
	list, err := p.defaultHosts(ctx, name)
	if err != nil {
		return list, err
	}
	own, err := p.Store.Domains(ctx, name)
	return append(list, own...), err
}

// defaultHosts are the app's names below the platform's domains.
func (p *Platform) defaultHosts(ctx context.Context, name AppName) (list []string, err error) {
	domains, err := p.platformDomains(ctx)
	for _, d := range domains {
		list = append(list, string(name)+"."+d)
	}
	return list, err
}

func (p *Platform) defaultHost(name AppName) string {
	return strings.ToLower(fmt.Sprintf("%s.%s", name, p.Settings.Domain))
}

// retire lets requests on replaced instances finish and then stops them, in the background. A daemon
// that ends meanwhile leaves them to its successor's converge.
func (p *Platform) retire(name AppName, drained func(context.Context), excess []Instance) {
	p.markRetiring(name, excess)
	p.spawn(func(ctx context.Context) {
		draining, cancel := context.WithTimeout(ctx, p.drain(name))
		drained(draining)
		cancel()
		if ctx.Err() == nil {
			p.stopAll(ctx, excess)
		}
	})
}

// drain is how long requests in flight on an app's replaced instances may take.
func (p *Platform) drain(name AppName) time.Duration {
	l := p.lane(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.settings == nil || l.settings.Drain == 0 {
		return p.Settings.Drain
	}
	return l.settings.Drain
}

// discard stops instances that never served, at once and whatever happens to the caller.
func (p *Platform) discard(name AppName, list []Instance) {
	p.markRetiring(name, list)
	p.stopAll(p.life, list)
}

func (p *Platform) markRetiring(name AppName, list []Instance) {
	l := p.lane(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, i := range list {
		l.retiring[i.ID] = true
	}
}

func (p *Platform) stopAll(ctx context.Context, list []Instance) {
	var wg sync.WaitGroup
	for _, i := range list {
		wg.Go(func() { p.stop(ctx, i) })
	}
	wg.Wait()
}

// stop ends one instance for good. Ending ctx (the daemon ends) leaves it to the successor.
func (p *Platform) stop(ctx context.Context, i Instance) {
	if err := p.Runner.Stop(ctx, i.ID, p.Settings.Grace); err != nil && !errors.Is(err, context.Canceled) {
		p.Log.Error("stop", "instance", i.ID, "app", i.App, "err", err)
	}
	l := p.lane(i.App)
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.retiring, i.ID)
	delete(l.gone, i.ID)
	delete(l.unready, i.ID)
}

func without(list, remove []Instance) (rest []Instance) {
	for _, i := range list {
		if !slices.ContainsFunc(remove, func(r Instance) bool { return r.ID == i.ID }) {
			rest = append(rest, i)
		}
	}
	return rest
}
