// Package buildpacks turns a source tree into an image: detection makes a plan, the engine runs the
// plan's steps in containers and keeps what each writes as a layer under a key made from everything that
// went into it. A step whose key is known costs nothing.
package buildpacks

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"paas/buildpacks/plan"
	"paas/platform"
	"paas/runtime/image"
)

// Executor runs build steps. The runtime is one.
type Executor interface {
	// Step runs one step to its end and returns how it ended. Its output goes to out as it comes. What
	// it wrote is in s.Upper. When ctx ends the step is killed.
	Step(ctx context.Context, s platform.StepSpec, out io.Writer) (platform.Exit, error)
}

// Options are what an Engine needs.
type Options struct {
	Dir      string // of caches and indexes
	Images   *image.Store
	Executor Executor
	Machine  Machine
	Static   string // the program that serves static sites: our own executable
	Log      *slog.Logger
}

// Engine implements platform.Builder.
type Engine struct {
	Options
	locks keyed
}

// Open prepares an engine over its directory.
func Open(o Options) (*Engine, error) {
	for _, dir := range []string{"cache", "index", "known"} {
		if err := os.MkdirAll(filepath.Join(o.Dir, dir), 0o700); err != nil {
			return nil, fmt.Errorf("open build engine: %w", err)
		}
	}
	return &Engine{Options: o}, nil
}

// The user that apps run and build as, and where they live. The base image has both.
const (
	appUser = 1000
	appDir  = "/app"
)

// stepLimits are those of one build step: enough for webpack or a C++ add-on, and a fifth of the
// processors is always left to what runs.
func stepLimits() platform.Limits {
	return platform.Limits{Memory: 2 << 30, Processes: 2048, CPUs: 0.8 * float64(runtime.NumCPU())}
}

// build is one build on its way up the layers.
type build struct {
	*Engine
	req    platform.BuildRequest
	plan   plan.Plan
	files  []platform.File
	layers []string // under the next step, bottom first
	image  []string // those of them that the image keeps
	key    string   // of everything so far
	env    map[string]string
	path   []string
}

// Build implements platform.Builder.
func (e *Engine) Build(ctx context.Context, req platform.BuildRequest) (platform.Image, error) {
	req.Story.Phase("Looking at the source")
	p, err := Detect(ctx, req.Source)
	if err != nil {
		return platform.Image{}, err
	}
	req.Story.Line("%s", p.Title())
	for _, w := range p.Warnings {
		req.Story.Warn("%s", w)
	}
	b := &build{Engine: e, req: req, plan: p, env: map[string]string{}}
	if b.files, err = req.Source.Files(); err != nil {
		return platform.Image{}, fmt.Errorf("read the source tree: %w", err)
	}
	if err := b.run(ctx); err != nil {
		return platform.Image{}, err
	}
	return b.result()
}

