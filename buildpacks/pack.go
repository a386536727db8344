package buildpacks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"paas/buildpacks/dockerfile/wire"
	"paas/platform"
)

// Cloud Native Buildpacks come in a builder image with a program, the lifecycle, that runs them (the Buildpacks
// project's platform specification, API 0.12). Its creator is run as one of our steps, over the builder image's layers
// and as its user. It writes the app's image into an OCI layout, in which the run image is described and not there:
//
//	/workspace                 the source
//	/tmp/platform/env/NAME     config vars, gone after the step
//	/cache                     the app's own from build to build
//	/layout/…/app/latest       what it makes: the run image's layers, by name, and new ones
//
// The new layers are unpacked into the store; below them lie the run image's, which are there.
const (
	packWorkspace = "/workspace"
	packPlatform  = "/tmp/platform"
	packCache     = "/cache"
	packLayout    = "/layout"
	packAPI       = "0.12"
	packRun       = "paas.invalid/run:latest" // names inside of the layout, where registries are directories
	packApp       = "paas.invalid/app:latest"
	packLauncher  = "/cnb/lifecycle/launcher"
)

// builderImage is a builder image with what the platform must know of it.
type builderImage struct {
	name string
	wire.Base
	config ocispec.Image
	uid    uint32
	gid    uint32
	run    string // the name of its run image
	runs   wire.Base
}

// buildPack builds the plan's app with its builder image.
func (b *build) buildPack(ctx context.Context) (platform.Image, error) {
	if b.Docker.Base == nil || b.Docker.Describe == nil {
		return platform.Image{}, platform.Errorf(platform.Failed, "this server cannot use builder images")
	}
	t := b.begins("builder image", platform.BaseStep)
	image, err := b.builderImage(ctx)
	if err != nil {
		return platform.Image{}, b.tell(t, "", err)
	}
	t.Inputs = []platform.BuildInput{
		{Kind: platform.BaseInput, Name: image.name, Digest: image.Digest}, {Kind: platform.BaseInput, Name: image.run, Digest: image.runs.Digest},
	}
	_ = b.tell(t, keyOf(image.Digest, image.runs.Digest), nil) // as it is told
	made, err := b.packLayers(ctx, image)
	if err != nil {
		return platform.Image{}, err
	}
	if err := b.rememberLayers(b.req.App.ID, slices.Concat(made.Layers, image.Layers)); err != nil {
		b.Log.Warn("remember layers of a build", "app", b.req.App.Name, "err", err)
	}
	b.sweepSoon()
	return b.packImage(made)
}

// packLayers finds or makes the app's layers.
func (b *build) packLayers(ctx context.Context, image builderImage) (made wire.Result, err error) {
	t := b.begins("creator", platform.CommandStep)
	t.Files, t.Inputs = b.files, b.packInputs(image)
	key := keyOf("pack", image.Digest, image.runs.Digest, filesKey(b.files), b.secret.digests(b.req.Config), b.plan.BuildEnv)
	if made, ok := b.packed(key); ok {
		b.req.Story.Line("Using the same files as before")
		t.Reused = true
		return made, b.tellAs(t, key, nil)
	}
	if err := b.req.Story.Admit(ctx); err != nil {
		return made, err
	}
	b.req.Story.Phase("Building with %s", image.name)
	err = b.scratch(func(dir string) error {
		if err := b.create(ctx, image, dir); err != nil {
			return err
		}
		made, err = b.unpackApp(ctx, image, dir)
		return err
	})
	if err == nil {
		err = b.keepPacked(key, made)
	}
	return made, b.tellAs(t, key, err)
}

// tellAs is tell for what knows itself whether it was there.
func (b *build) tellAs(t timed, key string, err error) error {
	t.Key, t.Failed, t.Seconds, t.MemoryPeak = key, err != nil, b.now().Sub(t.began).Seconds(), b.peak
	if b.req.Report != nil {
		b.req.Report(t.BuildStep)
	}
	return err
}

