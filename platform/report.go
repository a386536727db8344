package platform

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
)

// WholeReportInput is report.
type WholeReportInput struct {
	App string `arg:"app" optional:"true" help:"without it, a line for each app"`
}

// WholeReport is all that is known of an app, in parts that are other verbs' outputs. A part that could not be told is
// missing.
type WholeReport struct {
	App       AppView       `json:"app"`
	Processes ProcessList   `json:"processes"`
	Releases  ReleaseList   `json:"releases"` // the newest few
	Config    []string      `json:"config"`   // names only
	Git       GitReport     `json:"git"`
	Domains   *DomainReport `json:"domains,omitempty"`
}

// Reports is report.
type Reports []WholeReport

const reportedReleases = 5

// Text implements the verbs' output.
func (l Reports) Text(w io.Writer) error {
	for i, r := range l {
		if i > 0 {
			if _, err := io.WriteString(w, "\n"); err != nil {
				return err
			}
		}
		if err := r.text(w); err != nil {
			return err
		}
	}
	return nil
}

func (r WholeReport) text(w io.Writer) error {
	if err := r.App.Text(w); err != nil {
		return err
	}
	rows := [][]string{{"config", strings.Join(r.Config, " ")}}
	for _, p := range r.Processes {
		rows = append(rows, []string{"process " + p.Name, p.Status})
	}
	for _, v := range r.Releases {
		status := string(v.Status)
		if v.Current {
			status = "current"
		}
		rows = append(rows, []string{fmt.Sprintf("release v%d", v.Release), status + ": " + v.Description + " (" + v.Actor + ")"})
	}
	return table(w, nil, rows)
}

// ReportWhole shows all that is known of one app, or of every app that the caller sees.
func (p *Platform) ReportWhole(ctx context.Context, call Call, in WholeReportInput) (Reports, error) {
	if in.App != "" {
		r, err := p.reportOn(ctx, call, in.App)
		return Reports{r}, err
	}
	apps, err := p.List(ctx, call, struct{}{})
	if err != nil {
		return nil, err
	}
	list := Reports{}
	for _, app := range apps {
		r, err := p.reportOn(ctx, call, string(app.Name))
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, nil
}

func (p *Platform) reportOn(ctx context.Context, call Call, name string) (r WholeReport, err error) {
	in := AppInput{App: name}
	if r.App, err = p.Info(ctx, call, in); err != nil {
		return r, err
	}
	if r.Processes, err = p.Processes(ctx, call, in); err != nil {
		return r, err
	}
	if r.Releases, err = p.History(ctx, call, in); err != nil {
		return r, err
	}
	r.Releases = slices.Clip(r.Releases[:min(len(r.Releases), reportedReleases)])
	if r.Config, err = p.ListKeysOfConfig(ctx, call, ConfigKeysInput{App: name}); err != nil {
		return r, err
	}
	if r.Git, err = p.ReportGit(ctx, call, in); err != nil {
		return r, err
	}
	domains, err := p.Domains(ctx, call, DomainReportInput{App: name})
	r.Domains = &domains
	return r, err
}
