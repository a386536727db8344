package platform

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// ReleaseInfo is releases:info.
type ReleaseInfo struct {
	ReleaseView
	App       AppName                 `json:"app"`
	Image     string                  `json:"image"` // its digest
	Builder   string                  `json:"builder"`
	Processes map[ProcessType]string  `json:"processes"`
	Config    Config                  `json:"config"` // values masked
	Checks    map[ProcessType][]Check `json:"checks"`
	Mounts    []Mount                 `json:"mounts"`
	Links     []Link                  `json:"links"`
	Cron      []CronJob               `json:"cron"`
	Kept      int                     `json:"kept_instances"` // that stand still, for a rollback to it
	parts     []part
}

// Text implements the verbs' output.
func (r ReleaseInfo) Text(w io.Writer) error {
	rows := [][]string{
		{"release", releaseName(r.Release)}, {"status", r.state()}, {"description", r.Description}, {"by", r.Actor},
		{"at", r.CreatedAt.Format(time.RFC3339)}, {"kept instances", strconv.Itoa(r.Kept)},
	}
	for _, p := range r.parts {
		rows = append(rows, []string{strings.TrimSpace(p.What + " " + p.Name), p.shown()})
	}
	return table(w, nil, rows)
}

// ReleaseInfo shows all that one release holds.
func (p *Platform) ReleaseInfo(ctx context.Context, _ Call, in ReleaseInput) (ReleaseInfo, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return ReleaseInfo{}, err
	}
	r, err := p.namedRelease(ctx, app, in.Release)
	if err != nil {
		return ReleaseInfo{}, err
	}
	canary, err := p.Store.Canary(ctx, app.Name)
	if err != nil {
		return ReleaseInfo{}, err
	}
	info := ReleaseInfo{
		ReleaseView: p.releaseView(app, canary, r), App: app.Name, Image: r.Image.ID, Builder: r.Image.Builder,
		Processes: map[ProcessType]string{}, Config: masked(r.Config), Checks: map[ProcessType][]Check{},
		Mounts: append([]Mount{}, r.Spec.Mounts...), Links: append([]Link{}, r.Spec.Links...), Cron: append([]CronJob{}, r.Image.Cron...),
		parts: r.parts(),
	}
	for t := range r.Image.Processes {
		info.Processes[t] = r.Image.command(t)
	}
	for t, list := range r.Image.Checks {
		info.Checks[t] = list
	}
	for _, v := range p.keptViews(app.Name, p.Now()) {
		if v.Release == r.Number {
			info.Kept++
		}
	}
	return info, nil
}

// parseRelease reads "v12" or "12".
func parseRelease(word string) (int, error) {
	n, err := strconv.Atoi(strings.TrimPrefix(word, "v"))
	if err != nil || n < 1 {
		return 0, Errorf(Usage, "%q is not a release: write it like v12", word)
	}
	return n, nil
}

// ReleaseDiffInput is releases:diff.
type ReleaseDiffInput struct {
	App  string `arg:"app"`
	From string `arg:"from" help:"a release, like v11"`
	To   string `arg:"to" optional:"true" help:"another; without it the current one"`
}

// ReleaseDiff is what makes one release of another.
type ReleaseDiff struct {
	App     AppName         `json:"app"`
	From    int             `json:"from"`
	To      int             `json:"to"`
	Changes []ReleaseChange `json:"changes"`
}

// Text implements the verbs' output.
func (d ReleaseDiff) Text(w io.Writer) error {
	if len(d.Changes) == 0 {
		_, err := fmt.Fprintf(w, "v%d and v%d hold the same.\n", d.From, d.To)
		return err
	}
	var rows [][]string
	for _, c := range d.Changes {
		rows = append(rows, []string{c.What, c.Name, c.Change, c.Before, c.After})
	}
	return table(w, []string{"WHAT", "NAME", "CHANGE", releaseName(d.From), releaseName(d.To)}, rows)
}

// DiffReleases shows what changed from one release to another.
func (p *Platform) DiffReleases(ctx context.Context, _ Call, in ReleaseDiffInput) (ReleaseDiff, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return ReleaseDiff{}, err
	}
	from, err := p.namedRelease(ctx, app, in.From)
	if err != nil {
		return ReleaseDiff{}, err
	}
	to, err := p.namedRelease(ctx, app, in.To)
	return ReleaseDiff{app.Name, from.Number, to.Number, releaseChanges(from, to)}, err
}
