package platform

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// StackInput names a stack.
type StackInput struct {
	Stack string `arg:"stack" optional:"true" help:"debian unless another is named"`
}

func (in StackInput) name() string {
	if in.Stack == "" {
		return DefaultStack
	}
	return in.Stack
}

// StackChange is what a new version of a stack brought.
type StackChange struct {
	Stack   string    `json:"stack"`
	From    int       `json:"from"`
	Version int       `json:"version"` // equal to From if nothing was newer
	Newer   []string  `json:"newer"`   // packages with their versions
	Apps    []Rebased `json:"apps"`
}

// Text implements the verbs' output.
func (c StackChange) Text(w io.Writer) error {
	lines := []string{fmt.Sprintf("%s v%d is current.", c.Stack, c.Version)}
	if c.From == c.Version {
		lines[0] = fmt.Sprintf("%s v%d is up to date.", c.Stack, c.Version)
	}
	for _, n := range c.Newer {
		lines = append(lines, "  "+n)
	}
	for _, r := range c.Apps {
		lines = append(lines, r.line())
	}
	_, err := fmt.Fprintln(w, strings.Join(lines, "\n"))
	return err
}

func (r Rebased) line() string {
	switch r.Outcome {
	case rebaseDone:
		return fmt.Sprintf("%s v%d is live on it, without a build.", r.App, r.Release)
	case rebaseNeeded:
		return fmt.Sprintf("%s needs a push to get it: %s.", r.App, r.Reason)
	}
	return fmt.Sprintf("%s stays as it was: %s.", r.App, r.Reason)
}

// ExitStatus is 1 if an app that could have been put on the version did not come up on it.
func (c StackChange) ExitStatus() int {
	if slices.ContainsFunc(c.Apps, func(r Rebased) bool { return r.Outcome == rebaseFailed }) {
		return 1
	}
	return 0
}

// stackRoom is how many bytes a version of a stack may take.
const stackRoom = 512 << 20

// UpdateStack asks for updates of what is in a stack, makes a version of it that has them, and puts the apps on it.
func (p *Platform) UpdateStack(ctx context.Context, call Call, in StackInput) (StackChange, error) {
	story := NewStory(call.Err, p.Now)
	if _, err := p.makeRoom(ctx, stackRoom); err != nil {
		return StackChange{}, err
	}
	now, err := p.readyStack(ctx, in.name(), story)
	if err != nil {
		return StackChange{}, err
	}
	next, newer, err := p.newerStack(ctx, call, now, story)
	story.End()
	if err != nil {
		return StackChange{}, fmt.Errorf("update stack %s: %w", now.Name, err)
	}
	if next.Layer == now.Layer {
		apps, err := p.rebaseAll(ctx, call, now) // those that an earlier update did not reach
		return StackChange{Stack: now.Name, From: now.Number, Version: now.Number, Newer: []string{}, Apps: apps}, err
	}
	return p.adoptStack(ctx, call, now, next, newer)
}

// newerStack makes the next version, or returns now.
func (p *Platform) newerStack(ctx context.Context, call Call, now Stack, story *Story) (Stack, []string, error) {
	from, changed, err := p.pulledAgain(ctx, call, now, story)
	if err != nil {
		return now, nil, err
	}
	sets, err := p.packageSets(ctx, from)
	if err != nil {
		return now, nil, err
	}
	story.Phase("Asking Debian's mirror for updates of %s", versionName(now))
	next, newer, err := p.Bases.UpdateBase(ctx, from, sets, story)
	if err != nil {
		return now, nil, err
	}
	if len(newer) == 0 {
		next = from
	}
	newer = append(changed, newer...)
	next.Description = "Updated " + strings.Join(newer, ", ")
	const long = 200
	if len(next.Description) > long {
		next.Description = fmt.Sprintf("Updated %d packages", len(newer))
	}
	return next, newer, nil
}

