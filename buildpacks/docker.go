package buildpacks

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"paas/buildpacks/dockerfile/client"
	"paas/buildpacks/dockerfile/wire"
	"paas/buildpacks/source"
	"paas/platform"
)

// Docker is what builds of Dockerfiles need beside the rest.
type Docker struct {
	Command []string      // starts a builder process; empty: Dockerfiles cannot be built
	Environ []string      // of that process, beside what the machine has
	Idle    time.Duration // how long a builder without work stays; 0: a minute
	Private bool          // ADD may fetch from private addresses

	// Base finds an image that FROM names, normalized like "docker.io/library/golang:1.26". It may block on
	// registries. What cannot be had is a *platform.Error that names the image.
	Base func(ctx context.Context, name string, story *platform.Story) (wire.Base, error)
	// Room is how many bytes bringing an image that FROM names, as it is written there, will take at least: 0 if it is here
	// or that cannot be told. It may block on registries until ctx ends. nil: nobody can tell.
	Room func(ctx context.Context, name string, story *platform.Story) int64
	// Describe makes an image of layers and their configuration.
	Describe func(layers []string, config ocispec.Image) (platform.Image, error)
}

func (e *Engine) openDocker() *client.Client {
	return client.Open(client.Options{
		Dir: filepath.Join(e.Dir, "docker"), Command: e.Docker.Command, Environ: e.dockerEnviron(), Images: e.Images,
		Executor: e.Executor, Idle: e.Docker.Idle, Log: e.Log, Private: e.Docker.Private,
		Base: e.dockerBase, Write: writeContext, Surround: e.surround,
	})
}

// dockerEnviron steers only what ADD fetches; a Dockerfile's programs see none of it.
func (e *Engine) dockerEnviron() (list []string) {
	for _, entry := range e.Machine.Host {
		if name, _, _ := strings.Cut(entry, "="); strings.HasSuffix(strings.ToLower(name), "_proxy") || name == "SSL_CERT_FILE" {
			list = append(list, entry)
		}
	}
	list = append(list, "BUILDKIT_STEP_LOG_MAX_SIZE=-1", "BUILDKIT_STEP_LOG_MAX_SPEED=-1") // the client clips
	return append(append(list, "PATH="+systemPath), e.Docker.Environ...)
}

func writeContext(ctx context.Context, dir string, tree platform.Tree, files []platform.File) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("write the build context: %w", err)
	}
	defer func() { _ = root.Close() }()
	return writeTree(ctx, place{root, 0}, tree, files)
}

// Names under which the stacks can be built upon.
const (
	runStack   = "docker.io/paas/run:latest"
	buildStack = "docker.io/paas/build:latest"
)

func (e *Engine) dockerBase(ctx context.Context, name string, story *platform.Story) (wire.Base, error) {
	plain, _, _ := strings.Cut(name, "@")
	base, err := e.StackBase(ctx, plain, story)
	if platform.KindOf(err) == platform.NotFound && e.Docker.Base != nil {
		return e.Docker.Base(ctx, name, story)
	}
	return base, err
}

// StackBase is the base image of apps as something to build upon: "docker.io/paas/run:latest", or with
// compilers "docker.io/paas/build:latest". Of any other name it knows nothing: the error has kind NotFound.
func (e *Engine) StackBase(ctx context.Context, name string, story *platform.Story) (wire.Base, error) {
	if name != runStack && name != buildStack {
		return wire.Base{}, platform.Errorf(platform.NotFound, "there is no image %s", name)
	}
	base, err := e.baseLayer(ctx, story)
	if err != nil {
		return wire.Base{}, err
	}
	layers := []string{base}
	if name == buildStack {
		tools, err := e.packages(ctx, base, buildPackages, story)
		if err != nil {
			return wire.Base{}, err
		}
		layers = append(layers, tools)
	}
	config, err := json.Marshal(ocispec.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: goarch()},
		Config:   ocispec.ImageConfig{Env: []string{"PATH=" + systemPath, "LANG=C.UTF-8"}, Cmd: []string{"/bin/bash"}},
		RootFS:   ocispec.RootFS{Type: "layers"},
	})
	return wire.Base{Digest: LayersDigest(layers, config), Layers: layers, Config: config}, err
}

