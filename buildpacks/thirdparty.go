package buildpacks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"strings"

	"paas/buildpacks/heroku"
	"paas/buildpacks/plan"
	"paas/platform"
)

// choose plans the build and tells who decided and how to decide otherwise.
func (b *build) choose(ctx context.Context) (err error) {
	if b.Options.Detect != nil {
		b.plan, err = b.Options.Detect(ctx, b.req.Source)
	} else {
		b.req.Source, b.plan, err = Choose(ctx, b.req)
	}
	if err != nil {
		return err
	}
	b.req.Story.Phase("%s", b.plan.Title())
	if b.plan.Detected != "" {
		b.req.Story.Line("%s decided this. Another builder: ssh paas builder:set %s NAME; other buildpacks: ssh paas buildpacks:set %s NAME",
			b.plan.Detected, b.req.App.Name, b.req.App.Name)
	}
	for _, note := range b.plan.Notes {
		b.req.Story.Line("%s", note)
	}
	return nil
}

// Plan implements platform.Planner.
func (e *Engine) Plan(ctx context.Context, req platform.BuildRequest) (platform.Planned, error) {
	_, p, err := Choose(ctx, req)
	return platform.Planned{
		Builder: p.Builder, Title: p.Title(), Detected: p.Detected, Processes: p.Processes, Notes: p.Notes, Warnings: p.Warnings,
	}, err
}

// Buildpack implements platform.Planner.
func (e *Engine) Buildpack(name string) (platform.Buildpack, error) {
	b, err := heroku.Parse(name)
	return platform.Buildpack{Name: b.Name, Ours: b.Ours, Spare: b.Spare, URL: b.Git.URL, Ref: b.Git.Ref}, err
}

// profiled sources what .profile.d has, as a dyno does before each process.
const profiled = `for f in /app/.profile.d/*.sh /app/.profile; do [ ! -r "$f" ] || . "$f"; done; exec /bin/bash -c "$1"`

// shellOf runs a process' command line.
func shellOf(p plan.Plan) []string {
	if p.Profile {
		return []string{"/bin/bash", "-c", profiled, "bash"}
	}
	return []string{"/bin/bash", "-c"}
}

// addBuildpack puts the buildpack that the step runs below it. It is no part of the image.
func (b *build) addBuildpack(ctx context.Context, s plan.Step) error {
	if s.Buildpack == 0 {
		return nil
	}
	layer, err := b.fetchBuildpack(ctx, s.Buildpack, b.plan.Buildpacks[s.Buildpack-1])
	if err != nil {
		return err
	}
	b.add(layer, false)
	return nil
}

// fillEnvDir writes config vars to files, in the step's own /tmp, which is emptied after it: so they are in no
// layer.
func (b *build) fillEnvDir(s plan.Step) error {
	if s.EnvDir == "" {
		return nil
	}
	dir := filepath.Join(b.scratchDir(b.req.App.ID), strings.TrimPrefix(s.EnvDir, "/tmp/"))
	if err := ownedDir(dir, appUser, 0o700); err != nil {
		return fmt.Errorf("make directory of config vars: %w", err)
	}
	for name, value := range b.req.Config {
		file := filepath.Join(dir, filepath.Base(name))
		if err := errors.Join(os.WriteFile(file, []byte(value), 0o600), os.Chown(file, appUser, appUser)); err != nil {
			return fmt.Errorf("write config var %s: %w", name, err)
		}
	}
	return nil
}

// takeRelease reads what the last buildpack's bin/release answered.
func (b *build) takeRelease() error {
	if b.plan.Release == 0 {
		return nil
	}
	name := b.plan.Buildpacks[b.plan.Release-1].Name()
	text, err := b.readAnswer()
	if err != nil {
		return fmt.Errorf("read bin/release of %s: %w", name, err)
	}
	r, err := heroku.ParseRelease(name, text)
	if err != nil {
		return err
	}
	for _, addon := range r.Addons {
		b.req.Story.Warn("The buildpack asks for the add-on %s, which is not made here.", addon)
	}
	processes := r.Processes
	maps.Copy(processes, b.plan.Processes)
	b.plan.Processes, b.defaults = processes, r.Config
	if len(processes) == 0 {
		return platform.Errorf(platform.Failed, "the buildpack %s names no process type, and there is no Procfile", name).
			WithHint("add a Procfile with a line such as \"web: ./start.sh\"")
	}
	return runnable(nil, b.plan)
}

