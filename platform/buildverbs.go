package platform

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// BuildsInput is builds:list.
type BuildsInput struct {
	App   string `arg:"app" optional:"true"`
	Lines int    `flag:"lines" short:"n" default:"30" help:"how many at most, the newest"`
}

// BuildList is builds:list.
type BuildList []BuildView

// BuildView is a build as people see it.
type BuildView struct {
	Build
	Position int     `json:"position,omitempty"` // in the queue, from 1
	Seconds  float64 `json:"seconds"`            // since it began, waiting included
}

func (p *Platform) viewBuild(b Build) BuildView {
	end := b.EndedAt
	if end.IsZero() {
		end = p.Now()
	}
	return BuildView{Build: b, Seconds: end.Sub(b.CreatedAt).Seconds()}
}

// Text implements the verbs' output.
func (l BuildList) Text(w io.Writer) error {
	var rows [][]string
	for _, b := range l {
		release := ""
		if b.Release > 0 {
			release = releaseName(b.Release)
		}
		rows = append(rows, []string{
			string(b.App), strconv.Itoa(b.Number), b.status(), b.CreatedAt.Format(time.RFC3339), fmt.Sprintf("%.1fs", b.Seconds),
			b.Actor, shortCommit(b.Commit), release, printable(b.Cause),
		})
	}
	return table(w, []string{"APP", "BUILD", "STATUS", "BEGAN", "SECONDS", "BY", "COMMIT", "RELEASE", "CAUSE"}, rows)
}

func (b BuildView) status() string {
	if b.Position > 0 {
		return fmt.Sprintf("%s (%s)", b.Status, ordinal(b.Position))
	}
	return string(b.Status)
}

// ListBuilds lists an app's builds, newest first; without an app those of all that run and wait, in the order of
// the queue, as far as the caller sees the apps.
func (p *Platform) ListBuilds(ctx context.Context, call Call, in BuildsInput) (BuildList, error) {
	if in.Lines < 1 {
		return nil, Errorf(Usage, "-n takes a number of builds, not %d", in.Lines)
	}
	if in.App == "" {
		sees, err := p.Sees(ctx, call.Actor)
		if err != nil {
			return nil, err
		}
		return slices.DeleteFunc(p.queuedBuilds(), func(b BuildView) bool { return !sees(b.App) }), nil
	}
	app, err := p.find(ctx, in.App)
	if err != nil {
		return nil, err
	}
	builds, err := p.allBuilds(ctx, app, in.Lines)
	list := BuildList{}
	for _, b := range builds {
		list = append(list, p.positioned(b))
	}
	return list, err
}

// allBuilds are the newest n builds, those under way as they are now.
func (p *Platform) allBuilds(ctx context.Context, app App, n int) ([]Build, error) {
	live := p.underWay(app.ID) // before the others: a build that ends now is in one of them, or in both
	builds, err := p.Store.Builds(ctx, app.Name, n)
	if err != nil {
		return nil, err
	}
	for _, b := range live {
		now := b.now()
		builds = slices.DeleteFunc(builds, func(o Build) bool { return o.Number == now.Number })
		builds = append(builds, now)
	}
	slices.SortFunc(builds, func(a, b Build) int { return b.Number - a.Number })
	return builds[:min(n, len(builds))], nil
}

func (p *Platform) queuedBuilds() BuildList {
	list := BuildList{}
	for _, b := range p.underWay(0) {
		if now := b.now(); !now.Status.Over() {
			list = append(list, p.positioned(now))
		}
	}
	slices.SortStableFunc(list, func(a, b BuildView) int { return a.Position - b.Position })
	return list
}

// positioned is a build with its position in the queue, if it waits.
func (p *Platform) positioned(b Build) BuildView {
	v := p.viewBuild(b)
	for _, live := range p.underWay(0) {
		if live.app.Name == b.App && live.record.Number == b.Number && b.Status == BuildQueued {
			v.Position = p.queue.place(&live.turn)
		}
	}
	return v
}