// pulledAgain is the base of what the stack's image is now. One that was loaded from an archive stays as it is.
func (p *Platform) pulledAgain(ctx context.Context, call Call, now Stack, story *Story) (Stack, []string, error) {
	if now.Image == "" {
		return now, nil, nil
	}
	v, err := p.pull(ctx, call, now.Image, false)
	if err != nil {
		story.Warn("%s cannot be pulled again, so only Debian is asked: %s", now.Image, sentence(err))
		return now, nil, nil
	}
	if strings.HasSuffix(now.Source, v.Digest) {
		return now, nil, nil
	}
	next, err := p.baseOfImage(ctx, now.Name, v, story)
	return next, []string{now.Image + " → " + v.Digest}, err
}

func (p *Platform) baseOfImage(ctx context.Context, name string, v Pulled, story *Story) (Stack, error) {
	keep, err := p.Images.Hold(v.Image.Layers)
	if err != nil {
		return Stack{}, err
	}
	defer keep()
	s, err := p.Bases.BaseOf(ctx, v.Image, story)
	s.Name, s.Image, s.Source = name, v.Reference, v.Reference+"@"+v.Digest
	s.Kind = "image " + v.Reference + " " + s.Kind
	return s, err
}

// packageSets are the Debian packages that apps on the stack have over it.
func (p *Platform) packageSets(ctx context.Context, s Stack) (sets [][]string, err error) {
	images, err := p.currentImages(ctx)
	for _, r := range images {
		if on := r.Image.Stack; on != nil && on.Layer == s.Layer {
			for _, names := range on.Packages {
				sets = append(sets, names)
			}
		}
	}
	slices.SortFunc(sets, slices.Compare)
	return slices.CompactFunc(sets, slices.Equal), err
}

// adoptStack records a version and puts the apps on it.
func (p *Platform) adoptStack(ctx context.Context, call Call, from, next Stack, newer []string) (StackChange, error) {
	p.stackMu.Lock()
	next, err := p.addStack(ctx, call.Actor, next)
	p.stackMu.Unlock()
	if err != nil {
		return StackChange{}, err
	}
	c := StackChange{Stack: next.Name, From: from.Number, Version: next.Number, Newer: append([]string{}, newer...)}
	c.Apps, err = p.rebaseAll(ctx, call, next)
	return c, err
}

// RollbackStackInput is stacks:rollback.
type RollbackStackInput struct {
	Stack   string `arg:"stack" help:"like debian"`
	Version string `arg:"version" optional:"true" help:"like v1; without it the one before the current"`
}

// RollbackStack makes a version equal to an earlier one and puts the apps on it.
func (p *Platform) RollbackStack(ctx context.Context, call Call, in RollbackStackInput) (StackChange, error) {
	now, err := p.currentStack(ctx, in.Stack)
	if err != nil {
		return StackChange{}, err
	}
	target, err := p.earlierStack(ctx, now, in.Version)
	if err != nil {
		return StackChange{}, err
	}
	if err := p.Bases.RestoreBase(ctx, target); err != nil {
		return StackChange{}, Errorf(Conflict, "%s is listed, but its layers are no longer kept", versionName(target)).
			WithHint("see which are: ssh paas stacks:list").Because(err)
	}
	next := target
	next.Description = fmt.Sprintf("Rollback to v%d", target.Number)
	return p.adoptStack(ctx, call, now, next, nil)
}

// earlierStack is the version that a word like v1 names, or the newest one that differs from the current.
func (p *Platform) earlierStack(ctx context.Context, now Stack, word string) (Stack, error) {
	all, err := p.Store.Stacks(ctx)
	if err != nil {
		return now, err
	}
	for _, s := range all {
		before := word == "" && s.Number < now.Number && s.Layer != now.Layer
		if s.Name == now.Name && (before || word == fmt.Sprintf("v%d", s.Number) || word == fmt.Sprint(s.Number)) {
			return s, nil
		}
	}
	if word == "" {
		return now, Errorf(Conflict, "%s has no earlier version", now.Name)
	}
	return now, Errorf(NotFound, "%s has no version %s", now.Name, word).WithHint("see them: ssh paas stacks:list")
}

