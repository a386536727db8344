// Package elixir plans Elixir apps: dependencies fetched and compiled in a layer of their own, and a release, which
// has Erlang inside: the image has no source, no Mix and no Elixir beside it.
package elixir

import (
	"cmp"
	"path"
	"strings"

	"paas/buildpacks/plan"
	"paas/buildpacks/source"
	"paas/platform"
)

const (
	mixFile  = "mix.exs"
	lockFile = "mix.lock"
	home     = "/app/.mix-home" // only in layers that the image leaves out, unless it runs mix
	releases = "_build/prod/rel/"
)

// Detect tells whether the tree says that it is an Elixir app.
func Detect(src *source.Tree) bool { return src.Has(mixFile) }

// Plan plans an app with a mix.exs.
func Plan(src *source.Tree) (plan.Plan, error) {
	p, err := readProject(src)
	if err != nil {
		return plan.Plan{}, err
	}
	tools, err := toolchains(src, p)
	if err != nil {
		return plan.Plan{}, err
	}
	commands, err := commands(src)
	if err != nil {
		return plan.Plan{}, err
	}
	b := builder{src: src, project: p, tools: tools, mixRuns: runsMix(commands)}
	return b.plan()
}

// builder is all that was found out about an app.
type builder struct {
	src     *source.Tree
	project project
	tools   []plan.Toolchain
	mixRuns bool // a process of the Procfile runs mix or elixir itself, as without releases
}

func (b builder) plan() (plan.Plan, error) {
	if b.project.name == "" && !b.mixRuns {
		return plan.Plan{}, platform.Errorf(platform.Failed, "mix.exs names no app and no release that could be started").
			WithHint("write releases: [NAME: []] into the project of mix.exs")
	}
	p := plan.Plan{
		Builder:    plan.Elixir,
		Detected:   mixFile,
		Toolchains: b.tools,
		Steps:      b.steps(),
		Env: map[string]string{
			"MIX_ENV":              "prod",
			"PHX_SERVER":           "true",
			"RELEASE_DISTRIBUTION": "none", // nobody on the network is to be asked for; a config var says otherwise
		},
	}
	if b.mixRuns {
		p.Env["MIX_HOME"] = home
	} else {
		p.Processes = map[platform.ProcessType]string{platform.Web: releases + b.project.name + "/bin/" + b.project.name + " start"}
	}
	if !b.src.Has(lockFile) && b.project.depends {
		p.Warnings = append(p.Warnings, "There is no mix.lock, so versions may change from build to build. Run: mix deps.get && git add mix.lock.")
	}
	return p, nil
}

// steps puts what changes least first.
func (b builder) steps() []plan.Step {
	app := plan.Step{Name: "app", Files: []string{"/"}, Except: []string{"deps/", "_build/", "assets/node_modules/"}}
	var steps []plan.Step
	switch {
	case b.mixRuns:
		steps = []plan.Step{app}
	default:
		code := []string{"*.ex", "*.exs", "*.heex", "*.eex", lockFile, "assets/", "test/"}
		app.Except = append(app.Except, code...)
		steps = []plan.Step{app, {Name: "source", Files: code, Except: []string{"deps/", "_build/", "assets/node_modules/"}, Build: true}}
	}
	if deps := b.dependencies(); b.project.depends && b.project.local {
		deps.Files = []string{}
		steps = append(steps, deps)
	} else if b.project.depends {
		steps = append([]plan.Step{deps}, steps...)
	}
	return append(steps, b.build())
}

// dependencies fetches what the lock file says and compiles it, with the configuration that it is compiled for.
func (b builder) dependencies() plan.Step {
	get := "mix deps.get --only prod"
	if b.src.Has(lockFile) {
		get += " --check-locked"
	}
	s := plan.Step{
		Name:     "dependencies",
		Files:    append(b.project.manifests, "config/"),
		Commands: []string{get, "mix deps.compile"},
		Env:      b.env(),
		Config:   true,
		Caches:   b.caches(),
		Tools:    true,
		Build:    !b.mixRuns,
	}
	if b.project.hex {
		s.Commands = append([]string{"mix local.hex --force --if-missing"}, s.Commands...)
	}
	if b.src.Has(lockFile) {
		s.Files = append(s.Files, b.src.Trail(lockFile)...)
	}
	return s
}

func (b builder) build() plan.Step {
	s := plan.Step{Name: "build", Files: []string{}, Env: b.env(), Config: true, Caches: b.caches(), Tools: true}
	s.Commands = append([]string{"mix compile"}, b.assets()...)
	if !b.mixRuns {
		release := strings.TrimSpace("mix release --overwrite " + b.project.release)
		s.Commands, s.Output = append(s.Commands, release), []string{releases}
	}
	return s
}

// assets are Phoenix's: the alias that its generator writes, or the npm script of older ones.
func (b builder) assets() (commands []string) {
	if b.nodeAssets() {
		commands = append(commands, "npm ci --prefix assets")
	}
	switch {
	case b.project.deploysAssets:
		return append(commands, "mix assets.deploy")
	case b.nodeAssets():
		return append(commands, "npm run deploy --prefix assets", "mix phx.digest")
	}
	return commands
}

func (b builder) nodeAssets() bool { return b.src.Has("assets/package-lock.json") }

// env keeps what Mix downloads for itself in a layer: a mix.exs with packages of Hex cannot be read without Hex.
func (b builder) env() map[string]string {
	return map[string]string{
		"HEX_CACERTS_PATH": "/etc/ssl/certs/ca-certificates.crt",
		"HEX_HOME":         "/cache/hex",
		"MIX_ENV":          "prod",
		"MIX_HOME":         home,
		"MIX_REBAR3":       "/usr/bin/rebar3",
	}
}

func (b builder) caches() []plan.Cache {
	caches := []plan.Cache{{ID: "hex", Dir: "/cache/hex"}}
	if b.nodeAssets() {
		caches = append(caches, plan.Cache{ID: "npm", Dir: "/tmp/home/.npm"})
	}
	return caches
}

// umbrella is the directory of the apps of an umbrella project, "apps" by default.
func (p project) umbrella() string { return path.Clean(cmp.Or(p.appsPath, "apps")) }
