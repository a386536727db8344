// Package perl plans Perl apps: modules installed by Carton from its snapshot, or by cpanminus from the cpanfile, and
// the server that the app requires, else Starman.
package perl

import (
	"errors"
	"io/fs"
	"regexp"
	"strings"

	"paas/buildpacks/aptfile"
	"paas/buildpacks/node"
	"paas/buildpacks/plan"
	"paas/buildpacks/procfile"
	"paas/buildpacks/source"
	"paas/platform"
)

const (
	cpanfile = "cpanfile"
	snapshot = "cpanfile.snapshot"
	local    = "local" // in /app, where modules are installed
	cacheDir = "/cache/cpan"
	maxText  = 1 << 20
	maxLock  = 16 << 20
)

// Detect tells whether the tree says that it is a Perl app.
func Detect(src *source.Tree) bool {
	_, ok := src.First(cpanfile, "app.psgi", "Makefile.PL", "Build.PL")
	return ok
}

// Lone tells whether there is nothing but a script that Mojolicious starts.
func Lone(src *source.Tree) bool { return mojo(src) != "" }

// Plan plans a Perl app. It may be without a web process.
func Plan(src *source.Tree) (plan.Plan, error) {
	m, err := readModules(src)
	if err != nil {
		return plan.Plan{}, err
	}
	tool, err := toolchain(src, m)
	if err != nil {
		return plan.Plan{}, err
	}
	assets, _, err := node.PlanAssets(src)
	if err != nil {
		return plan.Plan{}, err
	}
	b := builder{src: src, modules: m, tool: tool, assets: assets}
	b.begin = b.start()
	return b.plan(), nil
}

// builder is all that was found out about an app.
type builder struct {
	src     *source.Tree
	modules modules
	tool    plan.Toolchain
	assets  node.Assets
	begin   start
}

func (b builder) plan() plan.Plan {
	b.tool.With = b.begin.with
	p := plan.Plan{
		Builder:    plan.Perl,
		Detected:   b.detected(),
		Toolchains: []plan.Toolchain{b.tool},
		Warnings:   append(b.warnings(), b.assets.Warnings...),
		Path:       []string{"/app/" + local + "/bin"},
		Env: map[string]string{
			"PERL5LIB": "/app/" + local + "/lib/perl5:/app/lib", "PLACK_ENV": "deployment", "MOJO_MODE": "production",
			"DANCER_ENVIRONMENT": "production", "MOJO_REVERSE_PROXY": "1", // only the router reaches the app
		},
	}
	if b.installs() {
		p.Toolchains = append(p.Toolchains, plan.Toolchain{Name: "cpan", Build: true})
	}
	p.Toolchains = append(p.Toolchains, b.assets.Toolchains...)
	p.Steps = b.steps()
	if b.begin.command != "" {
		p.Processes = map[platform.ProcessType]string{platform.Web: b.begin.command}
	}
	return p
}

func (b builder) detected() string {
	if file, ok := b.src.First(cpanfile, "app.psgi", "Makefile.PL", "Build.PL"); ok {
		return file
	}
	return mojo(b.src)
}

// installs tells whether there is something to install: a distribution's own file may name it, too.
func (b builder) installs() bool {
	_, own := b.src.First("Makefile.PL", "Build.PL")
	return len(b.modules.names) > 0 || own && !b.src.Has(cpanfile)
}

func (b builder) steps() []plan.Step {
	app := plan.Step{Name: "app", Files: []string{"/"}, Except: []string{local + "/"}}
	if len(b.assets.Toolchains) > 0 {
		app.Except = append(app.Except, "node_modules/")
	}
	steps := append([]plan.Step{}, b.assets.Before...)
	switch {
	case !b.installs():
		steps = append(steps, app)
	case b.src.Has(cpanfile):
		steps = append(steps, b.dependencies(), app)
	default:
		steps = append(steps, app, b.dependencies())
	}
	return append(steps, b.assets.After...)
}

// dependencies installs. What a snapshot names is installed in exactly those versions, whatever Debian has; without
// one, a module of Debian's that will do is not installed again.
func (b builder) dependencies() plan.Step {
	s := plan.Step{Name: "dependencies", Files: b.read(), Tools: true, Caches: []plan.Cache{{ID: "cpan", Dir: cacheDir}}}
	s.Env = map[string]string{"PERL_CPANM_HOME": cacheDir, "PERL_USE_UNSAFE_INC": "1"}
	switch {
	case b.modules.snapshot && b.vendored():
		s.Commands = []string{"carton install --deployment --cached --without develop"}
	case b.modules.snapshot:
		s.Commands = []string{"carton install --deployment --without develop"}
	case b.vendored():
		s.Commands = []string{"cpanm --notest --local-lib " + local + " --mirror \"file:///app/vendor/cache\" --mirror-only --installdeps ."}
	default:
		s.Commands = []string{"cpanm --notest --local-lib " + local + " --installdeps ."}
	}
	s.Commands = append(s.Commands, "rm -rf "+local+"/cache "+local+"/man")
	return s
}

func (b builder) vendored() bool { return b.src.HasDir("vendor/cache") }

func (b builder) read() []string {
	if !b.src.Has(cpanfile) {
		return []string{}
	}
	var files []string
	for _, name := range []string{snapshot, cpanfile} {
		if b.src.Has(name) {
			files = append(files, b.src.Trail(name)...)
		}
	}
	if b.vendored() {
		files = append(files, "vendor/cache/")
	}
	return files
}

func (b builder) warnings() (w []string) {
	if b.tool.From == "" {
		w = append(w, "No Perl version is asked for; the newest one here is taken. Pin it: echo "+newest+" > .perl-version.")
	}
	if len(b.modules.names) > 0 && !b.modules.snapshot && !b.src.Has(aptfile.Name) {
		w = append(w, "Nothing says which versions of modules to install. Lock them: carton install && git add cpanfile.snapshot.")
	}
	if b.begin.warning != "" && !b.src.Has(procfile.Name) {
		w = append(w, b.begin.warning)
	}
	if b.src.HasDir(local + "/lib/perl5") {
		w = append(w, "local is committed and not used. Run: git rm -r --cached local.")
	}
	return w
}

// modules are what a cpanfile requires (the documentation of Module::CPANfile).
type modules struct {
	names    map[string]bool
	perl     string // the least version
	snapshot bool
}

var (
	requires    = regexp.MustCompile(`(?m)^\s*requires\s*\(?\s*['"]([A-Za-z0-9_:]+)['"](?:\s*(?:,|=>)\s*['"]?([^'";)\s]+))?`)
	development = regexp.MustCompile(`(?s)on\s*\(?\s*['"]?(?:test|develop|configure|build)['"]?\s*(?:=>|,)\s*sub\s*\{.*?\n?\}\s*\)?;`)
)

func readModules(src *source.Tree) (modules, error) {
	m := modules{names: map[string]bool{}, snapshot: src.Has(snapshot)}
	text, err := src.Read(cpanfile, maxText)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	plain := development.ReplaceAllString(string(text), "")
	for _, match := range requires.FindAllStringSubmatch(plain, -1) {
		if match[1] == "perl" {
			m.perl = strings.Trim(match[2], "v>= ")
			continue
		}
		m.names[match[1]] = true
	}
	return m, nil
}

func (m modules) has(names ...string) bool {
	for _, name := range names {
		if m.names[name] {
			return true
		}
	}
	return false
}
