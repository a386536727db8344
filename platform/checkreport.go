package platform

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"
)

// CheckReports are those of several apps.
type CheckReports []CheckReport

// CheckReport is how one app's processes are checked.
type CheckReport struct {
	App          AppName       `json:"app"`
	Processes    []CheckedType `json:"processes"`      // none before the first release
	WaitToRetire float64       `json:"wait_to_retire"` // seconds that requests on replaced instances may take
	Settings     []Setting     `json:"settings"`       // the app's own
	Last         []CheckResult `json:"last"`           // what came of the last checks, failed ones first
}

// CheckedType is one process type of it.
type CheckedType struct {
	Type   ProcessType `json:"process_type"`
	Mode   checkMode   `json:"mode"` // "enabled", "skipped" or "disabled"
	Checks []CheckView `json:"checks"`
}

// CheckView is one check as it is made.
type CheckView struct {
	Type         string  `json:"type"` // "startup", "liveness" or "readiness"
	Name         string  `json:"name"`
	What         string  `json:"what"`
	Attempts     int     `json:"attempts"`
	Timeout      float64 `json:"timeout"` // seconds
	Wait         float64 `json:"wait"`
	InitialDelay float64 `json:"initial_delay"`
	Warns        bool    `json:"warns"`
	Declared     bool    `json:"declared"` // false: the app declares none, so this one is made
}