func (b *build) packInputs(image builderImage) []platform.BuildInput {
	in := []platform.BuildInput{
		{Kind: platform.BaseInput, Name: image.name, Digest: image.Digest}, {Kind: platform.BaseInput, Name: image.run, Digest: image.runs.Digest},
	}
	for _, name := range slices.Sorted(maps.Keys(b.plan.BuildEnv)) {
		in = append(in, platform.BuildInput{Kind: platform.ArgumentInput, Name: name, Digest: digestOf(b.plan.BuildEnv[name])})
	}
	digests := b.secret.digests(b.req.Config)
	for _, name := range slices.Sorted(maps.Keys(digests)) {
		in = append(in, platform.BuildInput{Kind: platform.ConfigInput, Name: name, Digest: digests[name]})
	}
	return in
}

// builderImage brings the builder image and its run image here.
func (b *build) builderImage(ctx context.Context) (i builderImage, err error) {
	i.name = b.plan.BuilderImage
	if i.Base, i.config, err = b.packBase(ctx, i.name); err != nil {
		return i, err
	}
	env := map[string]string{}
	for _, entry := range i.config.Config.Env {
		name, value, _ := strings.Cut(entry, "=")
		env[name] = value
	}
	uid, uidErr := strconv.ParseUint(env["CNB_USER_ID"], 10, 16)
	gid, gidErr := strconv.ParseUint(env["CNB_GROUP_ID"], 10, 16)
	if uidErr != nil || gidErr != nil || uid == 0 {
		return i, platform.Errorf(platform.Failed, "%s is no builder image: it has no CNB_USER_ID and CNB_GROUP_ID of a user that is not root", i.name).
			WithHint("name one in project.toml: [io.buildpacks] builder = \"…\"")
	}
	i.uid, i.gid = uint32(uid), uint32(gid)
	if i.run, err = b.runImage(i); err != nil {
		return i, err
	}
	i.runs, _, err = b.packBase(ctx, i.run)
	return i, err
}

func (b *build) packBase(ctx context.Context, name string) (base wire.Base, config ocispec.Image, err error) {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return base, config, platform.Errorf(platform.Failed, "%q is no name of an image", name).WithHint("write it like heroku/builder:24")
	}
	if base, err = b.dockerBase(ctx, reference.TagNameOnly(named).String(), b.req.Story); err != nil {
		return base, config, err
	}
	if err := b.holding.hold(base.Layers...); err != nil {
		return base, config, err
	}
	if err := json.Unmarshal(base.Config, &config); err != nil {
		return base, config, fmt.Errorf("read the configuration of %s: %w", name, err)
	}
	return base, config, nil
}

// maxPackFile bounds a builder image's own files, in bytes.
const maxPackFile = 1 << 20

// runImage is the first one that the builder image names, in the place of today or in the one before it.
func (b *build) runImage(i builderImage) (string, error) {
	var file struct {
		Images []struct {
			Image string `toml:"image"`
		} `toml:"images"`
		Run struct {
			Image string `toml:"image"`
		} `toml:"run-image"`
	}
	for _, name := range []string{"/cnb/run.toml", "/cnb/stack.toml"} {
		text, err := b.Images.ReadFile(i.Layers, name, maxPackFile)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			_, err = toml.Decode(string(text), &file)
		}
		if err != nil {
			return "", platform.Errorf(platform.Failed, "the %s of the builder image %s cannot be read", name, i.name).Because(err)
		}
		names := []string{file.Run.Image}
		for _, i := range file.Images {
			names = append(names, i.Image)
		}
		if names = slices.DeleteFunc(names, func(n string) bool { return n == "" }); len(names) > 0 {
			return names[0], nil
		}
	}
	return "", platform.Errorf(platform.Failed, "the builder image %s names no run image", i.name).
		WithHint("is it a builder image of Cloud Native Buildpacks?")
}