// readAnswer reads a file of a layer that a stranger's program wrote: of any kind and size. No answer is an
// empty one.
func (b *build) readAnswer() ([]byte, error) {
	layer := b.answers[b.plan.Release]
	root, err := os.OpenRoot(b.Images.Dir(layer))
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	name := strings.TrimPrefix(heroku.Answer(b.plan.Release), "/")
	info, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, heroku.MaxRelease))
}

// fetchBuildpack finds or makes the layer of the n-th buildpack at the commit that its ref is at today.
func (b *build) fetchBuildpack(ctx context.Context, n int, p plan.Buildpack) (string, error) {
	commit, err := b.commitOf(ctx, p)
	if err != nil {
		return "", err
	}
	key := keyOf("buildpack", commit, n, heroku.Driver(n))
	return key, b.layer(ctx, b.req.Story, product{key, "buildpack " + p.Name() + " at " + commit}, func(dir string) error {
		b.req.Story.Phase("Fetching the buildpack %s at %.8s", p.Name(), commit)
		if err := prepareBuildpack(dir, n); err != nil {
			return err
		}
		_, err := b.git(ctx, p, dir, fetchScript, commit, heroku.Place(n))
		return err
	})
}

// prepareBuildpack makes the directories, and the programs that are ours.
func prepareBuildpack(dir string, n int) error {
	if err := os.MkdirAll(filepath.Join(dir, "opt"), 0o755); err != nil {
		return err
	}
	for _, d := range []string{heroku.Dir, heroku.Place(n)} {
		if err := ownedDir(filepath.Join(dir, d), appUser, 0o755); err != nil {
			return err
		}
	}
	exports, text := heroku.Exports()
	for name, content := range map[string]string{heroku.Place(n) + ".sh": heroku.Driver(n), exports: text} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o755); err != nil { //nolint:gosec // a program that its user runs
			return err
		}
	}
	return nil
}

// commitOf asks the buildpack's repository what its ref stands for. When it does not answer, the last answer
// serves.
func (b *build) commitOf(ctx context.Context, p plan.Buildpack) (string, error) {
	if isCommit(p.Ref) {
		return p.Ref, nil
	}
	name := "buildpack " + p.Name()
	var commit string
	err := b.scratch(func(dir string) error {
		refs, err := b.git(ctx, p, dir, `git ls-remote -- "$1" HEAD "refs/heads/$2" "refs/tags/$2" "refs/tags/$2^{}"`, p.Ref)
		commit = chooseRef(refs, p.Ref)
		return err
	})
	switch last := b.kept(name).List; {
	case err == nil && commit != "":
		return commit, b.keep(name, []string{commit})
	case err == nil:
		return "", platform.Errorf(platform.Failed, "the buildpack %s has no branch or tag %q", p.URL, p.Ref).
			WithHint("a commit is written with all of its 40 digits")
	case len(last) == 1 && ctx.Err() == nil:
		b.req.Story.Warn("The repository of the buildpack %s does not answer; it is taken as it was at the last build, at %.8s.", p.Name(), last[0])
		return last[0], nil
	}
	return "", err
}

func isCommit(ref string) bool {
	return len(ref) == 40 && strings.Trim(ref, "0123456789abcdef") == ""
}

// chooseRef picks from the lines of git ls-remote what a ref stands for: a branch before a tag, and of a tag
// the commit that it is put on.
func chooseRef(lines, ref string) string {
	found := map[string]string{}
	for line := range strings.Lines(lines) {
		id, name, ok := strings.Cut(strings.TrimSpace(line), "\t")
		if ok && isCommit(id) {
			found[name] = id
		}
	}
	names := []string{"refs/heads/" + ref, "refs/tags/" + ref + "^{}", "refs/tags/" + ref}
	if ref == "" {
		names = []string{"HEAD"}
	}
	for _, name := range names {
		if found[name] != "" {
			return found[name]
		}
	}
	return ""
}