// findBuild finds a build that a person named, the app's newest without a number.
func (p *Platform) findBuild(ctx context.Context, appName, number string) (App, Build, error) {
	app, err := p.find(ctx, appName)
	if err != nil {
		return app, Build{}, err
	}
	n := 0
	if number != "" && number != "current" { // as Dokku calls the newest
		if n, err = strconv.Atoi(strings.TrimPrefix(number, "#")); err != nil || n < 1 {
			return app, Build{}, Errorf(Usage, "%q is no number of a build", number).WithHint("see them: ssh paas builds:list %s", app.Name)
		}
	}
	for _, b := range slices.Backward(p.underWay(app.ID)) {
		if now := b.now(); n == 0 || now.Number == n {
			return app, now, nil
		}
	}
	if n == 0 {
		if n, err = p.Store.LastBuild(ctx, app.Name); err != nil {
			return app, Build{}, err
		}
	}
	if n == 0 {
		return app, Build{}, Errorf(NotFound, "%s was never built", app.Name).WithHint("push it: git push paas main")
	}
	b, err := p.Store.Build(ctx, app.Name, n)
	return app, b, withHint(err, "see which are kept: ssh paas builds:list %s", app.Name)
}

// BuildNumberInput is builds:info and builds:cancel.
type BuildNumberInput struct {
	App    string `arg:"app"`
	Number string `arg:"number" optional:"true"`
}

// InfoOfBuild shows one build.
func (p *Platform) InfoOfBuild(ctx context.Context, _ Call, in BuildNumberInput) (BuildView, error) {
	_, b, err := p.findBuild(ctx, in.App, in.Number)
	if err != nil {
		return BuildView{}, err
	}
	return p.positioned(b), nil
}

// Text implements the verbs' output.
func (b BuildView) Text(w io.Writer) error {
	rows := [][]string{
		{"app", string(b.App)}, {"build", strconv.Itoa(b.Number)}, {"status", b.status()}, {"by", b.Actor}, {"commit", b.Commit},
		{"builder", b.Builder}, {"release", releaseName(b.Release)}, {"cause", printable(b.Cause)},
		{"began", b.CreatedAt.Format(time.RFC3339)}, {"took", fmt.Sprintf("%.2fs", b.Seconds)}, {"waited", fmt.Sprintf("%.2fs", b.Waited)},
		{"memory", b.memory()}, {"output", b.printed()},
	}
	for _, p := range b.Phases {
		rows = append(rows, []string{"phase", fmt.Sprintf("%.2fs  %s", p.Seconds, printable(p.Name))})
	}
	for _, s := range b.Steps {
		rows = append(rows, []string{"step", fmt.Sprintf("%.2fs  %s %s", s.Seconds, s.Name, s.result())})
	}
	return table(w, nil, slices.DeleteFunc(rows, func(r []string) bool { return r[1] == "" }))
}

func (b BuildView) memory() string {
	if b.MemoryPeak == 0 {
		return ""
	}
	return fmt.Sprintf("%s at most, of %s", Bytes(b.MemoryPeak), Bytes(b.MemoryLimit))
}

func (b BuildView) printed() string {
	if b.OutputCut > 0 {
		return fmt.Sprintf("%s, of which %s are not kept", Bytes(b.Output), Bytes(b.OutputCut))
	}
	return Bytes(b.Output)
}

// CancelBuild ends a build that runs or waits. What runs of the app goes on; once requests have moved to the
// new release it is too late.
func (p *Platform) CancelBuild(ctx context.Context, call Call, in BuildNumberInput) (Done, error) {
	app, build, err := p.findBuild(ctx, in.App, in.Number)
	if err != nil {
		return Done{}, err
	}
	for _, b := range p.underWay(app.ID) {
		if now := b.now(); now.Number == build.Number && !now.Status.Over() {
			b.cancel(Errorf(Interrupted, "the build was cancelled by %s; nothing changed", call.Actor.Name))
			call.Audit.Changed(fmt.Sprintf("build %d", build.Number), string(now.Status), string(BuildCancelled))
			return donef("Cancelled build %d of %s.", build.Number, app.Name), nil
		}
	}
	return Done{}, Errorf(Conflict, "build %d of %s has ended: %s", build.Number, app.Name, build.Status)
}
