package platform

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// RollbackInput is rollback.
type RollbackInput struct {
	App     string `arg:"app"`
	Release string `arg:"release" optional:"true" help:"like v12; without it the one before the current"`
}

// RolledBack is what rollback did.
type RolledBack struct {
	To      int             `json:"to"`
	From    int             `json:"from"`
	Release int             `json:"release"` // the new one; From if there was nothing to undo
	Config  []string        `json:"config_changed"`
	Code    bool            `json:"code_changed"`
	Changes []ReleaseChange `json:"changes"`
	Undone  []UndoneRelease `json:"undone"`       // newest first
	Took    float64         `json:"milliseconds"` // until requests went to it
	Kept    bool            `json:"kept"`         // instances that stood still went on
}

// UndoneRelease is one whose changes do not hold any more.
type UndoneRelease struct {
	Release     int    `json:"release"`
	Description string `json:"description"`
	Actor       string `json:"actor"`
}

// Text implements the verbs' output.
func (r RolledBack) Text(w io.Writer) error {
	if r.Release == r.From {
		_, err := fmt.Fprintf(w, "No change: v%d, which is live, holds the same as v%d.\n", r.From, r.To)
		return err
	}
	how := "started afresh"
	if r.Kept {
		how = "its instances had been kept"
	}
	text := fmt.Sprintf("v%d is live in %s ms, equal to v%d (%s).\n", r.Release, showMillis(r.Took), r.To, how)
	for _, u := range r.Undone {
		text += fmt.Sprintf("Undid v%d: %s (%s)\n", u.Release, u.Description, u.Actor)
	}
	text += "Changed back: " + r.changedBack() + ".\n"
	_, err := io.WriteString(w, text)
	return err
}

// changedBack is the kinds of part, each with the names of those that are not as they were.
func (r RolledBack) changedBack() string {
	var kinds []string
	names := map[string][]string{}
	for _, c := range r.Changes {
		what := map[string]string{"image": "code", "config": "config vars", "process": "process types"}[c.What]
		if what == "" {
			what = c.What
		}
		if names[what] == nil {
			kinds = append(kinds, what)
			names[what] = []string{}
		}
		if c.Name != "" {
			names[what] = append(names[what], c.Name)
		}
	}
	for i, what := range kinds {
		kinds[i] = strings.TrimSpace(what + " " + strings.Join(names[what], ", "))
	}
	return strings.Join(kinds, "; ")
}

// showMillis has a decimal where it says something.
func showMillis(ms float64) string {
	if ms < 10 {
		return fmt.Sprintf("%.1f", ms)
	}
	return fmt.Sprintf("%.0f", ms)
}

// recall is a rollback to a release of which instances are kept.
type recall struct {
	release int
	live    time.Time   // when requests went to it
	used    atomic.Bool // an instance went on
}

// Rollback makes a new release equal to an old one, image, config and all else, and puts it live. One that differs
// in nothing from the current one is not made again.
func (p *Platform) Rollback(ctx context.Context, call Call, in RollbackInput) (RolledBack, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return RolledBack{}, err
	}
	leave, err := p.enter(ctx, app.Name, call)
	if err != nil {
		return RolledBack{}, err
	}
	defer leave()
	if err := p.unlocked(ctx, app.Name); err != nil {
		return RolledBack{}, err
	}
	if err := p.noCanary(ctx, app.Name); err != nil { // before what may be wrong with the target: it comes first
		return RolledBack{}, err
	}
	begun := time.Now()
	now, released, err := p.latest(ctx, app.Name)
	if err != nil {
		return RolledBack{}, err
	}
	if !released {
		return RolledBack{}, Errorf(Conflict, "%s has no release to roll back", app.Name)
	}
	target, err := p.rollbackTarget(ctx, now, in.Release)
	if err != nil {
		return RolledBack{}, err
	}
	back, err := p.undoing(ctx, now, target)
	if err != nil || target.same(now) {
		return back, err
	}
	return p.rollTo(ctx, call, target, back, begun)
}