// fetchScript gets one commit, with its history only where the server does not give single commits.
const fetchScript = `cd "$3"
git -c init.defaultBranch=main init -q .
git fetch -q --depth 1 -- "$1" "$2" 2>/dev/null || git fetch -q -- "$1" "+refs/heads/*:refs/fetched/heads/*" "+refs/tags/*:refs/fetched/tags/*"
git -c advice.detachedHead=false checkout -q "$2"
rm -rf .git`

// git runs a script with git over the buildpack's URL as $1, in a container like those of build steps: the
// repository is a stranger's. It returns what it wrote, at most so much of it.
func (b *build) git(ctx context.Context, p plan.Buildpack, upper, script string, args ...string) (string, error) {
	binds, err := b.gitBinds(p)
	if err != nil {
		return "", err
	}
	tools, err := b.packages(ctx, b.base, buildPackages, b.req.Story)
	if err != nil {
		return "", err
	}
	defer b.emptyScratch()
	out := &bounded{limit: 1 << 20}
	spec := platform.StepSpec{
		AppID: b.req.App.ID, App: b.req.App.Name, Name: "fetch buildpack", Layers: []string{b.base, tools}, Upper: upper, Dir: "/",
		UID: appUser, GID: appUser, Env: b.gitEnv(), Binds: binds, Limits: b.Limits,
		Argv: append([]string{"/bin/bash", "-e", "-c", script, "git", p.URL}, args...),
	}
	exit, err := b.Executor.Step(ctx, spec, out)
	if err != nil {
		return "", fmt.Errorf("fetch the buildpack %s: %w", p.Name(), err)
	}
	if exit.Code != 0 {
		return "", platform.Errorf(platform.Failed, "the buildpack %s cannot be fetched: %s", p.Name(), gitComplaint(out.String())).
			WithHint("is the URL right, and does the server reach it?")
	}
	return out.String(), nil
}

// gitComplaint is the line that says most of what git says.
func gitComplaint(text string) string {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "fatal: "); ok {
			return strings.TrimSpace(rest)
		}
	}
	return lastLine(text)
}

func (b *build) gitEnv() map[string]string {
	env := b.Machine.env()
	maps.Copy(env, map[string]string{
		"PATH": systemPath, "HOME": scratchHome, "LANG": "C.UTF-8", "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1",
		"GIT_ALLOW_PROTOCOL": "http:https:git:file", "GIT_LFS_SKIP_SMUDGE": "1",
	})
	return env
}

// gitConfig is for owners that differ inside, and for damaged objects.
const gitConfig = "[safe]\n\tdirectory = *\n[transfer]\n\tfsckObjects = true\n"

// gitBinds shows git the host's own buildpacks, if the URL is one of those.
func (b *build) gitBinds(p plan.Buildpack) ([]platform.Bind, error) {
	scratch, err := b.newScratch(b.req.App.ID, appUser)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(scratch, "home", ".gitconfig"), []byte(gitConfig), 0o644); err != nil { //nolint:gosec // read inside
		return nil, fmt.Errorf("configure git: %w", err)
	}
	binds := append(b.Machine.binds(), platform.Bind{Source: scratch, Target: "/tmp"})
	local, ok := strings.CutPrefix(p.URL, "file://")
	if !ok {
		return binds, nil
	}
	for _, dir := range b.Local {
		if clean := path.Clean(local); clean == local && strings.HasPrefix(clean, dir+"/") {
			return append(binds, platform.Bind{Source: dir, Target: dir, ReadOnly: true}), nil
		}
	}
	return nil, platform.Errorf(platform.Failed, "the buildpack %s is a path of the server, and not in a directory of buildpacks that its owner has allowed", p.URL).
		WithHint("the server's owner allows one: paas serve --buildpacks DIRECTORY")
}

// bounded keeps the first bytes of what is written.
type bounded struct {
	bytes.Buffer
	limit int
}

func (w *bounded) Write(p []byte) (int, error) {
	if room := w.limit - w.Len(); room > 0 {
		w.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
