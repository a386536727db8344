package buildpacks

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"paas/buildpacks/dockerfile/client"
	"paas/buildpacks/plan"
	"paas/platform"
	"paas/runtime/image"
)

// Executor runs build steps. The runtime is one.
type Executor interface {
	// Step runs one step to its end and returns how it ended. Its output goes to out as it comes. What
	// it wrote is in s.Upper. When ctx ends the step is killed and Step returns ctx's error.
	Step(ctx context.Context, s platform.StepSpec, out io.Writer) (platform.Exit, error)
}

// Options are what an Engine needs.
type Options struct {
	Dir      string // of caches and indexes; all of it may be lost, at the price of time
	Images   *image.Store
	Executor Executor
	Machine  Machine
	Static   string // the program that serves static sites: our own executable
	Log      *slog.Logger
	Docker   Docker

	Detect      func(context.Context, platform.Tree) (plan.Plan, error) // nil: Choose
	Now         func() time.Time                                        // nil: the real clock
	CacheBudget int64                                                   // bytes that all apps' caches may take; 0: 10 GiB
	Limits      platform.Limits                                         // of one step; zero: 2 GiB, four fifths of the processors
	Local       []string                                                // directories of the host whose buildpacks file:// URLs may name
}

// Engine implements platform.Builder: it runs a plan's steps in containers and keeps what each writes as a
// layer under a key made from everything that went into it. A step whose key is known costs nothing. Safe
// for concurrent use, but for two builds of one app at a time.
type Engine struct {
	Options
	locks    keyed
	client   *http.Client
	sweeps   sync.WaitGroup
	caches   caches
	holding  holding
	docker   *client.Client
	programs sync.Map // size and time of a program -> its digest
	sets     sync.Map // layer of Debian packages -> the names of the packages
	secret   secret
	life     context.Context // of what is done beside builds
	stop     context.CancelFunc
}

// Open prepares an engine over its directory. Close it to wait for what it does beside builds.
func Open(o Options) (*Engine, error) {
	for _, dir := range []string{"cache", "index", "known", "locks", "scratch", "stacks", "trash"} {
		if err := os.MkdirAll(filepath.Join(o.Dir, dir), 0o700); err != nil {
			return nil, fmt.Errorf("open build engine: %w", err)
		}
	}
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	o.CacheBudget = cmp.Or(o.CacheBudget, 10<<30)
	o.Limits = cmp.Or(o.Limits, stepLimits())
	key, err := openSecret(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open build engine: %w", err)
	}
	e := &Engine{Options: o, client: newClient(o.Machine), secret: key}
	e.docker = e.openDocker()
	e.life, e.stop = context.WithCancel(context.Background())
	return e, nil
}

// Close waits until nothing of the engine runs. Builds must have ended.
func (e *Engine) Close() error {
	e.stop()
	e.sweeps.Wait()
	return e.docker.Close()
}

func (e *Engine) now() time.Time {
	if e.Now != nil {
		return e.Now()
	}
	return time.Now()
}

// The user that apps run and build as, and where they live. The base image has both.
const (
	appUser = 1000
	appDir  = "/app"
)

// build is one build on its way up the layers.
type build struct {
	*Engine
	req     platform.BuildRequest
	plan    plan.Plan
	files   []platform.File  // in path order
	base    string           // the lowest layer
	footing platform.Footing // of the image
	layers  []string         // under the next step, bottom first
	image   []string         // those of them that the image keeps
	steps   []string         // those of them that the app's own steps made: they alone have something in /app
	key     string           // of everything so far
	env     map[string]string
	path    []string              // where steps find the toolchains' programs
	ran     bool                  // a command ran
	peak    int64                 // bytes of memory that the layer's commands took
	below   []platform.BuildInput // the layers so far, for people

	defaults map[string]string // of config vars, as a buildpack's bin/release names them
	squashes []squash          // to do when all is done
	settles  []func() error    // that put layers on the disk
	answers  map[int]string    // the layer that each buildpack's step made

	imagePath []string // the part of path that the image has
}

// Build implements platform.Builder.
func (e *Engine) Build(ctx context.Context, req platform.BuildRequest) (platform.Image, error) {
	b := &build{Engine: e, req: req, env: map[string]string{}, answers: map[int]string{}}
	done, err := e.begin(req.App.ID)
	if err != nil {
		return platform.Image{}, err
	}
	defer done()
	defer b.settle()
	if err := b.prepare(ctx); err != nil {
		return platform.Image{}, err
	}
	if b.plan.Builder == plan.Dockerfile {
		return b.buildDocker(ctx)
	}
	if b.plan.Builder == plan.Pack {
		return b.buildPack(ctx)
	}
	if err := b.run(ctx); err != nil {
		return platform.Image{}, err
	}
	if err := e.rememberLayers(req.App.ID, b.needed()); err != nil {
		e.Log.Warn("remember layers of a build", "app", req.App.Name, "err", err)
	}
	if b.ran {
		e.sweepSoon()
	}
	b.squashLater()
	return b.result()
}

// prepare reads the source and plans.
func (b *build) prepare(ctx context.Context) (err error) {
	if err = b.choose(ctx); err != nil {
		return err
	}
	for _, w := range b.plan.Warnings {
		b.req.Story.Warn("%s", w)
	}
	if b.files, err = b.req.Source.Files(); err != nil {
		return fmt.Errorf("read the source tree: %w", err)
	}
	byPath := func(a, c platform.File) int { return strings.Compare(a.Path, c.Path) }
	if !slices.IsSortedFunc(b.files, byPath) {
		b.files = slices.SortedFunc(slices.Values(b.files), byPath)
	}
	return nil
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
		if err := b.addBuildpack(ctx, s); err != nil {
			return err
		}
		if err := b.step(ctx, s); err != nil {
			return err
		}
		if s.Buildpack > 0 {
			b.answers[s.Buildpack] = b.steps[len(b.steps)-1]
		}
	}
	return b.takeRelease()
}

