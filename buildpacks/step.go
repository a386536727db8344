package buildpacks

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"paas/buildpacks/plan"
	"paas/platform"
)

// stepLimits are those of a step that no app has limits for, such as the host's own: enough for webpack or
// a C++ add-on.
func stepLimits() platform.Limits {
	return platform.Limits{Memory: 2 << 30, Processes: 2048}
}

// step makes a step's layer, or finds it.
func (b *build) step(ctx context.Context, s plan.Step) error {
	files := b.seen(s)
	t := b.begins(s.Name, platform.SourceStep)
	t.Files = files
	if len(s.Commands) == 0 {
		b.req.Story.Phase("Adding the source (%d files)", len(files))
		err := b.addSource(ctx, s, files)
		return b.tell(t, b.key, err)
	}
	t.Kind, t.Inputs = platform.CommandStep, b.stepInputs(s)
	b.req.Story.Phase("%s", stepTitle(s))
	key := b.stepKey(s, files)
	return b.tell(t, key, b.commands(ctx, s, files, key))
}

// commands makes the layer of a step that runs something, or finds it.
func (b *build) commands(ctx context.Context, s plan.Step, files []platform.File, key string) error {
	if !b.Images.Has(key) {
		if err := b.req.Story.Admit(ctx); err != nil {
			return err
		}
	}
	ran := false
	err := b.settling(ctx, product{key, stepNote(s)}, func(dir string) error {
		ran = true
		return b.runStep(ctx, s, files, dir)
	})
	if err != nil {
		return err
	}
	if !ran {
		b.req.Story.Line("Using cached %s (%s)", s.Name, unchanged(s))
	}
	b.ran = b.ran || ran
	b.steps = append(b.steps, key)
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

// stepNote says what made a step's layer.
func stepNote(s plan.Step) string { return s.Name + ": " + strings.Join(s.Commands, " && ") }

// unchanged tells why a step need not run again, by the file that people think of.
func unchanged(s plan.Step) string {
	if len(s.Files) == 0 || s.Files[0] == "/" {
		return "the source is unchanged"
	}
	lock := slices.IndexFunc(s.Files, func(f string) bool {
		return strings.Contains(f, "lock") || strings.Contains(f, "shrinkwrap") || strings.HasSuffix(f, ".sum")
	})
	return s.Files[max(lock, 0)] + " unchanged"
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

// runStep runs the step's commands over the layers so far; dir takes what they write.
func (b *build) runStep(ctx context.Context, s plan.Step, files []platform.File, dir string) error {
	if len(files) > 0 {
		if err := writeFiles(ctx, dir, b.req.Source, files); err != nil {
			return err
		}
	}
	if err := errors.Join(writeMade(dir, s.Made), makeMountPoints(dir, s)); err != nil {
		return err
	}
	spec, err := b.stepSpec(ctx, s, dir)
	if err != nil {
		return err
	}
	defer b.emptyScratch()
	b.settle() // the command takes longer
	for _, command := range s.Commands {
		b.req.Story.Line("$ %s", command)
		spec.Argv = []string{"/bin/bash", "-e", "-c", command}
		exit, err := b.exec(ctx, spec, command, b.req.Story)
		b.peak = max(b.peak, exit.MemoryPeak)
		if exit.Over == platform.DiskResource {
			err = errors.Join(err, b.dropCaches(s))
		}
		if err != nil {
			return err
		}
	}
	if err := prune(filepath.Join(dir, appDir), s); err != nil {
		return fmt.Errorf("prune layer of %s: %w", s.Name, err)
	}
	return nil
}

// bounds are what one command may take.
func (b *build) bounds() platform.BuildLimits {
	bounds := b.req.Limits
	if bounds.Limits == (platform.Limits{}) {
		bounds.Limits = b.Limits
	}
	return bounds
}

// stepSpec is the container of the step's commands.
func (b *build) stepSpec(ctx context.Context, s plan.Step, upper string) (platform.StepSpec, error) {
	spec := platform.StepSpec{
		AppID: b.req.App.ID, App: b.req.App.Name, Name: s.Name, Layers: b.layers, Upper: upper,
		Dir: appDir, UID: appUser, GID: appUser,
	}
	spec.Limits, spec.Silence = b.bounds().Limits, b.bounds().Silence
	if s.Tools {
		tools, err := b.packages(ctx, b.base, buildPackages, b.req.Story)
		if err != nil {
			return spec, err
		}
		spec.Layers = slices.Insert(slices.Clone(b.layers), 1, tools)
	}
	var err error
	if spec.Env, err = b.stepEnv(ctx, s); err != nil {
		return spec, err
	}
	if spec.Binds, err = b.binds(s); err == nil {
		err = b.fillEnvDir(s)
	}
	return spec, err
}

// stepEnv is, later ones winning: the machine's, the toolchains', the app's config, the step's.
func (b *build) stepEnv(ctx context.Context, s plan.Step) (map[string]string, error) {
	env := map[string]string{"HOME": scratchHome, "LANG": "C.UTF-8", "CI": "true", "USER": "app"}
	maps.Copy(env, b.Machine.env())
	if b.usesNPM() {
		registry, err := b.registry(ctx, b.base, b.req.Story)
		if err != nil {
			return nil, err
		}
		maps.Copy(env, registryEnv(registry))
	}
	maps.Copy(env, b.env)
	if s.Config && s.EnvDir == "" {
		maps.Copy(env, b.req.Config)
	}
	maps.Copy(env, s.Env)
	if b.Machine.Composer != "" { // a plan knows no machine
		env["COMPOSER_HOME"] = composerHome
	}
	env["PATH"] = b.searchPath(b.path)
	return env, nil
}

// dropCaches empties the caches of a step that wrote too much: it may have been there.
func (b *build) dropCaches(s plan.Step) error {
	var errs []error
	for _, c := range s.Caches {
		dir, err := b.cache(b.req.App.ID, c.ID, appUser)
		errs = append(errs, err, os.RemoveAll(dir))
	}
	return errors.Join(errs...)
}

// exec runs one command of a step, tells its output as it comes, and explains its failure.
func (e *Engine) exec(ctx context.Context, spec platform.StepSpec, command string, story *platform.Story) (exit platform.Exit, err error) {
	out := story.Writer()
	exit, err = e.Executor.Step(ctx, spec, out)
	_ = out.Close()
	if err != nil {
		return exit, fmt.Errorf("run %s: %w", spec.Name, err)
	}
	if exit.Code != 0 || exit.Over != "" {
		return exit, failure(spec.App, command, exit, platform.BuildLimits{Limits: spec.Limits, Silence: spec.Silence}, story.Tail())
	}
	if exit.OOM {
		story.Warn("A process of this step was killed: out of memory (limit %d MiB).", spec.Limits.Memory>>20)
	}
	return exit, nil
}
