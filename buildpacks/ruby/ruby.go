// Package ruby plans Ruby apps: gems installed by Bundler exactly as locked, the tasks that Rails and others have
// for their assets, and the server that the app bundles.
package ruby

import (
	"slices"

	"paas/buildpacks/aptfile"
	"paas/buildpacks/node"
	"paas/buildpacks/plan"
	"paas/buildpacks/procfile"
	"paas/buildpacks/source"
	"paas/platform"
)

// Where gems are installed, and where Bundler keeps what it fetched.
const (
	home     = "vendor/bundle" // in /app
	cacheDir = "/cache/bundler"
)

// Detect tells whether the tree says that it is a Ruby app. Beside a package.json a Gemfile may be of a tool only,
// so it must name something that a web app or its tasks are made of.
func Detect(src *source.Tree) bool {
	if src.Has("config.ru") {
		return true
	}
	if _, ok := src.First(gemfile, "gems.rb"); !ok {
		return false
	}
	if !src.Has(node.Manifest) {
		return true
	}
	g, err := readGems(src)
	return err != nil || g.has("rails", "railties", "rack", "rackup", "sinatra", "hanami", "roda", "puma", "unicorn", "falcon", "thin")
}

// Plan plans a Ruby app. It may be without a web process.
func Plan(src *source.Tree) (plan.Plan, error) {
	g, err := readGems(src)
	if err != nil {
		return plan.Plan{}, err
	}
	tool, err := toolchain(src, g)
	if err != nil {
		return plan.Plan{}, err
	}
	assets, bundles, err := node.PlanAssets(src)
	if err != nil {
		return plan.Plan{}, err
	}
	b := builder{src: src, gems: g, tool: tool, assets: assets, bundles: bundles}
	return b.plan(), nil
}

// builder is all that was found out about an app.
type builder struct {
	src     *source.Tree
	gems    gems
	tool    plan.Toolchain
	assets  node.Assets
	bundles bool // package.json has a build script
}

func (b builder) plan() plan.Plan {
	command, warning := b.start()
	p := plan.Plan{
		Builder:    plan.Ruby,
		Detected:   b.detected(),
		Toolchains: b.toolchains(),
		Steps:      b.steps(),
		Path:       []string{"/app/" + home + "/bin"},
		Warnings:   append(b.warnings(warning), b.assets.Warnings...),
		Env:        b.env(),
	}
	if command != "" {
		p.Processes = map[platform.ProcessType]string{platform.Web: command}
	}
	if b.rails() {
		p.Declared = map[string]platform.EnvVar{"SECRET_KEY_BASE": {Generator: "secret"}}
	}
	return p
}

func (b builder) detected() string {
	if b.gems.file != "" {
		return b.gems.file
	}
	return "config.ru"
}

// rails tells whether the app is made with Rails.
func (b builder) rails() bool {
	return b.gems.has("railties", "rails") && b.src.Has("config/application.rb")
}

// env is of running processes. Only the router reaches the app, which serves its own files; jemalloc keeps the
// memory of many threads together.
func (b builder) env() map[string]string {
	env := b.bundlerEnv()
	for name, value := range map[string]string{
		"RACK_ENV": "production", "APP_ENV": "production", "RAILS_ENV": "production",
		"RAILS_LOG_TO_STDOUT": "enabled", "RAILS_SERVE_STATIC_FILES": "enabled",
		"MALLOC_ARENA_MAX": "2", "LD_PRELOAD": "libjemalloc.so.2",
	} {
		env[name] = value
	}
	return env
}

// bundlerEnv makes Bundler see its own directory and Debian's gems (an Aptfile may name some), and nothing else: a
// committed .bundle/config would be stronger than the environment.
func (b builder) bundlerEnv() map[string]string {
	env := map[string]string{
		"GEM_HOME": "/app/" + home, "BUNDLE_APP_CONFIG": "/app/" + home, "BUNDLE_WITHOUT": "development:test", "BUNDLE_VERSION": "system",
	}
	if b.gems.lock != "" {
		env["BUNDLE_FROZEN"] = "true"
	}
	return env
}

