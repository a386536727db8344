package platform

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"
)

// RunTopic is the topic of settings about one-off commands.
const RunTopic Topic = "run"

// runRules say how many one-off commands of an app may run, and how long those that ended are kept.
type runRules struct {
	limit int
	keep  time.Duration
}

const (
	usualOneOffs = 20
	mostOneOffs  = 1000
	leastKept    = time.Minute
	mostKept     = 366 * 24 * time.Hour

	runLimitKey = "limit"
	runKeepKey  = "keep"
)

func (r *runRules) take(key, value string) (err error) {
	switch key {
	case runLimitKey:
		if r.limit, err = strconv.Atoi(value); err != nil || r.limit < 1 || r.limit > mostOneOffs {
			return Errorf(Usage, "%q is no number of commands from 1 to %d", value, mostOneOffs)
		}
	case runKeepKey:
		if r.keep, err = time.ParseDuration(value); err != nil || r.keep < leastKept || r.keep > mostKept {
			return Errorf(Usage, "%q is no time from a minute to a year: write it like 720h", value)
		}
	default:
		return Errorf(Usage, "run:set has no property %q", key).WithHint("it has limit and keep")
	}
	return nil
}

// runRules reads what holds for an app.
func (p *Platform) runRules(ctx context.Context, name AppName) (runRules, error) {
	r := runRules{limit: usualOneOffs, keep: oneOffKeepFor}
	list, err := p.Store.Settings(ctx, name)
	if err != nil {
		return r, err
	}
	for key, value := range resolve(list, RunTopic, "") {
		if err := r.take(key, value); err != nil {
			return r, fmt.Errorf("read settings of one-off commands of %s: %w", name, err)
		}
	}
	return r, nil
}

// RunSetInput is run:set.
type RunSetInput struct {
	App   string `arg:"app"`
	Key   string `arg:"property" help:"limit: how many run at once; keep: how long those that ended are listed"`
	Value string `arg:"value" optional:"true" help:"like 5, or 720h; none brings the default back"`
}

// SetRun changes what holds for an app's one-off commands.
func (p *Platform) SetRun(ctx context.Context, call Call, in RunSetInput) (RunReport, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return RunReport{}, err
	}
	if in.Value != "" || in.Key != runLimitKey && in.Key != runKeepKey {
		if err := (&runRules{}).take(in.Key, in.Value); err != nil {
			return RunReport{}, err
		}
	}
	changes := []Setting{{Topic: RunTopic, Key: in.Key, Value: in.Value}}
	if err := p.Store.ChangeSettings(ctx, app.Name, call.Actor.Name, changes); err != nil {
		return RunReport{}, err
	}
	p.saySettings(EventRunSet, app, call, changes)
	return p.ReportRun(ctx, call, AppInput{App: in.App})
}

// RunReport is run:report.
type RunReport struct {
	App   AppName `json:"app"`
	Limit int     `json:"limit"`
	Keep  string  `json:"keep"`
	Open  int     `json:"open"`
}

// Text implements the verbs' output.
func (r RunReport) Text(w io.Writer) error {
	return table(w, nil, [][]string{
		{"limit", fmt.Sprintf("%d at once", r.Limit)}, {"open", strconv.Itoa(r.Open)}, {"keep", r.Keep + " after their end"},
	})
}

// ReportRun shows what holds for an app's one-off commands.
func (p *Platform) ReportRun(ctx context.Context, _ Call, in AppInput) (RunReport, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return RunReport{}, err
	}
	rules, err := p.runRules(ctx, app.Name)
	if err != nil {
		return RunReport{}, err
	}
	open, err := p.Store.OneOffs(ctx, OneOffQuery{App: app.Name, Open: true})
	return RunReport{App: app.Name, Limit: rules.limit, Keep: roughly(rules.keep), Open: len(open)}, err
}
