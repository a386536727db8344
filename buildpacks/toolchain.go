package buildpacks

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"paas/buildpacks/plan"
	"paas/platform"
)

// made is a toolchain as a layer.
type made struct {
	layer   string
	version string            // empty if it has none that anybody would ask for
	path    string            // of its programs; empty if they are where every system has them
	env     map[string]string // that its users need
	under   []string          // layers below it that belong to it
}

func (b *build) addToolchains(ctx context.Context) error {
	for _, t := range b.plan.Toolchains {
		t = pinned(t, b.req.Config)
		if t.Name == "npm" && t.Version == "" {
			continue // the one that comes with Node.js
		}
		clock := b.begins(spoken(t.Name), platform.ToolchainStep, platform.BuildInput{Kind: platform.BaseInput, Digest: b.base})
		m, err := b.toolchain(ctx, b.base, t, b.req.Story)
		if err != nil {
			return b.tell(clock, "", err)
		}
		if m.version != "" {
			b.req.Story.Line("Using %s %s (%s)", spoken(t.Name), m.version, asked(t))
		}
		for _, layer := range append(m.under, m.layer) {
			b.add(layer, !t.Build)
		}
		clock.Inputs = append(clock.Inputs, platform.BuildInput{Kind: platform.ArgumentInput, Name: "version", Digest: m.version})
		_ = b.tell(clock, m.layer, nil) // as it is told
		maps.Copy(b.env, m.env)
		if m.path != "" && !slices.Contains(b.path, m.path) {
			b.path = append(b.path, m.path)
		}
		if m.path != "" && !t.Build && !slices.Contains(b.imagePath, m.path) {
			b.imagePath = append(b.imagePath, m.path)
		}
	}
	return nil
}

// spoken is the name that people use for a toolchain.
func spoken(toolchain string) string {
	names := map[string]string{"go": "Go"}
	return cmp.Or(names[toolchain], programName(toolchain), debianToolchains[toolchain].name, officials()[toolchain].name, toolchain)
}

func asked(t plan.Toolchain) string {
	if t.From == "" {
		return "the default"
	}
	return t.From
}

// toolchain finds or makes a toolchain's layer: what is here already, what the language's own people publish, what a
// package registry has, what Debian packages. What would have to be compiled comes last.
func (e *Engine) toolchain(ctx context.Context, base string, t plan.Toolchain, story *platform.Story) (m made, err error) {
	d, o := debianToolchains[t.Name], officials()[t.Name]
	packaged := d.fits(t.Version)
	if packaged && (o.list == nil || o.compile != "" || e.hasDebian(base, t)) {
		return e.debian(ctx, base, t, story)
	}
	m, near, ok, err := e.official(ctx, base, t, story)
	if packaged && !ok && ctx.Err() == nil {
		if err != nil {
			story.Warn("%s cannot be had from its own site (%v); Debian's is taken.", spoken(t.Name), err)
		}
		return e.debian(ctx, base, t, story)
	}
	if ok || err != nil {
		return m, err
	}
	switch t.Name {
	case "node":
		return e.node(ctx, base, t, story)
	case "npm":
		return e.npm(ctx, base, t, story)
	case "go":
		return e.golang(ctx, base, t, story)
	case "static":
		return e.static(ctx, story)
	}
	if p, ok := npmPrograms()[t.Name]; ok {
		return e.program(ctx, base, p, t, story)
	}
	return made{}, noVersion(t, near)
}

// noVersion is the error about a version that neither Debian nor its own people have here. near is what the latter
// have, if they were reached.
func noVersion(t plan.Toolchain, near string) error {
	d, ok := debianToolchains[t.Name]
	if !ok && near == "" {
		return fmt.Errorf("plan asks for the unknown toolchain %q", t.Name)
	}
	if near == "" {
		return d.refuse(t)
	}
	wish := numbers(t.Version)
	if ok && slices.Compare(distance(numbers(d.version), wish), distance(numbers(near), wish)) <= 0 {
		near = d.version
	}
	return cannotBeHad(t, near, d.pin)
}

// errRefused is wrapped by errors about a version that a registry lists and does not hand out.
var errRefused = errors.New("the registry refuses it")

// maxRefused is how many versions are tried before a build gives up.
const maxRefused = 5

// firstServed fetches the first of the versions, the most wanted one first, that the registry hands out.
// What it refuses is not asked for again for a day.
func (e *Engine) firstServed(ctx context.Context, t plan.Toolchain, versions []string, story *platform.Story, fetch func(string) (made, error)) (m made, err error) {
	index := "refused " + t.Name
	refused := e.kept(index)
	if e.now().Sub(refused.At) > answerAge {
		refused.List = nil
	}
	wanted := slices.DeleteFunc(slices.Clone(versions), func(v string) bool { return slices.Contains(refused.List, v) })
	if len(wanted) == 0 {
		wanted = versions
	}
	for _, v := range wanted[:min(maxRefused, len(wanted))] {
		if m, err = fetch(v); !errors.Is(err, errRefused) || ctx.Err() != nil {
			return m, err
		}
		story.Warn("The registry refuses %s %s.", spoken(t.Name), v)
		refused.List = append(refused.List, v)
		if err := e.keep(index, refused.List); err != nil {
			return m, err
		}
	}
	return m, err
}

// notServed is the error about a version that cannot be had.
func notServed(t plan.Toolchain, version string, cause error) error {
	failed := platform.Errorf(platform.Failed, "%s %s cannot be fetched", spoken(t.Name), version).Because(cause)
	if t.From == "" {
		return failed.WithHint("does the server reach its package registry?")
	}
	return failed.WithHint("%s asks for it: is there such a version?", t.From)
}

// static is our own program, which serves files as `paas static`.
func (e *Engine) static(ctx context.Context, story *platform.Story) (made, error) {
	program, err := os.Open(e.Static)
	if err != nil {
		return made{}, fmt.Errorf("read own program: %w", err)
	}
	defer func() { _ = program.Close() }()
	sum, err := e.programSum(program)
	if err != nil {
		return made{}, fmt.Errorf("read own program: %w", err)
	}
	key := keyOf("static", sum)
	return made{layer: key}, e.layer(ctx, story, product{key, "paas, which serves static sites"}, func(dir string) error {
		return copyProgram(program, filepath.Join(dir, "usr", "local", "bin", "paas"))
	})
}

// programSum reads the program once as long as it is not replaced.
func (e *Engine) programSum(program *os.File) (string, error) {
	info, err := program.Stat()
	if err != nil {
		return "", err
	}
	id := fmt.Sprint(info.Size(), info.ModTime().UnixNano())
	if sum, ok := e.programs.Load(id); ok {
		return sum.(string), nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, program); err != nil {
		return "", err
	}
	sum := hex.EncodeToString(h.Sum(nil))
	e.programs.Store(id, sum)
	return sum, nil
}

func copyProgram(program *os.File, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if _, err := program.Seek(0, io.SeekStart); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755) //nolint:gosec // a program
	if err != nil {
		return err
	}
	_, err = io.Copy(out, program)
	return errors.Join(err, out.Chmod(0o755), out.Close())
}
