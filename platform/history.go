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

// History lists the app's releases, and tells how many of them can be rolled back to.
func (p *Platform) History(ctx context.Context, call Call, in AppInput) (ReleaseList, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return nil, err
	}
	canary, err := p.Store.Canary(ctx, app.Name)
	if err != nil {
		return nil, err
	}
	releases, err := p.Store.Releases(ctx, app.Name)
	list, kept := ReleaseList{}, 0
	for _, r := range releases {
		v := p.releaseView(app, canary, r)
		if v.ImageKept && v.Status == Live {
			kept++
		}
		list = append(list, v)
	}
	if call.Terminal != nil && len(list) > 0 {
		_, _ = fmt.Fprintf(call.Err, "%d of %d can be rolled back to, at most %d are kept: ssh paas releases:report %s\n",
			kept, len(list), p.releaseRules(ctx, app.Name).Retention, app.Name)
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