// ReportChecks shows how one app's processes are checked, or all apps'.
func (p *Platform) ReportChecks(ctx context.Context, call Call, in ReportInput) (CheckReports, error) {
	apps, err := p.oneOrAll(ctx, call, in.App)
	if err != nil {
		return nil, err
	}
	list := CheckReports{}
	for _, app := range apps {
		r, err := p.checkReport(ctx, app)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, nil
}

func (p *Platform) checkReport(ctx context.Context, app App) (CheckReport, error) {
	settings, err := p.Store.Settings(ctx, app.Name)
	if err != nil {
		return CheckReport{}, err
	}
	edge, _, err := p.edgeSettings(ctx, app.Name)
	if err != nil {
		return CheckReport{}, err
	}
	r := CheckReport{
		App: app.Name, Processes: []CheckedType{}, WaitToRetire: edge.Drain.Seconds(),
		Settings: ofTopic(settings, ChecksTopic), Last: p.Transcripts(app.Name),
	}
	w, released, err := p.wanted(ctx, app.Name)
	if err != nil || !released {
		return r, err
	}
	for _, typ := range slices.Sorted(maps.Keys(w.release.Image.Processes)) {
		if typ == ReleasePhase {
			continue
		}
		of, err := p.checkedType(ctx, w, typ)
		if err != nil {
			return r, err
		}
		r.Processes = append(r.Processes, of)
	}
	return r, nil
}

func (p *Platform) checkedType(ctx context.Context, w want, typ ProcessType) (CheckedType, error) {
	rules, err := p.rules(ctx, w, typ)
	if err != nil {
		return CheckedType{}, err
	}
	of := CheckedType{Type: typ, Mode: rules.Mode}
	for _, c := range append(w.startupChecks(typ, rules, p.Settings.StartWait), w.lastingChecks(typ, rules)...) {
		of.Checks = append(of.Checks, CheckView{
			Type: c.kind(), Name: c.Name, What: c.What(), Attempts: c.Attempts, Timeout: c.Timeout.Seconds(), Wait: c.Wait.Seconds(),
			InitialDelay: c.InitialDelay.Seconds(), Warns: c.Warn, Declared: w.declares(typ, c),
		})
	}
	return of, nil
}

// declares tells a check of app.json from one that is made where there is none.
func (w want) declares(typ ProcessType, c Check) bool {
	return slices.ContainsFunc(w.release.Image.Checks[typ], func(d Check) bool { return d.Type == c.Type })
}

// kind is the check's type as people write it.
func (c Check) kind() string {
	if c.Type == Startup {
		return "startup"
	}
	return c.Type
}

// Text implements the verbs' output.
func (r CheckReport) Text(w io.Writer) error {
	rows := [][]string{{"app", string(r.App)}, {waitToRetireKey, seconds(r.WaitToRetire)}}
	for _, s := range r.Settings {
		rows = append(rows, []string{s.Key, s.Value + " (" + typeName(s.Type) + ")"})
	}
	for _, of := range r.Processes {
		rows = append(rows, []string{string(of.Type), string(of.Mode)})
		for _, c := range of.Checks {
			rows = append(rows, []string{"  " + c.Type + " " + c.Name, c.text()})
		}
	}
	if err := table(w, nil, rows); err != nil {
		return err
	}
	return tellTranscripts(w, r.Last)
}

func (c CheckView) text() string {
	text := c.What
	if c.Attempts > 1 {
		text += fmt.Sprintf(", %d attempts of %s, %s apart", c.Attempts, seconds(c.Timeout), seconds(c.Wait))
	}
	if c.InitialDelay > 0 {
		text += ", after " + seconds(c.InitialDelay)
	}
	if c.Warns {
		text += ", only warns"
	}
	if !c.Declared {
		text += " (the app declares none)"
	}
	return text
}

func seconds(s float64) string { return spellDuration(time.Duration(s * float64(time.Second))) }

// tellTranscripts shows the checks that failed.
func tellTranscripts(w io.Writer, list []CheckResult) error {
	for _, r := range list {
		if r.Passed {
			continue
		}
		for _, line := range r.Lines() {
			if _, err := fmt.Fprintln(w, printable(line)); err != nil {
				return err
			}
		}
	}
	return nil
}

// CheckRunInput is checks:run.
type CheckRunInput struct {
	App     string `arg:"app"`
	Process string `arg:"process" optional:"true" help:"a process type or process, like web or web.1; without it all"`
}

// CheckRun is what came of checks that were made now.
type CheckRun struct {
	App     AppName       `json:"app"`
	Passed  bool          `json:"passed"`
	Results []CheckResult `json:"results"`
}

// ExitStatus is 7 when a check failed.
func (r CheckRun) ExitStatus() int {
	if r.Passed {
		return 0
	}
	return unhealthyStatus
}

const unhealthyStatus = 7 // of the command line's contract

// Text implements the verbs' output.
func (r CheckRun) Text(w io.Writer) error {
	failed := 0
	for _, result := range r.Results {
		if !result.Passed && !result.Warns {
			failed++
		}
		for _, line := range result.Lines() {
			if _, err := fmt.Fprintln(w, printable(line)); err != nil {
				return err
			}
		}
	}
	if _, piped := w.(Piped); piped {
		return nil
	}
	_, err := fmt.Fprintln(w, strconv.Itoa(len(r.Results))+" checks, "+strconv.Itoa(failed)+" failed.")
	return err
}

// RunChecks makes the checks of instances that run, of every type, and shows their transcripts. Nothing comes of a
// failure.
func (p *Platform) RunChecks(ctx context.Context, call Call, in CheckRunInput) (CheckRun, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return CheckRun{}, err
	}
	leave, err := p.visit(ctx, app.Name)
	if err != nil {
		return CheckRun{}, err
	}
	defer leave()
	instances, err := p.chosen(ctx, app.Name, in.Process)
	if err != nil {
		return CheckRun{}, err
	}
	w, _, err := p.wanted(ctx, app.Name)
	if err != nil {
		return CheckRun{}, err
	}
	r := CheckRun{App: app.Name, Passed: true, Results: []CheckResult{}}
	story := NewStory(call.Err, p.Now)
	for _, i := range instances {
		results, err := p.checkNow(ctx, w.at(slot{i.Type, i.Number}), i, story)
		if err != nil {
			return r, err
		}
		for _, result := range results {
			r.Passed = r.Passed && (result.Passed || result.Warns)
		}
		call.Audit.Changed("checks of "+i.Name(), "", "made")
		r.Results = append(r.Results, results...)
	}
	return r, nil
}

// checkNow makes all checks of an instance beside each other, each to its end.
func (p *Platform) checkNow(ctx context.Context, w want, i Instance, story *Story) ([]CheckResult, error) {
	rules, err := p.rules(ctx, w, i.Type)
	if err != nil {
		return nil, err
	}
	checks := append(w.startupChecks(i.Type, rules, p.Settings.StartWait), w.lastingChecks(i.Type, rules)...)
	trials := make([]*trial, len(checks))
	done := make(chan struct{}, len(checks))
	for n, c := range checks {
		c.InitialDelay = 0 // it has been running for a while
		trials[n] = p.trial(w, i, c, story)
		go func() { _ = trials[n].run(ctx); done <- struct{}{} }()
	}
	for range checks {
		<-done
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var results []CheckResult
	for _, t := range trials {
		results = append(results, t.result)
	}
	return results, nil
}
