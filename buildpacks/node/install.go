package node

import (
	"bytes"
	"maps"
	"path"
	"regexp"
	"slices"

	"paas/buildpacks/plan"
	"paas/buildpacks/source"
)

const (
	maxNpmrc    = 64 << 10
	maxLockfile = 64 << 20
)

// install is how the dependencies of an app are installed.
type install struct {
	manager
	files   []string // what the step must see, if not the whole tree
	whole   bool     // scripts or dependencies reach into the source
	dev     bool     // with what only the build needs
	surplus bool     // of which there is some
	keep    bool     // and which the running app needs
	nodeEnv string   // the owner's NODE_ENV, "" for production
	tools   bool     // something may be compiled
	config  bool     // settings speak of config vars
	nothing bool     // there is nothing to install
	own     map[string]string
}

// newInstall plans the install of the package at the root and of the members around it.
func newInstall(src *source.Tree, pkg manifest, m manager, members []member) (install, error) {
	in := install{manager: m, own: map[string]string{}, nothing: pkg.needsNothing() && len(members) == 0 && !pkg.hasHooks(src)}
	if in.nothing {
		return in, nil
	}
	in.files = src.Trail(Manifest)
	in.look(src, ".", pkg)
	for _, member := range members {
		in.files = append(in.files, src.Trail(path.Join(member.dir, Manifest))...)
		in.look(src, member.dir, member.pkg)
		in.whole = in.whole || len(member.pkg.Bin) > 0 // links are made to what is there
	}
	if err := in.lookAtLock(src); err != nil {
		return in, err
	}
	return in, in.readSettings(src)
}

// look looks for what a package's install needs.
func (in *install) look(src *source.Tree, dir string, pkg manifest) {
	hooks, reach := pkg.hooks(src, dir)
	in.files = append(in.files, reach...)
	in.dev = in.dev || hooks || pkg.buildScript() != ""
	in.surplus = in.surplus || len(pkg.Dev.value) > 0
	in.whole = in.whole || hooks && reach == nil || pkg.local()
}

// hook is an install script that reads nothing of the source, or only what is named here.
type hook struct {
	command *regexp.Regexp
	files   []string
}

// modest are the hooks that many apps have.
var modest = []hook{
	{regexp.MustCompile(`^((npx )?(is-ci|node \.husky/install\.mjs) \|\| )?(npx )?(husky|simple-git-hooks|lefthook)( install| -f)?( \|\| (true|exit 0|:))?$`), []string{".husky/"}},
	{regexp.MustCompile(`^(npx )?(-y )?only-allow \w+$`), []string{}},
	{regexp.MustCompile(`^(npx )?patch-package$`), []string{"patches/"}},
	{regexp.MustCompile(`^svelte-kit sync( \|\| (echo ['"]{2}|true))?$`), []string{"svelte.config.js", "svelte.config.ts"}},
	{regexp.MustCompile(`^(npx )?prisma generate$`), []string{"prisma/", "prisma.config.ts"}},
}

// nuxtHook is one that Nuxt's starter has. It needs what the configuration speaks of.
var nuxtHook = regexp.MustCompile(`^(npx )?(nuxt|nuxi) prepare$`)

// ownPath is a path into the app in a configuration of Nuxt's, or a layer below it.
var ownPath = regexp.MustCompile(`["'](\.|~|@/|#)|\bextends\b`)

// modestHook finds the script among those whose needs are known.
func modestHook(src *source.Tree, dir, script string) (files []string, ok bool) {
	for _, h := range modest {
		if h.command.MatchString(script) {
			return h.files, true
		}
	}
	config := project{src: src, dir: dir}.config("nuxt.config")
	if nuxtHook.MatchString(script) && !ownPath.MatchString(config) && !src.HasDir(path.Join(dir, "modules")) && !src.HasDir(path.Join(dir, "layers")) {
		return []string{"nuxt.config.ts", "nuxt.config.js", "nuxt.config.mjs", "tsconfig.json"}, true
	}
	return nil, false
}

// hookNames are the scripts that package managers run when they install.
var hookNames = [...]string{"preinstall", "install", "postinstall", "prepare", "heroku-prebuild"}

func (m manifest) hasHooks(src *source.Tree) bool {
	return m.hasScript(hookNames[:]...) || src.Has("binding.gyp")
}