// result names the image by what went into it, so that equal sources make equal images.
func (b *build) result() (platform.Image, error) {
	env := map[string]string{"LANG": "C.UTF-8", "HOME": appDir}
	maps.Copy(env, b.defaults)
	maps.Copy(env, b.env)
	maps.Copy(env, b.plan.Env)
	env["PATH"] = b.searchPath(b.imagePath)
	img := platform.Image{
		Layers: b.image, Env: env, WorkDir: path.Join(appDir, b.plan.WorkDir), UID: appUser, GID: appUser,
		Shell: shellOf(b.plan), Processes: b.plan.Processes, Checks: b.plan.Checks,
		Builder: b.plan.Builder,
	}
	b.declare(&img)
	b.footing.Key = b.key
	img.Stack = &b.footing
	return named(img)
}

// declare gives an image what the app says about itself beside its processes and checks.
func (b *build) declare(img *platform.Image) {
	img.Formation, img.Parallel, img.Declared = b.plan.Formation, b.plan.Parallel, b.plan.Declared
	img.Cron, img.Scripts = b.plan.Cron, b.plan.Scripts
}

// named gives an image its id. On a stack it is the key of what the app's own layers were made from that counts,
// since the same content may lie in other layers, and which layers of the stack are below.
func named(img platform.Image) (platform.Image, error) {
	content := img
	content.ID = ""
	if img.Stack != nil {
		content.Layers = nil
	}
	text, err := json.Marshal(content)
	if err != nil {
		return img, fmt.Errorf("name the image: %w", err)
	}
	sum := sha256.Sum256(text)
	img.ID = "sha256:" + hex.EncodeToString(sum[:])
	return img, nil
}

// needed are the layers that the app's next build starts from.
func (b *build) needed() []string {
	if slices.ContainsFunc(b.plan.Steps, func(s plan.Step) bool { return s.Tools }) {
		return append(slices.Clone(b.layers), packagesKey(b.base, buildPackages))
	}
	return b.layers
}

const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func (b *build) searchPath(toolchains []string) string {
	return strings.Join(slices.Concat(b.plan.Path, toolchains, []string{systemPath}), ":")
}

// stack puts a layer on top.
func (b *build) stack(layer string, keep bool) {
	b.layers = append(b.layers, layer)
	if keep {
		b.image = append(b.image, layer)
	}
}

// add puts a layer on top whose name is the key of its content. Of Debian packages over the base only the names
// count, as of the base only its kind: an update of the base makes another layer of them, and builds nothing again.
func (b *build) add(layer string, keep bool) {
	b.stack(layer, keep)
	names, ok := b.sets.Load(layer)
	if !ok {
		b.key = keyOf("layer", b.key, layer, keep)
		return
	}
	b.key = keyOf("packages", b.key, names, keep)
	if keep {
		b.footing.Packages[layer] = names.([]string)
	}
}

// tellWait tells the one who waits for somebody else's work, unless it is over soon. done ends that.
func tellWait(story *platform.Story) (done func() bool) {
	return time.AfterFunc(time.Second, func() {
		story.Line("Waiting for another build, which makes the same layer")
	}).Stop
}

// layer makes a layer by fill unless the store has it. It stays until the build has ended.
func (e *Engine) layer(ctx context.Context, story *platform.Story, p product, fill func(dir string) error) error {
	return e.layerFor(ctx, story, "", p, fill)
}

// layerFor is layer for what is made for all apps: purpose says what.
func (e *Engine) layerFor(ctx context.Context, story *platform.Story, purpose string, p product, fill func(dir string) error) error {
	return e.draft(ctx, story, p, func(draft *image.Draft) error {
		if err := fill(draft.Dir); err != nil {
			return err
		}
		draft.Made = purpose
		e.holding.note(p.key, e.now())
		return draft.Commit(p.key)
	})
}

// draft finds a layer, or has it made of a draft.
func (e *Engine) draft(ctx context.Context, story *platform.Story, p product, finish func(*image.Draft) error) error {
	if err := e.holding.hold(p.key); err != nil {
		return err
	}
	waited := tellWait(story)
	unlock, err := e.locks.lock(ctx, "layer "+p.key)
	waited()
	if err != nil {
		return err
	}
	defer unlock()
	if e.Images.Has(p.key) {
		return nil
	}
	draft, err := e.Images.Draft()
	if err != nil {
		return err
	}
	defer func() { _ = draft.Discard() }()
	draft.Note = p.note
	return finish(draft)
}

// hostLayer is layer for what every app on the host shares and takes long to make: no other process makes
// it at the same time.
func (e *Engine) hostLayer(ctx context.Context, story *platform.Story, p product, fill func(dir string) error) error {
	if err := e.holding.hold(p.key); err != nil {
		return err
	}
	if e.Images.Has(p.key) {
		return nil
	}
	if err := story.Admit(ctx); err != nil { // before the lock, for which a build with a place may wait
		return err
	}
	waited := tellWait(story)
	unlock, err := e.lockHost(ctx, p.key)
	waited()
	if err != nil {
		return err
	}
	defer unlock()
	return e.layerFor(ctx, story, p.purpose(), p, fill)
}

// scratch makes a layer draft that is thrown away after use.
func (e *Engine) scratch(use func(dir string) error) (err error) {
	draft, err := e.Images.Draft()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, draft.Discard()) }()
	return use(draft.Dir)
}
