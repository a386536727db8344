package platform

import (
	"context"
	"fmt"
	"io"
	"math"
	"strings"
)

// A canary is a second release that runs beside the current one and gets a part of the clients. Its web instances
// take the places behind the current one's: with web=2, web.3 is the canary's. Other process types run the current
// release only, since two releases of a worker would take jobs from each other.

// at is what is wanted for one place: the canary's release for the canary's, and for what is still to follow a
// rollback the one before.
func (w want) at(s slot) want {
	if w.lags(s.Type) {
		w.release = w.lag
	}
	if w.canary.Number != 0 && s.Type == Web && s.Number > w.formation[Web] {
		w.release = w.canary
	}
	return w
}

// canarySlots are as many as its share of the clients is of the instances, at least one.
func (w want) canarySlots() (list []slot) {
	if w.canary.Number == 0 {
		return nil
	}
	web := w.formation[Web]
	n := int(math.Ceil(float64(web) * w.share.Percent / 100))
	for i := range max(n, 1) {
		list = append(list, slot{Web, web + 1 + i})
	}
	return list
}

func (p *Platform) addCanary(ctx context.Context, w *want) (err error) {
	w.share, err = p.Store.Canary(ctx, w.app.Name)
	if err != nil || w.share.Release == 0 || w.share.Release == w.release.Number {
		return err
	}
	w.canary, err = p.Store.Release(ctx, w.app.Name, w.share.Release)
	return err
}

// noCanary refuses what would make a third release.
func (p *Platform) noCanary(ctx context.Context, app AppName) error {
	share, err := p.Store.Canary(ctx, app)
	if err != nil || share.Release == 0 {
		return err
	}
	return Errorf(Conflict, "v%d of %s is a canary: promote or abort it first", share.Release, app).
		WithHint("ssh paas releases:promote %s, or ssh paas releases:abort %s", app, app)
}

// CanaryInput is releases:canary.
type CanaryInput struct {
	App     string `arg:"app"`
	Percent string `arg:"percent" help:"of the clients, like 10%"`
	Release string `arg:"release" optional:"true" help:"like v12; without it the canary that runs, or else the next push"`
}

// CanaryReport is what releases:canary leaves.
type CanaryReport struct {
	App     AppName `json:"app"`
	Current int     `json:"current"`
	Release int     `json:"release"` // 0: the next push
	Percent float64 `json:"percent"`
}

// Text implements the verbs' output.
func (r CanaryReport) Text(w io.Writer) error {
	if r.Release == 0 {
		_, err := fmt.Fprintf(w, "The next push to %s gets %s of the clients.\n", r.App, showPercent(r.Percent))
		return err
	}
	_, err := fmt.Fprintf(w, "v%d of %s gets %s of the clients, v%d the others.\n", r.Release, r.App, showPercent(r.Percent), r.Current)
	return err
}

// StartCanary gives a part of the clients to a second release, or another part, or arms the next push to be one.
func (p *Platform) StartCanary(ctx context.Context, call Call, in CanaryInput) (CanaryReport, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return CanaryReport{}, err
	}
	var share CanaryShare
	if err := setPercent(&share.Percent, in.Percent); err != nil {
		return CanaryReport{}, err
	}
	leave, err := p.enter(ctx, app.Name, call)
	if err != nil {
		return CanaryReport{}, err
	}
	defer leave()
	if err := p.unlocked(ctx, app.Name); err != nil {
		return CanaryReport{}, err
	}
	w, ok, err := p.wanted(ctx, app.Name)
	if err == nil && !ok {
		err = Errorf(Conflict, "%s has no release yet that a canary could run beside", app.Name)
	}
	if err != nil {
		return CanaryReport{}, err
	}
	share.Release, err = canaryNumber(in.Release, w)
	if err == nil && share.Release == 0 {
		err = p.Store.SetCanary(ctx, app.Name, share)
	} else if err == nil {
		err = p.runCanary(ctx, w, share, NewStory(call.Err, p.Now))
	}
	if err != nil {
		return CanaryReport{}, err
	}
	r := CanaryReport{app.Name, w.release.Number, share.Release, share.Percent}
	p.say(Event{Kind: EventCanary, App: app.Name, Release: share.Release, Actor: call.Actor.Name, Text: sentenceOf(r)})
	return r, nil
}

// sentenceOf is a report's text as an event.
func sentenceOf(r interface{ Text(io.Writer) error }) string {
	var b strings.Builder
	_ = r.Text(&b) // a Builder takes everything
	return strings.TrimSuffix(b.String(), ".\n")
}