// hooks tells whether the package has scripts that run at its install, and what they read of the source; nil stands
// for all of it.
func (m manifest) hooks(src *source.Tree, dir string) (some bool, reach []string) {
	if src.Has(path.Join(dir, "binding.gyp")) {
		return true, nil
	}
	for _, name := range hookNames {
		script := m.script(name)
		if script == "" {
			continue
		}
		files, known := modestHook(src, dir, script)
		if !known {
			return true, nil
		}
		some = true
		for _, f := range files {
			reach = append(reach, joinKeepingSlash(dir, f))
		}
	}
	return some, slices.Concat([]string{}, reach)
}

func joinKeepingSlash(dir, name string) string {
	if dir == "." {
		return name
	}
	return dir + "/" + name
}

func (in *install) lookAtLock(src *source.Tree) error {
	if in.lock == "" {
		in.tools = true
		return nil
	}
	text, err := src.Read(in.lock, maxLockfile)
	if err != nil {
		return err
	}
	in.files = append(in.files, src.Trail(in.lock)...)
	in.tools, err = in.compiles(text)
	return err
}

// variable is how settings name a config var.
var variable = regexp.MustCompile(`\$\{?[A-Za-z_]`)

// registrySetting is the registry that the app itself names. It counts more than the machine's.
var registrySetting = regexp.MustCompile(`(?m)^[ \t]*registry[ \t]*=[ \t]*["']?(https?://[^\s"'$]+)["']?[ \t\r]*$`)

func (in *install) readSettings(src *source.Tree) error {
	for _, name := range in.settings() {
		text, err := optional(src, name, maxLockfile)
		if err != nil {
			return err
		}
		if text == nil {
			continue
		}
		in.files = append(in.files, src.Trail(name)...)
		in.readSetting(name, text)
	}
	for _, dir := range []string{"patches", ".yarn"} {
		if src.HasDir(dir) && (dir != ".yarn" || in.program() == yarn) {
			in.files = append(in.files, dir+"/")
		}
	}
	slices.Sort(in.files[1:])
	in.files = slices.Compact(in.files)
	return nil
}

func (in *install) readSetting(name string, text []byte) {
	if name == ".pnp.cjs" {
		return
	}
	in.config = in.config || variable.Match(text)
	if m := registrySetting.FindSubmatch(text); m != nil && name == npmrc {
		in.own["npm_config_registry"], in.own["NPM_CONFIG_REGISTRY"] = string(m[1]), string(m[1])
	}
	if server := setting(text, "npmRegistryServer"); server != "" && name == yarnrc && !variable.MatchString(server) {
		in.own["YARN_NPM_REGISTRY_SERVER"] = server
	}
}

// env is the environment of every step.
func (in install) env() map[string]string {
	env := in.manager.env()
	maps.Copy(env, in.own)
	if in.nodeEnv != "" {
		env["NODE_ENV"] = in.nodeEnv
	}
	if in.tools {
		env["npm_config_nodedir"] = "/opt/node" // where node-gyp finds headers without a download
	}
	if in.Name == npm && in.lock == "" && !in.nothing {
		env["npm_config_package_lock"] = "false"
	}
	return env
}

func (in install) caches() []plan.Cache {
	return []plan.Cache{{ID: in.program(), Dir: in.cacheDir()}}
}

// pruned are the commands that remove what only the build needed, if there is any.
func (in install) pruned(workspaces bool) []string {
	command := in.prune(workspaces)
	if in.keep || !in.dev && in.Name != berry || !in.surplus && !workspaces || command == "" {
		return nil
	}
	return []string{command}
}

// compiles tells whether a package that Linux gets may compile something when it is installed. Most
// lockfiles need not be parsed for that.
func (in install) compiles(text []byte) (bool, error) {
	if in.Name != npm || !bytes.Contains(text, []byte(`"packages"`)) {
		return compilerName.Match(text) || bytes.Contains(text, []byte("requiresBuild: true")), nil
	}
	return installScripts(in.lock, text)
}

// compilerName is for lockfiles that do not tell install scripts: native packages depend on one of these.
var compilerName = regexp.MustCompile(`(?m)(^|["'/\s])(@mapbox/)?(node-gyp|nan|node-addon-api|bindings|prebuild-install|node-pre-gyp|node-gyp-build|cmake-js)["'@:/(]`)
