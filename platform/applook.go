package platform

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// ExistsView is apps:exists.
type ExistsView struct {
	App    AppName `json:"app"`
	Exists bool    `json:"exists"`
}

// Text implements the verbs' output.
func (v ExistsView) Text(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%s exists.\n", v.App)
	return err
}

// Exists fails with kind NotFound for an app that is not there.
func (p *Platform) Exists(ctx context.Context, _ Call, in AppInput) (ExistsView, error) {
	app, err := p.find(ctx, in.App)
	return ExistsView{app.Name, err == nil}, err
}

// AppReportInput is apps:report.
type AppReportInput struct {
	App string `arg:"app" optional:"true" help:"without it, every app"`
}

// AppReport is all there is to say about an app in a few lines.
type AppReport struct {
	AppView
	Image    string   `json:"image"`
	Source   string   `json:"deploy_source"` // "git" or "image"; empty before the first
	Lock     LockView `json:"lock"`
	Config   int      `json:"config_vars"`
	Links    []string `json:"links"`
	Volumes  []string `json:"volumes"`
	Policy   string   `json:"restart_policy"`
	Releases int      `json:"releases"`
}

// Text implements the verbs' output: Dokku's layout.
func (r AppReport) Text(w io.Writer) error {
	locked := "false"
	if r.Lock.Locked {
		locked = r.Lock.sentence()
	}
	rows := [][]string{
		{"App name:", string(r.Name)}, {"App URL:", r.URL}, {"App domains:", strings.Join(r.Domains, " ")},
		{"App status:", r.Status}, {"App locked:", locked}, {"App created at:", r.CreatedAt.Format(time.RFC3339)},
		{"Release:", releaseName(r.Release)}, {"Releases:", strconv.Itoa(r.Releases)}, {"Deploy source:", r.Source},
		{"Commit:", r.Commit}, {"Image:", r.Image}, {"Builder:", r.Builder}, {"Deploy branch:", r.DeployBranch},
		{"Formation:", r.Formation.String()}, {"Config vars:", strconv.Itoa(r.Config)}, {"Restart policy:", r.Policy},
		{"Links:", strings.Join(r.Links, " ")}, {"Volumes:", strings.Join(r.Volumes, " ")},
	}
	if _, piped := w.(Piped); !piped {
		if _, err := fmt.Fprintf(w, "=====> %s app information\n", r.Name); err != nil {
			return err
		}
	}
	return table(w, nil, rows)
}

// AppReports is apps:report.
type AppReports []AppReport

// Text implements the verbs' output.
func (l AppReports) Text(w io.Writer) error {
	for _, r := range l {
		if err := r.Text(w); err != nil {
			return err
		}
	}
	return nil
}

// Report tells everything about an app, or about all.
func (p *Platform) Report(ctx context.Context, call Call, in AppReportInput) (AppReports, error) {
	apps, err := p.Store.Apps(ctx)
	if in.App != "" {
		var app App
		app, err = p.find(ctx, in.App)
		apps = []App{app}
	}
	if err != nil {
		return nil, err
	}
	sees, err := p.Sees(ctx, call.Actor)
	if err != nil {
		return nil, err
	}
	list := AppReports{}
	for _, app := range apps {
		if !sees(app.Name) {
			continue
		}
		r, err := p.reportOf(ctx, app)
		if err != nil {
			return nil, fmt.Errorf("report %s: %w", app.Name, err)
		}
		list = append(list, r)
	}
	return list, nil
}

func (p *Platform) reportOf(ctx context.Context, app App) (r AppReport, err error) {
	r = AppReport{Links: []string{}, Volumes: []string{}}
	if r.AppView, err = p.view(ctx, app.Name); err != nil {
		return r, err
	}
	lock, err := p.Store.Lock(ctx, app.Name)
	if err != nil {
		return r, err
	}
	r.Lock = lock.view(app.Name)
	config, err := p.Store.Config(ctx, app.Name)
	if err != nil {
		return r, err
	}
	r.Config = len(config)
	if r.Policy, err = p.Store.RestartPolicy(ctx, app.Name); err != nil {
		return r, err
	}
	links, err := p.Store.Links(ctx)
	if err != nil {
		return r, err
	}
	for _, l := range links {
		if l.App == app.Name {
			r.Links = append(r.Links, string(l.To))
		}
	}
	volumes, err := p.volumesOf(ctx, app.Name)
	for _, v := range volumes {
		r.Volumes = append(r.Volumes, string(v.Name))
	}
	if err != nil {
		return r, err
	}
	return r, p.reportReleases(ctx, app, &r)
}

func (p *Platform) reportReleases(ctx context.Context, app App, r *AppReport) error {
	releases, err := p.Store.Releases(ctx, app.Name)
	r.Releases = len(releases)
	for _, release := range releases {
		if release.Number != app.Release {
			continue
		}
		r.Image, r.Source = release.Image.ID, "image"
		if release.Commit != "" {
			r.Source = "git"
		}
	}
	return err
}