// create runs the lifecycle's creator.
func (b *build) create(ctx context.Context, i builderImage, upper string) error {
	if err := b.fillPack(ctx, i, upper); err != nil {
		return err
	}
	spec := platform.StepSpec{
		AppID: b.req.App.ID, App: b.req.App.Name, Name: "creator", Layers: i.Layers, Upper: upper, Dir: packWorkspace,
		UID: i.uid, GID: i.gid, Exact: true, Env: map[string]string{
			"CNB_PLATFORM_API": packAPI, "CNB_EXPERIMENTAL_MODE": "quiet", "CNB_USE_LAYOUT": "true", "CNB_LAYOUT_DIR": packLayout,
			"CNB_LAYERS_DIR": "/layers", "CNB_APP_DIR": packWorkspace, "CNB_PLATFORM_DIR": packPlatform, "CNB_CACHE_DIR": packCache, "CNB_NO_COLOR": "true",
		},
		Argv: []string{"/cnb/lifecycle/creator", "-uid", fmt.Sprint(i.uid), "-gid", fmt.Sprint(i.gid), "-run-image", packRun, packApp},
	}
	for _, entry := range i.config.Config.Env {
		if name, value, _ := strings.Cut(entry, "="); spec.Env[name] == "" {
			spec.Env[name] = value
		}
	}
	bounds := b.bounds()
	spec.Limits, spec.Silence = bounds.Limits, bounds.Silence
	b.surround(&spec)
	scratch, err := b.packScratch(i)
	if err != nil {
		return err
	}
	defer b.emptyScratch()
	cache, err := b.cache(b.req.App.ID, "cnb", int(i.uid))
	if err != nil {
		return err
	}
	spec.Binds = append(spec.Binds, platform.Bind{Source: scratch, Target: "/tmp"}, platform.Bind{Source: cache, Target: packCache})
	exit, err := b.exec(ctx, spec, "creator", b.req.Story)
	b.peak = max(b.peak, exit.MemoryPeak)
	return err
}

// fillPack makes the directories that the creator wants, with the source and the description of the run image.
func (b *build) fillPack(ctx context.Context, i builderImage, upper string) error {
	for _, dir := range []string{packWorkspace, "/layers", packLayout, packCache} {
		if err := ownedDir(filepath.Join(upper, dir), int(i.uid), 0o755); err != nil {
			return err
		}
	}
	if err := writeSparse(filepath.Join(upper, packLayout, packPath(packRun)), i.runs); err != nil {
		return fmt.Errorf("describe the run image: %w", err)
	}
	if err := filepath.WalkDir(filepath.Join(upper, packLayout), func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, int(i.uid), int(i.gid)))
	}); err != nil {
		return err
	}
	root, err := os.OpenRoot(filepath.Join(upper, packWorkspace))
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	return writeTree(ctx, place{root, int(i.uid)}, b.req.Source, b.files)
}

// packScratch is the step's /tmp, with the variables of the build as files: the machine's, the app's config, the
// project's.
func (b *build) packScratch(i builderImage) (string, error) {
	scratch, err := b.newScratch(b.req.App.ID, int(i.uid))
	if err != nil {
		return "", err
	}
	env := maps.Clone(b.Machine.Vars)
	if env == nil {
		env = map[string]string{}
	}
	maps.Copy(env, b.req.Config)
	maps.Copy(env, b.plan.BuildEnv)
	dir := filepath.Join(scratch, strings.TrimPrefix(packPlatform, "/tmp"), "env")
	if err := ownedDir(dir, int(i.uid), 0o700); err != nil {
		return "", err
	}
	for name, value := range env {
		file := filepath.Join(dir, filepath.Base(name))
		if err := errors.Join(os.WriteFile(file, []byte(value), 0o600), os.Chown(file, int(i.uid), int(i.gid))); err != nil {
			return "", fmt.Errorf("write variable %s: %w", name, err)
		}
	}
	return scratch, os.Chmod(filepath.Dir(dir), 0o755) //nolint:gosec // others than its user look in as well
}
