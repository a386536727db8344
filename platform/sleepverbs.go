package platform

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// SleepInput is ps:sleep.
type SleepInput struct {
	App  string `arg:"app"`
	Stop bool   `flag:"stop" help:"stop its processes, too, so that they hold no memory"`
}

// PutToSleep lets an app sleep now, whether it may sleep by itself or not. Whatever wakes apps wakes it.
func (p *Platform) PutToSleep(ctx context.Context, call Call, in SleepInput) (Done, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return Done{}, err
	}
	if err := p.readIdle(ctx, app.Name); err != nil {
		return Done{}, err
	}
	before := p.lane(app.Name).depth()
	if before == Awake {
		err = p.fall(ctx, app.Name, 0)
	}
	if errors.Is(err, errBusy) {
		return Done{}, Errorf(Conflict, "%s is in use, is being changed, or does not run as it should", app.Name).
			WithHint("see how it is: ssh paas ps %s", app.Name)
	}
	if err != nil {
		return Done{}, err
	}
	if in.Stop && p.lane(app.Name).depth() == Frozen && !p.sink(ctx, app.Name, call.Actor.Name+" asked for it") {
		return Done{}, Errorf(Conflict, "%s was woken, or is being changed", app.Name)
	}
	call.Audit.Changed("sleep", string(before), string(p.lane(app.Name).depth()))
	return donef("%s sleeps; a request wakes it.", app.Name), nil
}

// RouseApp is ps:wake.
func (p *Platform) RouseApp(ctx context.Context, call Call, in AppInput) (Done, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return Done{}, err
	}
	before := p.lane(app.Name).depth()
	if before == Awake {
		return donef("%s is awake.", app.Name), nil
	}
	if err := p.Wake(ctx, app.Name); err != nil {
		return Done{}, err
	}
	call.Audit.Changed("sleep", string(before), "awake")
	return donef("Woke %s.", app.Name), nil
}

// ProcessReport is ps:report: what holds for an app's processes, and how it sleeps.
type ProcessReport struct {
	App           AppName       `json:"app"`
	Status        string        `json:"status"`
	RestartPolicy string        `json:"restart_policy"`
	Idle          string        `json:"idle"`
	IdleReclaim   string        `json:"idle_reclaim"`
	IdleStop      string        `json:"idle_stop"`
	IdleKeep      []ProcessType `json:"idle_keep"`
	Sleep         *SleepView    `json:"sleep"` // null: it is awake

	ReleasePhase   string `json:"release_phase"`   // for which releases the release command runs: "changes", "all" or "deploys"
	ReleaseTimeout string `json:"release_timeout"` // of it and of app.json's scripts
}

// SleepView is a sleep as people see it.
type SleepView struct {
	Depth Depth     `json:"depth"` // "frozen" or "stopped"
	Since time.Time `json:"since"`
	Given int64     `json:"given_back_bytes"` // memory
	Held  int64     `json:"held_bytes"`       // memory that it still has
}

// Text implements the verbs' output.
func (r ProcessReport) Text(w io.Writer) error {
	return table(w, nil, [][]string{
		{"app", string(r.App)}, {"status", r.Status}, {"restart-policy", r.RestartPolicy},
		{releasePhaseKey, r.ReleasePhase}, {releaseTimeoutKey, r.ReleaseTimeout},
		{"idle", r.Idle}, {"idle-reclaim", r.IdleReclaim}, {"idle-stop", r.IdleStop}, {"idle-keep", cmp.Or(idleRules{Keep: r.IdleKeep}.keptNames(), "nothing")},
	})
}

// ReportProcesses shows how one app's processes are treated, or all apps'.
func (p *Platform) ReportProcesses(ctx context.Context, call Call, in ReportInput) (ProcessReports, error) {
	apps, err := p.oneOrAll(ctx, call, in.App)
	if err != nil {
		return nil, err
	}
	list := ProcessReports{}
	for _, app := range apps {
		rules := p.idleRules(app.Name)
		settings, err := p.Store.Settings(ctx, app.Name)
		if err != nil {
			return nil, err
		}
		phases, err := phaseRulesOf(settings)
		if err != nil {
			return nil, err
		}
		r := ProcessReport{
			ReleasePhase: phases.When, ReleaseTimeout: spellDuration(phases.Timeout),
			App: app.Name, Status: p.status(app), RestartPolicy: p.policy(ctx, app.Name).String(),
			Idle: spellIdle(rules.After), IdleReclaim: spellIdle(rules.Reclaim), IdleStop: spellIdle(rules.Stop),
			IdleKeep: append([]ProcessType{}, rules.Keep...),
		}
		if s := p.lane(app.Name).napping(); s.Depth != Awake {
			r.Sleep = &SleepView{s.Depth, s.Since, s.Given, p.heldBy(ctx, p.lane(app.Name))}
			r.Status = s.text(p.Now(), r.Sleep.Held)
		}
		list = append(list, r)
	}
	return list, nil
}

// ProcessReports are those of several apps.
type ProcessReports []ProcessReport

// Text implements the verbs' output.
func (list ProcessReports) Text(w io.Writer) error {
	for i, r := range list {
		if i > 0 {
			if _, err := fmt.Fprintln(w); err != nil {
				return err
			}
		}
		if err := r.Text(w); err != nil {
			return err
		}
	}
	return nil
}

func spellIdle(d time.Duration) string {
	if d == 0 {
		return "off"
	}
	return spellDuration(d)
}

// text says it as people read it: "sleeping since 3h, 84 MiB given back, 12 MiB held".
func (s Sleep) text(now time.Time, held int64) string {
	text := "sleeping since " + roughly(now.Sub(s.Since))
	if s.Depth == Stopped {
		text += ", stopped"
	}
	if s.Given > 0 {
		text += ", " + Bytes(s.Given) + " given back"
	}
	if held > 0 {
		text += ", " + Bytes(held) + " held"
	}
	return text
}