// LayersDigest names an image that never had a digest.
func LayersDigest(layers []string, config []byte) string {
	sum := sha256.Sum256([]byte(strings.Join(layers, "\n") + "\n" + string(config)))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// surround gives a step what every build on this machine has. None of it is part of a key or of a layer.
func (e *Engine) surround(spec *platform.StepSpec) {
	env := e.Machine.env()
	for _, b := range e.Machine.binds() {
		// Not where the image has such a file: installing ca-certificates replaces it, which a mount forbids.
		if info, err := os.Stat(b.Source); err == nil && info.Mode().IsRegular() {
			at := "/dev/paas-" + path.Base(b.Target)
			for name, value := range env {
				if value == b.Target {
					env[name] = at
				}
			}
			b.Target = at
		}
		spec.Binds = append(spec.Binds, b)
	}
	maps.Copy(env, spec.Env)
	spec.Env = env
	if len(e.Machine.Apt) > 0 && e.hasDir(spec.Layers, "/etc/apt/apt.conf.d") {
		spec.Mounts = append(spec.Mounts, platform.StepMount{
			Target: "/etc/apt/apt.conf.d/99paas", File: []byte(strings.Join(e.Machine.Apt, "\n") + "\n"), Mode: 0o644,
		})
	}
}

func (e *Engine) hasDir(layers []string, dir string) bool {
	for _, layer := range layers {
		if info, err := os.Lstat(e.Images.Dir(layer) + dir); err == nil && info.IsDir() {
			return true
		}
	}
	return false
}

// maxDockerfile bounds a Dockerfile and its .dockerignore, in bytes; BuildKit reads no more either.
const maxDockerfile = 512 << 10

// buildDocker builds the plan's Dockerfile.
func (b *build) buildDocker(ctx context.Context) (platform.Image, error) {
	if len(b.Docker.Command) == 0 {
		return platform.Image{}, platform.Errorf(platform.Failed, "this server cannot build Dockerfiles")
	}
	req, err := b.dockerRequest()
	if err != nil {
		return platform.Image{}, err
	}
	result, err := b.docker.Build(ctx, req)
	if err != nil {
		return platform.Image{}, b.dockerFailure(err)
	}
	if err := b.holding.hold(result.Layers...); err != nil {
		return platform.Image{}, err
	}
	if err := b.rememberLayers(b.req.App.ID, result.Layers); err != nil {
		b.Log.Warn("remember layers of a build", "app", b.req.App.Name, "err", err)
	}
	b.sweepSoon()
	return b.dockerImage(result)
}

// dockerFailure explains a RUN as any other step is explained.
func (b *build) dockerFailure(err error) error {
	var f *client.Failure
	if !errors.As(err, &f) {
		return err
	}
	explained := failure(b.req.App.Name, f.Name, f.Exit, b.bounds(), b.req.Story.Tail())
	var human *platform.Error
	if f.Line == 0 || !errors.As(explained, &human) {
		return explained
	}
	told := *human
	told.Message += fmt.Sprintf(" (%s line %d)", b.plan.Dockerfile, f.Line)
	return &told
}

func (b *build) dockerRequest() (req client.Request, err error) {
	tree, err := source.Open(b.req.Source)
	if err != nil {
		return req, err
	}
	req = client.Request{
		App: b.req.App, Story: b.req.Story, Tree: b.req.Source, Files: b.files, Name: b.plan.Dockerfile, Bounds: b.bounds(),
		Report: b.req.Report, Secrets: b.req.Config, Keys: sshKeys(b.req.Config),
		Salt: b.secret.derived("instructions"), Team: b.req.Team, Alone: b.req.Alone,
	}
	if req.Dockerfile, err = tree.Read(b.plan.Dockerfile, maxDockerfile); err != nil {
		return req, err
	}
	if len(strings.TrimSpace(string(req.Dockerfile))) == 0 {
		return req, platform.Errorf(platform.Failed, "the %s is empty", b.plan.Dockerfile).WithHint("write what the image is made of: FROM …")
	}
	req.Args = declaredArgs(req.Dockerfile, b.req.Config)
	req.Ignore, err = ignoreOf(tree, b.plan.Dockerfile)
	return req, err
}

// argLine is an ARG instruction, whose words are names, some with a default (Dockerfile reference, "ARG").
var argLine = regexp.MustCompile(`(?im)^[ \t]*(?:ONBUILD[ \t]+)?ARG[ \t]+((?:[^\\\n]|\\[ \t\r]*\n|\\.)+)`)

// declaredArgs are the config vars that the Dockerfile declares as build arguments. Others are not given: they
// would be no part of any key, but of the log if something prints them.
func declaredArgs(dockerfile []byte, config platform.Config) map[string]string {
	args := map[string]string{}
	for _, m := range argLine.FindAllSubmatch(dockerfile, -1) {
		for word := range strings.FieldsSeq(strings.ReplaceAll(string(m[1]), "\\\n", " ")) {
			name, _, _ := strings.Cut(word, "=")
			if value, ok := config[name]; ok {
				args[name] = value
			}
		}
	}
	return args
}

// sshKeys are the config vars that are private keys, for `--mount=type=ssh,id=NAME`. SSH_PRIVATE_KEY is the
// default one.
func sshKeys(config platform.Config) map[string][]byte {
	keys := map[string][]byte{}
	for name, value := range config {
		if !strings.Contains(value, "PRIVATE KEY-----") {
			continue
		}
		keys[name] = []byte(strings.TrimSpace(value) + "\n")
		if name == "SSH_PRIVATE_KEY" {
			keys["default"] = keys[name]
		}
	}
	return keys
}

// BuilderPID is the process id of the Dockerfile builder, 0 while there is none.
func (e *Engine) BuilderPID() int { return e.docker.PID() }

// ReleaseBuilder ends the Dockerfile builder if it has no work, so that the collector may remove layers that it
// would build upon: what is gone it makes again.
func (e *Engine) ReleaseBuilder() { e.docker.Release() }

// dockerCaches is the name of the piece that all cache mounts of Dockerfiles are together: BuildKit keeps them.
const dockerCaches = "cache mounts of Dockerfiles"

// dockerPiece measures Dockerfiles' cache mounts.
func (e *Engine) dockerPiece() (p platform.Piece, any bool) {
	bytes := bytesBelow(filepath.Join(e.DockerDir(), "active"))
	return platform.Piece{Kind: platform.CachePiece, Name: dockerCaches, AppID: hostApp, Host: true, Bytes: bytes, Need: platform.Cached}, bytes > 0
}

// dropDockerCaches removes those that no build uses.
func (e *Engine) dropDockerCaches() error {
	_, err := e.trimDocker(0, 0)
	return err
}

// trimDocker removes cache mounts, those unused for longest first, until so many bytes are left.
func (e *Engine) trimDocker(keep int64, minAge time.Duration) (int64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return e.docker.Prune(ctx, keep, minAge)
}

// DockerDir is the directory with everything that Dockerfile builds keep beside layers.
func (e *Engine) DockerDir() string { return filepath.Join(e.Dir, "docker") }
