package platform

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// ImportInput is apps:import.
type ImportInput struct {
	Apps      []string `arg:"old-app" rest:"optional" help:"only these of the bundle, by their names there"`
	Script    bool     `flag:"script" help:"print the script that makes a bundle of a Dokku host"`
	DryRun    bool     `flag:"dry-run" help:"change nothing, show the plan"`
	Overwrite bool     `flag:"overwrite" help:"also change config vars that have another value here"`
}

// ImportStep is one thing that apps:import did, would do, or cannot.
type ImportStep struct {
	App    AppName `json:"app"`
	Text   string  `json:"text"`
	Manual bool    `json:"manual"` // it could not be brought over: a person has to
}

// Imported is what apps:import did, app by app.
type Imported struct {
	Steps  []ImportStep `json:"steps"`
	DryRun bool         `json:"dry_run"`
	script bool
}

// Text implements the verbs' output.
func (r Imported) Text(w io.Writer) error {
	if r.script {
		_, err := io.WriteString(w, exportScript)
		return err
	}
	var b strings.Builder
	for _, s := range r.Steps {
		mark := " "
		if s.Manual {
			mark = "!"
		}
		fmt.Fprintf(&b, "%s %s: %s\n", mark, s.App, s.Text)
	}
	if r.DryRun {
		b.WriteString("Nothing was changed.\n")
	} else if len(r.Steps) == 0 {
		b.WriteString("Everything is here already.\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Import makes the apps of a bundle here, with config vars, formation, domains, builder, limits and volumes. What is
// here already stays as it is, so it can be repeated; what has no like here is told, one line each.
func (p *Platform) Import(ctx context.Context, call Call, in ImportInput) (Imported, error) {
	if in.Script {
		return Imported{Steps: []ImportStep{}, script: true}, nil
	}
	b, err := readBundle(call.In)
	if err != nil {
		return Imported{}, err
	}
	names := b.apps()
	if len(names) == 0 || len(names) > maxBundleApps {
		return Imported{}, notBundle(fmt.Sprintf("it has %d apps", len(names)))
	}
	for _, name := range in.Apps {
		if !slices.Contains(names, name) {
			return Imported{}, Errorf(NotFound, "the bundle has no app %q: it has %s", name, strings.Join(names, ", "))
		}
	}
	i := &importing{p: p, ctx: ctx, call: call, in: in, bundle: b, made: map[VolumeName]bool{}, done: Imported{Steps: []ImportStep{}, DryRun: in.DryRun}}
	if len(in.Apps) > 0 {
		names = slices.DeleteFunc(names, func(name string) bool { return !slices.Contains(in.Apps, name) })
	}
	for _, name := range names {
		if why := i.unnamed(name, names); why != "" {
			i.name = AppName(name)
			i.manual("not brought over, %s", why)
			continue
		}
		if err := i.app(name); err != nil {
			return i.done, fmt.Errorf("import %s: %w", name, err)
		}
	}
	return i.done, nil
}

// importing is one use of apps:import. old is an app's name there, name the one here.
type importing struct {
	p      *Platform
	ctx    context.Context
	call   Call
	in     ImportInput
	bundle bundle
	done   Imported

	made map[VolumeName]bool // by this import: several of its apps may have one

	old   string
	name  AppName
	here  bool // it is there, or was made: in a dry run it may not be
	there App
}

// step tells what is done, and does it unless this is a dry run. What only fails for this one thing is told.
func (i *importing) step(text string, do func() error) error {
	if i.in.DryRun {
		i.done.Steps = append(i.done.Steps, ImportStep{App: i.name, Text: text})
		return nil
	}
	var e *Error
	if err := do(); errors.As(err, &e) && e.Kind != Internal {
		i.manual("%s: %s", text, strings.TrimSuffix(e.Message, "."))
		return nil
	} else if err != nil {
		return err
	}
	i.done.Steps = append(i.done.Steps, ImportStep{App: i.name, Text: text})
	return nil
}

func (i *importing) manual(format string, args ...any) {
	i.done.Steps = append(i.done.Steps, ImportStep{App: i.name, Text: fmt.Sprintf(format, args...), Manual: true})
}

var notInAppNames = regexp.MustCompile(`[^a-z0-9-]+`)

// nameHere is a valid name that is as near as can be: Dokku allows dots and digits where there are none here.
func nameHere(old string) (AppName, error) {
	word := strings.Trim(notInAppNames.ReplaceAllString(strings.ToLower(old), "-"), "-")
	if word != "" && word[0] >= '0' && word[0] <= '9' {
		word = "app-" + word
	}
	return ParseAppName(word)
}

// unnamed tells why an app can have no name here: there is none like it, or another of those that come has it.
func (i *importing) unnamed(old string, all []string) (why string) {
	name, err := nameHere(old)
	if err != nil {
		return "its name does not fit: " + strings.TrimSuffix(i.p.Human(err).Message, ".")
	}
	if other := claimant(name, all); other != old {
		return fmt.Sprintf("it would be called %s here, as %s: rename one of them on the old host", name, other)
	}
	return ""
}

// claimant is whose the name here is: the app's that is called so there, or else the first that would be.
func claimant(name AppName, all []string) string {
	if slices.Contains(all, string(name)) {
		return string(name)
	}
	for _, other := range all {
		if would, err := nameHere(other); err == nil && would == name {
			return other
		}
	}
	return ""
}

func (i *importing) app(old string) (err error) {
	i.old = old
	if i.name, err = nameHere(old); err != nil {
		return err
	}
	if err := i.create(); err != nil {
		return err
	}
	for _, part := range []func() error{
		i.config, i.formation, i.domains, i.builder, i.buildpacks, i.branch, i.policy, i.limits, i.volumes,
	} {
		if err := part(); err != nil {
			return err
		}
	}
	i.rest()
	return nil
}

func (i *importing) create() (err error) {
	i.there, err = i.p.Store.App(i.ctx, i.name)
	i.here = err == nil
	if err == nil {
		return nil
	}
	if KindOf(err) != NotFound {
		return err
	}
	text := "created"
	if string(i.name) != i.old {
		text = fmt.Sprintf("created for %s, which is no name here", i.old)
	}
	if i.in.DryRun {
		return i.step(text, nil)
	}
	if _, err := i.p.Create(i.ctx, i.call, CreateInput{App: string(i.name)}); err != nil {
		return err
	}
	i.here = true
	i.there, err = i.p.Store.App(i.ctx, i.name)
	i.done.Steps = append(i.done.Steps, ImportStep{App: i.name, Text: text})
	return err
}
