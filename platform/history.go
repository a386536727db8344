package platform

import (
	"context"
	"fmt"
	"io"
	"time"
)

// ReleaseView is a release as people see it; its config stays out of sight.
type ReleaseView struct {
	Release     int           `json:"release"`
	Status      ReleaseStatus `json:"status"`
	Description string        `json:"description"`
	Actor       string        `json:"actor"`
	Commit      string        `json:"commit"`
	CreatedAt   time.Time     `json:"created_at"`
	Current     bool          `json:"current"`
	Canary      float64       `json:"canary_percent,omitempty"` // of the clients; 0: it is no canary
	ImageKept   bool          `json:"image_kept"`               // false: it cannot be rolled back to any more
}

// ReleaseList is releases, newest first.
type ReleaseList []ReleaseView

// state is a release's status as people read it.
func (v ReleaseView) state() string {
	switch {
	case v.Current:
		return "current"
	case v.Canary > 0:
		return "canary " + showPercent(v.Canary)
	case !v.ImageKept:
		return string(v.Status) + ", image no longer kept"
	}
	return string(v.Status)
}

// Text implements the verbs' output.
func (l ReleaseList) Text(w io.Writer) error {
	var rows [][]string
	for _, v := range l {
		rows = append(rows, []string{releaseName(v.Release), v.state(), v.Description, v.Actor, v.CreatedAt.Format(time.RFC3339)})
	}
	return table(w, []string{"RELEASE", "STATUS", "DESCRIPTION", "BY", "AT"}, rows)
}

// ReleasesInput is releases.
type ReleasesInput struct {
	App   string `arg:"app"`
	Lines int    `flag:"num" short:"n" default:"30" value:"N" help:"only the newest N"`
	All   bool   `flag:"all" short:"a" help:"all that are kept, up to 500"`
}

// ListReleases lists the newest of an app's releases, and tells how many more there are and how many of all can be
// rolled back to.
func (p *Platform) ListReleases(ctx context.Context, call Call, in ReleasesInput) (ReleaseList, error) {
	if in.Lines < 1 {
		return nil, Errorf(Usage, "-n takes a number of releases, not %d", in.Lines)
	}
	all, err := p.History(ctx, call, AppInput{App: in.App})
	if err != nil || len(all) == 0 {
		return all, err
	}
	list := all
	if !in.All && len(all) > in.Lines {
		list = all[:in.Lines]
		_, _ = fmt.Fprintf(call.Err, "%d older ones are not shown: ssh paas releases %s --all\n", len(all)-len(list), in.App)
	} else if oldest := all[len(all)-1].Release; oldest > 1 {
		_, _ = fmt.Fprintf(call.Err, "v1 to v%d are forgotten: the newest %d are kept\n", oldest-1, len(all))
	}
	if call.Terminal != nil {
		_, _ = fmt.Fprintf(call.Err, "%d of %d can be rolled back to, at most %d are kept: ssh paas releases:report %s\n",
			all.kept(), len(all), p.releaseRules(ctx, AppName(in.App)).Retention, in.App)
	}
	return list, nil
}

// kept is how many of them can be rolled back to.
func (l ReleaseList) kept() (n int) {
	for _, v := range l {
		if v.ImageKept && v.Status == Live {
			n++
		}
	}
	return n
}

// History lists all of an app's releases that are kept, newest first.
func (p *Platform) History(ctx context.Context, _ Call, in AppInput) (ReleaseList, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return nil, err
	}
	canary, err := p.Store.Canary(ctx, app.Name)
	if err != nil {
		return nil, err
	}
	releases, err := p.Store.Releases(ctx, app.Name)
	list := ReleaseList{}
	for _, r := range releases {
		list = append(list, p.releaseView(app, canary, r))
	}
	return list, err
}

func (p *Platform) releaseView(app App, canary CanaryShare, r Release) ReleaseView {
	v := ReleaseView{
		Release: r.Number, Status: r.Status, Description: r.Description, Actor: r.Actor, Commit: r.Commit,
		CreatedAt: r.CreatedAt, Current: r.Number == app.Release, ImageKept: p.Images.Kept(r.Image.Layers),
	}
	if r.Number == canary.Release && !v.Current {
		v.Canary = canary.Percent
	}
	return v
}