func (b *build) run(ctx context.Context) error {
	if err := b.addBase(ctx); err != nil {
		return err
	}
	if err := b.addToolchains(ctx); err != nil {
		return err
	}
	for _, s := range b.plan.Steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := b.step(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// result names the image by what went into it, so that equal sources make equal images.
func (b *build) result() (platform.Image, error) {
	env := map[string]string{"LANG": "C.UTF-8", "HOME": appDir}
	maps.Copy(env, b.env)
	maps.Copy(env, b.plan.Env)
	env["PATH"] = b.searchPath()
	img := platform.Image{
		Layers: b.image, Env: env, WorkDir: appDir, UID: appUser, GID: appUser,
		Shell: []string{"/bin/bash", "-c"}, Processes: b.plan.Processes, Checks: b.plan.Checks,
		Formation: b.plan.Formation, Declared: b.plan.Declared, Builder: b.plan.Builder,
	}
	named := img
	named.Layers = []string{b.key}
	text, err := json.Marshal(named)
	if err != nil {
		return img, fmt.Errorf("name the image: %w", err)
	}
	sum := sha256.Sum256(text)
	img.ID = "sha256:" + hex.EncodeToString(sum[:])
	return img, nil
}

const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func (b *build) searchPath() string {
	return strings.Join(append(append(slices.Clone(b.plan.Path), b.path...), systemPath), ":")
}

// add puts a layer on top.
func (b *build) add(layer string, keep bool) {
	b.layers = append(b.layers, layer)
	if keep {
		b.image = append(b.image, layer)
	}
	b.key = keyOf("layer", b.key, layer)
}

// keyOf is the name of what the parts make: 40 hex digits of a SHA-256 over their JSON.
func keyOf(parts ...any) string {
	h := sha256.New()
	if err := json.NewEncoder(h).Encode(parts); err != nil {
		panic(err) // the parts are strings, maps of strings and plans
	}
	return hex.EncodeToString(h.Sum(nil))[:40]
}

// step makes a step's layer, or finds it.
func (b *build) step(ctx context.Context, s plan.Step) error {
	files := b.seen(s)
	if len(s.Commands) == 0 {
		b.req.Story.Phase("Adding the source (%d files)", len(files))
		return b.addSource(ctx, s, files)
	}
	key := b.stepKey(s, files)
	b.req.Story.Phase("%s", stepTitle(s))
	unlock := b.locks.lock(key)
	defer unlock()
	if b.Images.Has(key) {
		b.req.Story.Line("Using cached %s: nothing that it reads changed", s.Name)
		b.add(key, !s.Build)
		return nil
	}
	if err := b.runStep(ctx, s, files, key); err != nil {
		return err
	}
	b.add(key, !s.Build)
	return nil
}

func stepTitle(s plan.Step) string {
	switch s.Name {
	case "dependencies":
		return "Installing dependencies"
	case "build":
		return "Building"
	default:
		return "Running " + s.Name
	}
}

// seen are the source files that the step sees.
func (b *build) seen(s plan.Step) (files []platform.File) {
	for _, f := range b.files {
		if s.Sees(f.Path) {
			files = append(files, f)
		}
	}
	return files
}

// stepKey is made from everything that can change what the step writes.
func (b *build) stepKey(s plan.Step, files []platform.File) string {
	s.Caches = nil // they make it faster, not different
	config := platform.Config{}
	if s.Config {
		config = b.req.Config
	}
	return keyOf("step", b.key, s, fileKey(files), config, b.searchPath(), b.Machine.key())
}

func fileKey(files []platform.File) string {
	h := sha256.New()
	for _, f := range files {
		_, _ = fmt.Fprintf(h, "%o %s %q\n", f.Mode, f.ID, f.Path) // a hash never fails
	}
	return hex.EncodeToString(h.Sum(nil))
}

// runStep runs the step's commands over the layers so far and commits what they wrote.
func (b *build) runStep(ctx context.Context, s plan.Step, files []platform.File, key string) error {
	draft, err := b.Images.Draft()
	if err != nil {
		return err
	}
	defer func() { _ = draft.Discard() }()
	if err := writeFiles(ctx, draft.Dir, b.req.Source, files); err != nil {
		return err
	}
	if err := b.runCommands(ctx, s, draft.Dir); err != nil {
		return err
	}
	if err := prune(filepath.Join(draft.Dir, appDir), s); err != nil {
		return fmt.Errorf("prune layer of %s: %w", s.Name, err)
	}
	return draft.Commit(key)
}

func (b *build) runCommands(ctx context.Context, s plan.Step, upper string) error {
	layers := b.layers
	if s.Tools {
		tools, err := b.buildTools(ctx, b.req.Story)
		if err != nil {
			return err
		}
		layers = slices.Insert(slices.Clone(layers), 1, tools)
	}
	binds, err := b.binds(s)
	if err != nil {
		return err
	}
	env := map[string]string{"HOME": "/tmp/home", "LANG": "C.UTF-8", "CI": "true", "USER": "app"}
	maps.Copy(env, b.Machine.env())
	maps.Copy(env, b.env)
	if s.Config {
		maps.Copy(env, b.req.Config)
	}
	maps.Copy(env, s.Env)
	env["PATH"] = b.searchPath()
	spec := platform.StepSpec{
		AppID: b.req.App.ID, App: b.req.App.Name, Name: s.Name, Layers: layers, Upper: upper, Env: env,
		Dir: appDir, UID: appUser, GID: appUser, Binds: binds, Limits: stepLimits(),
	}
	for _, command := range s.Commands {
		b.req.Story.Line("$ %s", command)
		spec.Argv = []string{"/bin/bash", "-e", "-o", "pipefail", "-c", command}
		if err := b.exec(ctx, spec, command, b.req.Story); err != nil {
			return err
		}
	}
	return nil
}

// exec runs one command of a step and explains its failure.
func (e *Engine) exec(ctx context.Context, spec platform.StepSpec, command string, story *platform.Story) error {
	out := story.Writer()
	exit, err := e.Executor.Step(ctx, spec, out)
	_ = out.Close()
	if err != nil {
		return fmt.Errorf("run %s: %w", spec.Name, err)
	}
	if exit.Code == 0 && !exit.OOM {
		return nil
	}
	failed := platform.Errorf(platform.Failed, "build failed: `%s` %s", command, exit)
	if exit.OOM {
		return failed.WithHint("a build step may use %d MiB of memory", spec.Limits.Memory>>20)
	}
	return failed
}