// SetStackInput is stacks:set.
type SetStackInput struct {
	Stack     string `arg:"stack" help:"a new name, or one that is there"`
	Image     string `flag:"image" value:"REFERENCE" help:"a Debian image that is pulled, or was pulled or loaded"`
	PlainHTTP bool   `flag:"plain-http" help:"the registry has no TLS"`
}

var stackWord = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$`)

func checkStackName(name string) error {
	if stackWord.MatchString(name) {
		return nil
	}
	return Errorf(Usage, "%q is not a stack's name: use lower-case letters, digits and dashes", name)
}

// SetStack makes a version of a stack from an image, pinned by its digest, and puts the apps on it.
func (p *Platform) SetStack(ctx context.Context, call Call, in SetStackInput) (StackChange, error) {
	if err := checkStackName(in.Stack); err != nil {
		return StackChange{}, err
	}
	if in.Image == "" {
		return StackChange{}, Errorf(Usage, "--image is missing: which image shall the stack be made of?")
	}
	story := NewStory(call.Err, p.Now)
	if _, err := p.makeRoom(ctx, stackRoom); err != nil {
		return StackChange{}, err
	}
	v, err := p.imageNamed(ctx, call, DeployImageInput{Reference: in.Image, PlainHTTP: in.PlainHTTP})
	if err != nil {
		return StackChange{}, err
	}
	next, err := p.baseOfImage(ctx, in.Stack, v, story)
	story.End()
	if err != nil {
		return StackChange{}, fmt.Errorf("make stack %s: %w", in.Stack, err)
	}
	next.Description = "Made of " + v.Reference
	return p.replaceStack(ctx, call, next)
}

// replaceStack adopts a version of a stack that may be new.
func (p *Platform) replaceStack(ctx context.Context, call Call, next Stack) (StackChange, error) {
	now, err := p.currentStack(ctx, next.Name)
	if err != nil && KindOf(err) != NotFound {
		return StackChange{}, err
	}
	if now.Layer == next.Layer && now.Source == next.Source {
		return StackChange{Stack: now.Name, From: now.Number, Version: now.Number, Newer: []string{}, Apps: []Rebased{}}, nil
	}
	return p.adoptStack(ctx, call, now, next, nil)
}

// ExportStack writes a stack's current version to standard output.
func (p *Platform) ExportStack(ctx context.Context, call Call, in StackInput) (Streamed, error) {
	if call.Terminal != nil {
		return Streamed{}, Errorf(Usage, "the stack goes to standard output, which is a terminal").
			WithHint("ssh paas stacks:export %s > %s.tar.zst", in.name(), in.name())
	}
	s, err := p.readyStack(ctx, in.name(), NewStory(call.Err, p.Now))
	if err == nil {
		err = p.Bases.ExportBase(ctx, s, call.Out)
	}
	if err != nil {
		return Streamed{}, fmt.Errorf("export stack %s: %w", in.name(), err)
	}
	return Streamed{}, nil
}

// ImportStack reads what ExportStack wrote, on this host or another.
func (p *Platform) ImportStack(ctx context.Context, call Call, in StackInput) (StackChange, error) {
	if err := checkStackName(in.name()); err != nil {
		return StackChange{}, err
	}
	if call.In == nil || call.Terminal != nil {
		return StackChange{}, Errorf(Usage, "the stack comes on standard input").WithHint("ssh paas stacks:import < debian.tar.zst")
	}
	if _, err := p.makeRoom(ctx, stackRoom); err != nil {
		return StackChange{}, err
	}
	next, err := p.Bases.ImportBase(ctx, call.In)
	if err != nil {
		return StackChange{}, fmt.Errorf("import stack: %w", err)
	}
	next.Name, next.Description = in.name(), "Imported"
	return p.replaceStack(ctx, call, next)
}
