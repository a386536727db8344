package platform

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
)

// RestoreInput is trash:restore.
type RestoreInput struct {
	What   string `arg:"what" help:"a name or a number of trash:list"`
	As     string `flag:"as" value:"NAME" help:"under another name: the old one may be taken"`
	DryRun bool   `flag:"dry-run" help:"restore nothing, show what would come back"`
}

// Restored is what came back.
type Restored struct {
	Kind    TrashKind `json:"kind"`
	Name    string    `json:"name"`
	Release int       `json:"release,omitempty"` // that serves again
	Lost    []string  `json:"not_restored"`      // what somebody else has now
	Problem string    `json:"problem,omitempty"` // why it does not run
	DryRun  bool      `json:"dry_run,omitempty"`
}

// Text implements the verbs' output.
func (r Restored) Text(w io.Writer) error {
	lines := []string{fmt.Sprintf("Restored the %s %s.", r.Kind, r.Name)}
	if r.DryRun {
		lines = []string{fmt.Sprintf("This would restore the %s %s.", r.Kind, r.Name)}
	}
	if r.Release > 0 {
		lines = append(lines, fmt.Sprintf("v%d is live.", r.Release))
	}
	for _, what := range r.Lost {
		lines = append(lines, fmt.Sprintf("Without %s: somebody else has it now.", what))
	}
	if r.Problem != "" {
		lines = append(lines, "It does not run: "+r.Problem+".")
	}
	_, err := fmt.Fprintln(w, strings.Join(lines, "\n"))
	return err
}

// RestoreTrash brings back what was destroyed. An app comes with its releases, config, repository, settings, volumes,
// certificates, log, and those of its domains and ports that nobody took, and runs again.
func (p *Platform) RestoreTrash(ctx context.Context, call Call, in RestoreInput) (Restored, error) {
	t, err := p.trashNamed(ctx, call.Actor, in.What)
	if err != nil {
		return Restored{}, err
	}
	name := t.Name
	if in.As != "" {
		name = in.As
	}
	switch t.Kind {
	case TrashedApp:
		return p.restoreApp(ctx, call, t, name, in)
	case TrashedVolume:
		return p.restoreVolume(ctx, call, t, name, in)
	default:
		return p.restoreConfig(ctx, call, t, in)
	}
}

// elsewhere tells who wants a taken name back what to write.
func elsewhere(err error, t Trashed) error {
	var e *Error
	if !errors.As(err, &e) || e.Kind != Conflict {
		return err
	}
	return e.WithHint("give it another name: ssh paas trash:restore %d --as %s-2", t.ID, t.Name)
}

func (p *Platform) restoreApp(ctx context.Context, call Call, t Trashed, word string, in RestoreInput) (Restored, error) {
	name, err := p.freeName(ctx, word)
	r := Restored{Kind: t.Kind, Name: word, Lost: []string{}, DryRun: in.DryRun}
	if err != nil || in.DryRun {
		return r, elsewhere(err, t)
	}
	leave, err := p.enter(ctx, name, call)
	if err != nil {
		return r, err
	}
	defer leave()
	lost, err := p.Store.RestoreApp(ctx, t, name)
	if err != nil {
		return r, elsewhere(err, t)
	}
	r.Lost = append(r.Lost, lost...)
	call.Audit.About(name)
	p.say(Event{Kind: EventAppRestored, App: name, Actor: call.Actor.Name, Text: "the app was brought back from the trash"})
	ctx = context.WithoutCancel(ctx) // it is back: half of it would help nobody
	if err := p.returned(ctx, t, name); err != nil {
		return r, fmt.Errorf("restore %s: %w", name, err)
	}
	err = p.startRestored(ctx, call, name, &r)
	return r, err
}

// returned puts everything but instances in its place again.
func (p *Platform) returned(ctx context.Context, t Trashed, name AppName) error {
	app, err := p.Store.App(ctx, name)
	if err != nil {
		return err
	}
	from := Move{TrashName(AppName(t.Name), t.ID), name}
	return errors.Join(p.follow(ctx, from), p.readIdle(ctx, name), p.wish(ctx, app), p.setWalls(ctx))
}

// startRestored puts the app's release live. That it does not run is told, and no failure: the app is back.
func (p *Platform) startRestored(ctx context.Context, call Call, name AppName, r *Restored) error {
	w, released, err := p.wanted(ctx, name)
	if err != nil || !released {
		return err
	}
	drop, err := p.hold(w.release)
	if err == nil {
		defer drop()
		err = p.converge(ctx, w, NewStory(call.Err, p.Now))
	}
	if err != nil {
		r.Problem = strings.TrimSuffix(sentence(err), ".")
		p.reconcileSoon(name)
		return nil
	}
	r.Release = w.release.Number
	return nil
}

func (p *Platform) restoreVolume(ctx context.Context, call Call, t Trashed, word string, in RestoreInput) (Restored, error) {
	name, err := ParseVolumeName(word)
	r := Restored{Kind: t.Kind, Name: word, Lost: []string{}, DryRun: in.DryRun}
	if err != nil || in.DryRun {
		return r, err
	}
	if err := p.Store.RestoreVolume(ctx, t, name); err != nil {
		return r, elsewhere(err, t)
	}
	p.say(Event{Kind: EventStorage, Actor: call.Actor.Name, Text: fmt.Sprintf("the volume %s was brought back from the trash", name)})
	return r, nil
}

// restoreConfig sets config vars again that were cleared. What was set since stays as it is.
func (p *Platform) restoreConfig(ctx context.Context, call Call, t Trashed, in RestoreInput) (Restored, error) {
	r := Restored{Kind: t.Kind, Name: t.Name, Lost: []string{}, DryRun: in.DryRun}
	if in.As != "" {
		return r, Errorf(Usage, "config vars come back to their app; --as is for apps and volumes")
	}
	apps, err := p.Store.Apps(ctx)
	if err != nil {
		return r, err
	}
	for _, app := range apps {
		if app.ID == t.AppID {
			r.Name = string(app.Name)
			call.Audit.About(app.Name)
		}
	}
	if in.DryRun {
		return r, nil
	}
	e := edit{app: r.Name, verb: "Restore", change: func(now Config) {
		back := maps.Clone(t.Detail.Config)
		for key, value := range now {
			if before, was := back[key]; was && before != value {
				r.Lost = append(r.Lost, "the old value of "+key)
			}
		}
		maps.Copy(back, now)
		maps.Copy(now, back)
	}}
	if t.AppID == 0 {
		e.app, e.global = "", true
	}
	done, err := p.editConfig(ctx, call, e)
	if err != nil {
		return r, err
	}
	r.Release = done.Release
	return r, p.Store.Undiscard(ctx, t.ID)
}