func (b builder) toolchains() []plan.Toolchain {
	tools := []plan.Toolchain{b.tool, {Name: "ruby-dev", Build: true}}
	if len(b.assets.Toolchains) == 0 && b.gems.has("execjs") && !b.gems.has("mini_racer") {
		return append(tools, plan.Toolchain{Name: "node", Build: true})
	}
	return append(tools, b.assets.Toolchains...)
}

func (b builder) steps() []plan.Step {
	app := plan.Step{Name: "app", Files: []string{"/"}, Except: []string{home + "/", ".bundle/config"}}
	if len(b.assets.Toolchains) > 0 {
		app.Except = append(app.Except, "node_modules/")
	}
	steps := []plan.Step{b.dependencies(), app}
	if b.gems.whole {
		slices.Reverse(steps)
	}
	if b.gems.file == "" {
		steps = []plan.Step{app}
	}
	after := b.assets.After
	if b.bundlesItself() && len(after) > 0 {
		after = after[:len(after)-1] // Rails' task runs the scripts itself, those for style sheets among them
	}
	return slices.Concat(b.assets.Before, steps, after, b.build())
}

// bundlesItself tells whether assets:precompile runs the scripts of package.json.
func (b builder) bundlesItself() bool {
	return b.bundles && b.rails() && b.gems.has("jsbundling-rails", "cssbundling-rails")
}

// dependencies is Bundler's step. What a Gemfile.lock names is fetched, unless it lies in vendor/cache or Debian's
// packages may be all of it: then that is tried first, and no server asked.
func (b builder) dependencies() plan.Step {
	s := plan.Step{Name: "dependencies", Files: []string{}, Tools: len(b.gems.names) > 0, Env: b.bundlerEnv()}
	s.Env["BUNDLE_USER_CACHE"], s.Env["BUNDLE_GLOBAL_GEM_CACHE"] = cacheDir, "true"
	s.Caches = []plan.Cache{{ID: "bundler", Dir: cacheDir}}
	s.Config = b.gems.variable || b.gems.remotes > 1
	if !b.gems.whole {
		s.Files = b.read()
	}
	install := "bundle install --jobs 4 --retry 2"
	if b.src.HasDir("vendor/cache") || b.src.Has(aptfile.Name) || len(b.gems.names) == 0 {
		install = "bundle install --local --quiet 2>/dev/null || " + install
	}
	s.Commands = []string{install, "rm -rf " + home + "/cache"}
	return s
}

// read is what Bundler sees of the tree.
func (b builder) read() (files []string) {
	for _, name := range []string{b.gems.lock, b.gems.file, ".ruby-version", ".tool-versions"} {
		if name != "" && b.src.Has(name) {
			files = append(files, b.src.Trail(name)...)
		}
	}
	if b.src.HasDir("vendor/cache") {
		files = append(files, "vendor/cache/")
	}
	return files
}

func (b builder) warnings(start string) (w []string) {
	if b.tool.From == "" {
		w = append(w, "No Ruby version is asked for; the newest one here is taken. Pin it: echo "+newest+" > .ruby-version.")
	}
	if b.gems.file != "" && b.gems.lock == "" && len(b.gems.names) > 0 {
		w = append(w, "Nothing says which versions of gems to install. Lock them: bundle lock --add-platform x86_64-linux && git add Gemfile.lock.")
	}
	if start != "" && !b.src.Has(procfile.Name) {
		w = append(w, start)
	}
	if b.src.Has(".bundle/config") {
		w = append(w, ".bundle/config is committed and not read. Run: git rm --cached .bundle/config.")
	}
	if b.src.HasDir(home) {
		w = append(w, home+" is committed and not used. Run: git rm -r --cached "+home+".")
	}
	return w
}