// canaryNumber is the release that was named, or the canary that runs, or 0 for the next push.
func canaryNumber(word string, w want) (int, error) {
	if word == "" {
		return w.canary.Number, nil
	}
	n, err := parseRelease(word)
	if err != nil {
		return 0, err
	}
	if n == w.release.Number {
		return 0, Errorf(Conflict, "v%d is what serves all clients of %s", n, w.app.Name).WithHint("name another: ssh paas releases %s", w.app.Name)
	}
	return n, nil
}

// runCanary starts a release that was live before, or changes the share of the one that runs.
func (p *Platform) runCanary(ctx context.Context, w want, share CanaryShare, story *Story) error {
	before := w.canary
	if share.Release != before.Number {
		r, err := p.Store.Release(ctx, w.app.Name, share.Release)
		if err != nil {
			return err
		}
		if r.Status != Live {
			return Errorf(Conflict, "v%d of %s was never live", r.Number, w.app.Name).
				WithHint("to try out what is new: ssh paas releases:canary %s %s, and push", w.app.Name, showPercent(share.Percent))
		}
		if err := p.bring(ctx, &w, r); err != nil {
			return err
		}
	}
	if err := p.besides(ctx, w, share, story); err != nil {
		return err
	}
	if before.Number != 0 && before.Number != share.Release && before.Status == Pending {
		return p.Store.FailRelease(ctx, w.app.Name, before.Number)
	}
	return nil
}

// bring makes r the canary of w, with what it mounts.
func (p *Platform) bring(ctx context.Context, w *want, r Release) (err error) {
	w.canary = r
	if w.places[r.Number], err = p.places(ctx, r); err != nil {
		return err
	}
	return w.places[r.Number].lost()
}

// besides has w's canary run with a share of the clients. The caller holds the lane.
func (p *Platform) besides(ctx context.Context, w want, share CanaryShare, story *Story) error {
	if _, serves := w.canary.Image.Processes[Web]; !serves {
		return Errorf(Conflict, "v%d of %s has no web process that clients could be given to", w.canary.Number, w.app.Name)
	}
	if w.app.Stopped {
		return Errorf(Conflict, "%s is stopped", w.app.Name).WithHint("start it: ssh paas ps:start %s", w.app.Name)
	}
	drop, err := p.hold(w.canary)
	if err != nil {
		return err
	}
	defer drop()
	w.share = share
	w.note = func(ctx context.Context) error { return p.Store.SetCanary(ctx, w.app.Name, share) }
	return p.converge(ctx, w, story)
}

// armed tells whether the app's next push shall be a canary.
func (p *Platform) armed(ctx context.Context, app App) (CanaryShare, bool, error) {
	share, err := p.Store.Canary(ctx, app.Name)
	return share, share.Release == 0 && share.Percent > 0 && app.Release != 0 && !app.Stopped, err
}

// releaseBesides numbers r and runs it as a canary. It stays pending until it is promoted.
func (p *Platform) releaseBesides(ctx context.Context, r Release, share CanaryShare, story *Story) (Release, error) {
	if err := p.mayRelease(ctx, r); err != nil {
		return r, err
	}
	r, drop, err := p.predeploy(ctx, r, story)
	if err != nil {
		return r, err
	}
	defer drop()
	if r, err = p.Store.AddRelease(ctx, r); err != nil {
		return r, fmt.Errorf("record release of %s: %w", r.App, err)
	}
	if err := p.goBesides(ctx, r, share, story); err != nil {
		if failed := p.Store.FailRelease(context.WithoutCancel(ctx), r.App, r.Number); failed != nil {
			p.Log.Error("mark failed", "app", r.App, "release", r.Number, "err", failed)
		}
		return r, err
	}
	p.endTroubles(r.App, true) // what was pushed runs
	return r, nil
}

func (p *Platform) goBesides(ctx context.Context, r Release, share CanaryShare, story *Story) error {
	w, _, err := p.wanted(ctx, r.App)
	if err != nil {
		return err
	}
	if err := p.bring(ctx, &w, r); err != nil {
		return err
	}
	first := w
	first.release = r
	if err := p.releasePhase(ctx, first, story); err != nil {
		return err
	}
	story.Phase("Launching v%d as a canary", r.Number)
	share.Release = r.Number
	if err := p.besides(ctx, w, share, story); err != nil {
		return err
	}
	story.End()
	return nil
}

// Promoted is releases:promote.
type Promoted struct {
	App     AppName `json:"app"`
	Release int     `json:"release"`
}