// undoing tells what a rollback undoes.
func (p *Platform) undoing(ctx context.Context, now, target Release) (RolledBack, error) {
	back := RolledBack{
		To: target.Number, From: now.Number, Release: now.Number, Config: changedKeys(now.Config, target.Config),
		Code: now.Image.ID != target.Image.ID, Changes: releaseChanges(now, target), Undone: []UndoneRelease{},
	}
	list, err := p.Store.Releases(ctx, now.App)
	for _, r := range list {
		if r.Status == Live && r.Number > target.Number && r.Number <= now.Number {
			back.Undone = append(back.Undone, UndoneRelease{r.Number, r.Description, r.Actor})
		}
	}
	return back, err
}

// rollTo puts a release equal to the target live. begun is when it was asked for.
func (p *Platform) rollTo(ctx context.Context, call Call, target Release, back RolledBack, begun time.Time) (RolledBack, error) {
	drop, err := p.hold(target)
	if err != nil {
		return RolledBack{}, err
	}
	defer drop()
	next := target.again()
	next.Globals = target.Globals
	next.Description, next.Actor = fmt.Sprintf("Rollback to v%d", target.Number), call.Actor.Name
	if len(p.lane(target.App).keptTypes(target.Number)) > 0 {
		next.recall = &recall{release: target.Number}
	}
	made, err := p.release(ctx, next, NewStory(call.Err, p.Now))
	back.Release = made.Number
	if err != nil {
		return back, err
	}
	live := time.Now()
	if next.recall != nil {
		back.Kept, live = next.recall.used.Load(), next.recall.live
	}
	back.Took = float64(live.Sub(begun).Microseconds()) / 1000
	p.say(Event{
		Kind: EventRolledBack, App: target.App, Release: made.Number, Actor: call.Actor.Name,
		Text: fmt.Sprintf("v%d is live in %s ms, equal to v%d", made.Number, showMillis(back.Took), target.Number),
	})
	return back, nil
}

// rollbackTarget is the named release, or the newest one before the current that was live.
func (p *Platform) rollbackTarget(ctx context.Context, now Release, word string) (Release, error) {
	number := 0
	if word != "" {
		var err error
		if number, err = parseRelease(word); err != nil {
			return Release{}, err
		}
	}
	releases, err := p.Store.Releases(ctx, now.App)
	if err != nil {
		return Release{}, err
	}
	for _, r := range releases {
		if r.Number == number && r.Status != Live {
			return r, Errorf(Conflict, "v%d of %s was never live", number, now.App).WithHint("see which were: ssh paas releases %s", now.App)
		}
		if r.Status == Live && (r.Number == number || number == 0 && r.Number < now.Number) {
			return r, nil
		}
	}
	if number == 0 {
		return Release{}, Errorf(NotFound, "%s has no earlier release that was live", now.App).WithHint("see them: ssh paas releases %s", now.App)
	}
	return Release{}, NoRelease(now.App, number, releases)
}

// switchTo is converge. In a rollback to what is kept, requests move as soon as that goes on; process types of which
// nothing is kept follow, and if one of them does not start the release is live nevertheless.
func (p *Platform) switchTo(ctx context.Context, w want, story *Story) error {
	if w.recall == nil {
		return p.converge(ctx, w, story)
	}
	before, err := p.Store.Release(ctx, w.app.Name, w.app.Release)
	if err != nil {
		return err
	}
	first := w
	first.lag, first.first = before, p.lane(w.app.Name).keptTypes(w.recall.release)
	if err := p.converge(ctx, first, story); err != nil {
		return err
	}
	w.app.Release, w.recall = w.release.Number, nil
	if err := p.converge(ctx, w, story); err != nil {
		story.Warn("v%d is live, but not all of it runs yet: %s", w.release.Number, sentence(err))
		p.reconcileSoon(w.app.Name)
	}
	return nil
}

// lags tells whether a process type stays on the release before for now.
func (w want) lags(t ProcessType) bool {
	return w.lag.Number != 0 && !slices.Contains(w.first, t)
}
