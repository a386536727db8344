package platform

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"time"
)

// What an app has run around a deploy, each in a container of its own:
//
//	build ─► predeploy ─► release ─► start ─► healthy ─► Swap ─► postdeploy ─► the release is current
//	           │ a layer     │                              ▲         │
//	           └─────────────┴── a failure ends it here     └─────────┘ a failure swaps back
//
// Until the release is current the one before it is what a successor of a killed daemon goes on with.

// Layering is the part of a Runner that keeps what a one-off container wrote.
type Layering interface {
	// RunLayer is Run without input, and when the command exits with 0 it makes a layer of what it wrote over its
	// image and returns its name in the content store; "" if it wrote nothing. Equal writes give equal layers.
	RunLayer(ctx context.Context, job JobSpec, out io.Writer) (layer string, exit Exit, err error)
}

// The process types of containers that run scripts of app.json.
const (
	predeployType  ProcessType = "predeploy"
	postdeployType ProcessType = "postdeploy"
)

// phase is one command of them.
type phase struct {
	typ  ProcessType // of its container
	what string      // for people: "release command"
	line string
	argv []string
}

func (i Image) script(typ ProcessType, line string) phase {
	return phase{typ: typ, what: string(typ) + " script", line: line, argv: i.entered(line)}
}

// releaseRuns tells whether w's release command is due: always for new code, otherwise as the app's setting says.
func (p *Platform) releaseRuns(ctx context.Context, w want, story *Story) (bool, error) {
	rules, err := phaseRulesOf(w.settings)
	if err != nil || w.release.Deployed || rules.When == runsAlways {
		return err == nil, err
	}
	if rules.When == runsOnDeploys {
		return false, nil
	}
	releases, err := p.Store.Releases(ctx, w.app.Name)
	if err != nil {
		return false, err
	}
	for _, r := range releases {
		if r.Status == Live && r.Image.ID == w.release.Image.ID && maps.Equal(r.Config, w.release.Config) {
			story.Line("The release command is not run: it was for v%d, which had the same code and config vars", r.Number)
			return false, nil
		}
	}
	return true, nil
}

// run runs a phase's command to its end. Its output is told, and becomes a part of the app's log.
func (p *Platform) runPhase(ctx context.Context, w want, ph phase, story *Story) error {
	_, err := p.phase(ctx, w, ph, story, func(ctx context.Context, job JobSpec, out io.Writer) (string, Exit, error) {
		exit, err := p.Runner.Run(ctx, job, nil, out, out)
		return "", exit, err
	})
	return err
}

type runner func(ctx context.Context, job JobSpec, out io.Writer) (layer string, exit Exit, err error)

func (p *Platform) phase(ctx context.Context, w want, ph phase, story *Story, run runner) (layer string, err error) {
	story.Phase("Running the %s: %s", ph.what, ph.line)
	spec, err := w.spec(slot{ph.typ, 1})
	if err != nil {
		return "", err
	}
	spec.Command = ph.argv
	if w.release.Number == 0 {
		delete(spec.Env, "PAAS_RELEASE")
	}
	rules, err := phaseRulesOf(w.settings)
	if err != nil {
		return "", err
	}
	late := ph.late(w.app.Name, rules.Timeout)
	ctx, cancel := context.WithTimeoutCause(ctx, rules.Timeout, late)
	defer cancel()
	out := p.phaseOutput(w.app.Name, story)
	layer, exit, err := run(ctx, JobSpec{InstanceSpec: spec}, out)
	_ = out.Close()
	switch {
	case errors.Is(context.Cause(ctx), late):
		return "", late
	case err != nil:
		return "", fmt.Errorf("run the %s of %s: %w", ph.what, w.app.Name, err)
	case exit.Code != 0:
		return "", ph.failed(w.app.Name, exit)
	}
	story.End()
	return layer, nil
}

func (ph phase) failed(app AppName, exit Exit) *Error {
	if ph.typ == ReleasePhase {
		return releaseFailed(app, ph.line, exit)
	}
	e := Errorf(Failed, "the %s failed: `%s` %s", ph.what, ph.line, exit)
	if exit.OOM {
		return e.WithHint("%s", moreMemory(app, ph.typ, exit.MemoryLimit))
	}
	return e
}

func (ph phase) late(app AppName, limit time.Duration) error {
	return Errorf(Timeout, "the %s took longer than %s and was ended: `%s`", ph.what, spellDuration(limit), ph.line).
		WithHint("give it more time: ssh paas ps:set %s %s %s", app, releaseTimeoutKey, spellDuration(2*limit))
}

// predeploy runs app.json's predeploy script in the image that was built, with the config vars and the network of the
// app. What it writes becomes a layer of the image, as in Dokku; so a rollback needs no second run. The caller
// drops the layer when the release is stored.
func (p *Platform) predeploy(ctx context.Context, r Release, story *Story) (_ Release, drop func(), err error) {
	nothing := func() {}
	if !r.Deployed || r.Image.Scripts.Predeploy == "" {
		return r, nothing, nil
	}
	w := want{release: r}
	if w.app, err = p.Store.App(ctx, r.App); err != nil {
		return r, nil, err
	}
	if err := p.equip(ctx, &w); err != nil {
		return r, nil, err
	}
	layer, err := p.phase(ctx, w, r.Image.script(predeployType, r.Image.Scripts.Predeploy), story, p.Runner.RunLayer)
	if err != nil || layer == "" {
		return r, nothing, err
	}
	if r.Image, err = r.Image.with(layer); err != nil {
		return r, nil, err
	}
	if drop, err = p.Images.Hold(r.Image.Layers); err != nil {
		return r, nil, fmt.Errorf("keep what the predeploy script of %s wrote: %w", r.App, err)
	}
	return r, drop, nil
}

// postdeploy runs the scripts for a release that serves already: Heroku's, if it is the app's first, then Dokku's.
func (p *Platform) postdeploy(ctx context.Context, w want, story *Story) error {
	scripts := w.release.Image.Scripts
	if w.app.Release != 0 {
		scripts.First = ""
	}
	for _, line := range []string{scripts.First, scripts.Postdeploy} {
		if line == "" {
			continue
		}
		if err := p.runPhase(ctx, w, w.release.Image.script(postdeployType, line), story); err != nil {
			return err
		}
	}
	return nil
}

// finishDeploy is what is left to do for a release that serves.
func (p *Platform) finishDeploy(ctx context.Context, w want, first bool, story *Story) error {
	if w.release.Deployed {
		if err := p.postdeploy(ctx, w, story); err != nil {
			return err
		}
	}
	if !first {
		return nil
	}
	return p.Store.SetFormation(ctx, w.app.Name, w.formation)
}