// Text implements the verbs' output.
func (r Promoted) Text(w io.Writer) error {
	_, err := fmt.Fprintf(w, "v%d of %s serves all clients.\n", r.Release, r.App)
	return err
}

// PromoteCanary gives all clients to the canary.
func (p *Platform) PromoteCanary(ctx context.Context, call Call, in AppInput) (Promoted, error) {
	w, leave, err := p.enterCanary(ctx, call, in.App)
	if err != nil {
		return Promoted{}, err
	}
	defer leave()
	if err := p.unlocked(ctx, w.app.Name); err != nil {
		return Promoted{}, err
	}
	drop, err := p.hold(w.canary)
	if err != nil {
		return Promoted{}, err
	}
	defer drop()
	canary, name, story := w.canary, w.app.Name, NewStory(call.Err, p.Now)
	if canary.Status == Pending {
		w.release, w.canary = canary, Release{}
		w.then = func(ctx context.Context) error { return p.postdeploy(ctx, w, story) }
		err = p.converge(ctx, w, story)
	} else { // it has its place in history already: a release equal to it is made, as rollback does
		canary, err = p.putLive(ctx, Release{
			App: name, Image: canary.Image, Config: canary.Config, Spec: canary.Spec, Actor: call.Actor.Name, Commit: canary.Commit,
			Description: fmt.Sprintf("Promote v%d", canary.Number),
		}, story)
	}
	if err != nil {
		return Promoted{}, err
	}
	if err := p.forgetCanary(context.WithoutCancel(ctx), name); err != nil {
		return Promoted{}, err
	}
	r := Promoted{name, canary.Number}
	p.say(Event{Kind: EventDeployed, App: name, Release: r.Release, Actor: call.Actor.Name, Text: sentenceOf(r)})
	return r, nil
}

// forgetCanary is after its requests have gone elsewhere.
func (p *Platform) forgetCanary(ctx context.Context, name AppName) error {
	if err := p.Store.SetCanary(ctx, name, CanaryShare{}); err != nil {
		return err
	}
	app, err := p.Store.App(ctx, name)
	if err != nil {
		return err
	}
	p.drainLater(p.republish(ctx, app, func(list []Instance) []Instance { return list }))
	return nil
}

// AbortCanary gives the canary's clients back to the current release.
func (p *Platform) AbortCanary(ctx context.Context, call Call, in AppInput) (Done, error) {
	if done, err := p.disarm(ctx, in); err != nil || done.Message != "" {
		return done, err
	}
	w, leave, err := p.enterCanary(ctx, call, in.App)
	if err != nil {
		return Done{}, err
	}
	defer leave()
	ctx = context.WithoutCancel(ctx)
	name := w.app.Name
	if err := p.Store.SetCanary(ctx, name, CanaryShare{}); err != nil {
		return Done{}, err
	}
	var its []Instance
	drained := p.republish(ctx, w.app, func(list []Instance) []Instance {
		for _, i := range list {
			if i.Release == w.canary.Number {
				its = append(its, i)
			}
		}
		return without(list, its)
	})
	p.retire(name, drained, its)
	p.reconcileSoon(name)
	if w.canary.Status == Pending {
		err = p.Store.FailRelease(ctx, name, w.canary.Number)
	}
	done := donef("v%d of %s serves all clients; the canary v%d ends.", w.release.Number, name, w.canary.Number)
	p.say(Event{Kind: EventCanary, App: name, Release: w.canary.Number, Actor: call.Actor.Name, Text: strings.TrimSuffix(done.Message, ".")})
	return done, err
}

// disarm lets the next push be an ordinary one.
func (p *Platform) disarm(ctx context.Context, in AppInput) (Done, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return Done{}, err
	}
	if _, armed, err := p.armed(ctx, app); err != nil || !armed {
		return Done{}, err
	}
	return donef("The next push to %s gets all clients.", app.Name), p.Store.SetCanary(ctx, app.Name, CanaryShare{})
}

// enterCanary takes the lane of an app that has a canary.
func (p *Platform) enterCanary(ctx context.Context, call Call, name string) (w want, leave func(), err error) {
	app, err := p.find(ctx, name)
	if err != nil {
		return w, nil, err
	}
	if leave, err = p.enter(ctx, app.Name, call); err != nil {
		return w, nil, err
	}
	if w, _, err = p.wanted(ctx, app.Name); err == nil && w.canary.Number == 0 {
		err = Errorf(Conflict, "%s has no canary", app.Name).WithHint("start one: ssh paas releases:canary %s 10%%", app.Name)
	}
	if err != nil {
		leave()
	}
	return w, leave, err
}
