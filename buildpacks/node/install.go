package node

import (
	"bytes"
	"strings"

	"paas/buildpacks/plan"
	"paas/buildpacks/source"
	"paas/platform"
)

const (
	npmrc       = ".npmrc"
	maxNpmrc    = 64 << 10
	maxLockfile = 64 << 20
	cacheDir    = "/cache/npm"
)

// install is how the dependencies of an app are installed.
type install struct {
	lock    string   // the lockfile, "" without one
	files   []string // what the step must see, if not the whole tree
	whole   bool     // scripts or dependencies reach into the source
	dev     bool     // with what only the build needs
	tools   bool     // something may be compiled
	config  bool     // .npmrc speaks of config vars
	nothing bool     // there is nothing to install
}

func newInstall(src *source.Tree, pkg manifest) (install, error) {
	lifecycle := pkg.hasScript("preinstall", "install", "postinstall", "prepare", "heroku-prebuild") || src.Has("binding.gyp")
	in := install{
		whole:   lifecycle || pkg.hasWorkspaces() || pkg.local(),
		dev:     lifecycle || pkg.buildScript() != "",
		nothing: !lifecycle && pkg.needsNothing(),
	}
	if in.nothing {
		return in, nil
	}
	if err := in.readLock(src); err != nil {
		return in, err
	}
	return in, in.readNpmrc(src)
}

func (in *install) readLock(src *source.Tree) error {
	in.files = src.Trail(Manifest)
	lock, ok := src.First("npm-shrinkwrap.json", "package-lock.json")
	if !ok {
		in.tools = true
		return foreignLock(src)
	}
	text, err := src.Read(lock, maxLockfile)
	if err != nil {
		return err
	}
	in.lock = lock
	in.files = append(in.files, src.Trail(lock)...)
	in.tools, err = compiles(lock, text)
	return err
}

// foreignLock refuses an app whose versions only another package manager knows.
func foreignLock(src *source.Tree) error {
	lock, ok := src.First("yarn.lock", "pnpm-lock.yaml", "bun.lock", "bun.lockb")
	if !ok {
		return nil
	}
	return platform.Errorf(platform.Failed, "%s is not supported yet: dependencies are installed by npm, from package-lock.json", lock).
		WithHint("run: npm install --package-lock-only && git add package-lock.json")
}

func (in *install) readNpmrc(src *source.Tree) error {
	if !src.Has(npmrc) {
		return nil
	}
	text, err := src.Read(npmrc, maxNpmrc)
	in.files = append(in.files, src.Trail(npmrc)...)
	in.config = bytes.Contains(text, []byte("${"))
	return err
}

// step installs. When it sees the whole tree it comes after the step that puts the tree there.
func (in install) step(pkg manifest) plan.Step {
	s := plan.Step{Name: "dependencies", Files: in.files, Env: in.env(), Config: in.config, Tools: in.tools, Caches: caches()}
	if in.whole {
		s.Files = []string{}
	}
	if pkg.hasScript("heroku-prebuild") {
		s.Commands = append(s.Commands, "npm run heroku-prebuild")
	}
	return in.commands(s, pkg)
}

func (in install) commands(s plan.Step, pkg manifest) plan.Step {
	s.Commands = append(s.Commands, in.command())
	if in.dev && pkg.buildScript() == "" {
		s.Commands = append(s.Commands, in.prune(pkg)...)
	}
	return s
}

func (in install) command() string {
	verb, which := "npm ci", "--omit=dev"
	if in.lock == "" {
		verb = "npm install"
	}
	if in.dev {
		which = "--include=dev"
	}
	return verb + " " + which
}

// prune removes what only the build needed.
func (in install) prune(pkg manifest) []string {
	if !in.dev || len(pkg.Dev.value) == 0 && !pkg.hasWorkspaces() {
		return nil
	}
	return []string{"npm prune --omit=dev --ignore-scripts"}
}

// env is npm's environment in every step. A lockfile that is not the app's own is not left in the image.
func (in install) env() map[string]string {
	env := map[string]string{
		"NODE_ENV":                   "production",
		"npm_config_audit":           "false",
		"npm_config_cache":           cacheDir,
		"npm_config_fund":            "false",
		"npm_config_update_notifier": "false",
	}
	if in.tools {
		env["npm_config_nodedir"] = "/opt/node" // where node-gyp finds headers without a download
	}
	if in.lock == "" && !in.nothing {
		env["npm_config_package_lock"] = "false"
	}
	return env
}

func caches() []plan.Cache { return []plan.Cache{{ID: "npm", Dir: cacheDir}} }

// lockfile is what matters of a package-lock.json (npm's documentation, "package-lock.json").
type lockfile struct {
	Version  int `json:"lockfileVersion"`
	Packages map[string]struct {
		HasInstallScript bool     `json:"hasInstallScript"`
		OS               []string `json:"os"`
	} `json:"packages"`
}

// compiles tells whether a package that Linux gets may compile something when it is installed. Most
// lockfiles need not be parsed for that.
func compiles(name string, text []byte) (bool, error) {
	if !bytes.Contains(text, []byte(`"packages"`)) {
		return mentionsCompiler(text), nil
	}
	if !bytes.Contains(text, []byte(`"hasInstallScript"`)) {
		return false, nil
	}
	var lock lockfile
	if err := source.Decode(name, text, &lock); err != nil {
		return false, err
	}
	for _, p := range lock.Packages {
		if p.HasInstallScript && forLinux(p.OS) {
			return true, nil
		}
	}
	return false, nil
}

// forLinux reads a package's list of systems: names, or names that start with "!" for all others.
func forLinux(systems []string) bool {
	listed, negated := false, false
	for _, s := range systems {
		if s == "!linux" {
			return false
		}
		listed = listed || s == "linux"
		negated = negated || strings.HasPrefix(s, "!")
	}
	return listed || negated || len(systems) == 0
}

// mentionsCompiler is for lockfiles of npm 6, which do not tell install scripts: native packages depend
// on one of these.
func mentionsCompiler(text []byte) bool {
	for _, name := range []string{`"node-gyp"`, `"nan"`, `"node-addon-api"`, `"bindings"`, `"prebuild-install"`, `"node-pre-gyp"`, `"@mapbox/node-pre-gyp"`} {
		if bytes.Contains(text, []byte(name)) {
			return true
		}
	}
	return false
}
