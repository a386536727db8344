package platform

import (
	"context"
	"fmt"
	"io"
	"maps"
	"strconv"
	"strings"
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

// Text implements the verbs' output.
func (l ReleaseList) Text(w io.Writer) error {
	var rows [][]string
	for _, v := range l {
		status := string(v.Status)
		if v.Current {
			status = "current"
		} else if v.Canary > 0 {
			status = "canary " + showPercent(v.Canary)
		} else if !v.ImageKept {
			status += ", image no longer kept"
		}
		rows = append(rows, []string{releaseName(v.Release), status, v.Description, v.Actor, v.CreatedAt.Format(time.RFC3339)})
	}
	return table(w, []string{"RELEASE", "STATUS", "DESCRIPTION", "BY", "AT"}, rows)
}

// History lists the app's releases.
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
		view := ReleaseView{
			Release: r.Number, Status: r.Status, Description: r.Description, Actor: r.Actor,
			Commit: r.Commit, CreatedAt: r.CreatedAt, Current: r.Number == app.Release,
			ImageKept: p.Images.Kept(r.Image.Layers),
		}
		if r.Number == canary.Release && !view.Current {
			view.Canary = canary.Percent
		}
		list = append(list, view)
	}
	return list, err
}

// RollbackInput is rollback.
type RollbackInput struct {
	App     string `arg:"app"`
	Release string `arg:"release" optional:"true" help:"like v12; without it the one before the current"`
}

// RolledBack is what rollback did.
type RolledBack struct {
	To      int      `json:"to"`
	Release int      `json:"release"`
	Config  []string `json:"config_changed"`
	Code    bool     `json:"code_changed"`
}

// Text implements the verbs' output.
func (r RolledBack) Text(w io.Writer) error {
	var undone []string
	if r.Code {
		undone = append(undone, "code")
	}
	if len(r.Config) > 0 {
		undone = append(undone, "config vars "+strings.Join(r.Config, ", "))
	}
	if len(undone) == 0 {
		undone = []string{"nothing: they are equal"}
	}
	_, err := fmt.Fprintf(w, "v%d is live, equal to v%d. Changed back: %s.\n", r.Release, r.To, strings.Join(undone, "; "))
	return err
}

// Rollback makes a new release equal to an old one, image and config, and puts it live.
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
	w, released, err := p.wanted(ctx, app.Name)
	if err != nil {
		return RolledBack{}, err
	}
	if !released {
		return RolledBack{}, Errorf(Conflict, "%s has no release to roll back", app.Name)
	}
	target, err := p.rollbackTarget(ctx, w.app, in.Release)
	if err != nil {
		return RolledBack{}, err
	}
	drop, err := p.hold(target)
	if err != nil {
		return RolledBack{}, err
	}
	defer drop()
	back := RolledBack{
		To: target.Number, Config: changedKeys(w.release.Config, target.Config),
		Code: w.release.Image.ID != target.Image.ID,
	}
	made, err := p.release(ctx, Release{
		App: app.Name, Image: target.Image, Config: maps.Clone(target.Config), Globals: target.Globals, Actor: call.Actor.Name,
		Commit: target.Commit, Description: fmt.Sprintf("Rollback to v%d", target.Number),
	}, NewStory(call.Err, p.Now))
	back.Release = made.Number
	if err == nil {
		p.say(Event{
			Kind: EventRolledBack, App: app.Name, Release: made.Number, Actor: call.Actor.Name,
			Text: fmt.Sprintf("v%d is live, equal to v%d", made.Number, target.Number),
		})
	}
	return back, err
}

// rollbackTarget is the named release, or the newest one before the current that was live.
func (p *Platform) rollbackTarget(ctx context.Context, app App, word string) (Release, error) {
	releases, err := p.Store.Releases(ctx, app.Name)
	if err != nil {
		return Release{}, err
	}
	number := 0
	if word != "" {
		if number, err = strconv.Atoi(strings.TrimPrefix(word, "v")); err != nil || number < 1 {
			return Release{}, Errorf(Usage, "%q is not a release: write it like v12", word)
		}
	}
	for _, r := range releases {
		if r.Number == number && r.Status != Live {
			return r, Errorf(Conflict, "v%d of %s was never live", number, app.Name)
		}
		if r.Status == Live && (r.Number == number || number == 0 && r.Number < app.Release) {
			return r, nil
		}
	}
	missing := Errorf(NotFound, "%s has no release v%d", app.Name, number)
	if number == 0 {
		missing = Errorf(NotFound, "%s has no earlier release that was live", app.Name)
	}
	return Release{}, missing.WithHint("see them: ssh paas releases %s", app.Name)
}
