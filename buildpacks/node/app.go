package node

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"paas/buildpacks/plan"
	"paas/buildpacks/source"
	"paas/platform"
)

// app is a package.json at the root of a tree, the workspace around it, and which of its packages is the app.
type app struct {
	src     *source.Tree
	pkg     manifest // at the root
	members []member
	dir     string   // of the app's own package: "." or a member's
	own     manifest // the package.json there
	in      install
	tools   []plan.Toolchain
	several []member // that could be the app
	late    string   // a development dependency that the app starts with, or ""
}

func readApp(src *source.Tree) (a app, err error) {
	a = app{src: src, dir: "."}
	if a.pkg, err = readManifest(src, Manifest); err != nil {
		return a, err
	}
	m, err := chooseManager(src, a.pkg)
	if err != nil {
		return a, err
	}
	if a.members, err = findMembers(src, a.pkg, m); err != nil {
		return a, err
	}
	a.choose(m)
	a.late = a.member().lateProgram(src)
	if a.in, err = newInstall(src, a.pkg, m, a.members); err != nil {
		return a, err
	}
	a.in.keep = a.late != "" || keptByConfig(src)
	a.in.nodeEnv = src.Config("NODE_ENV")
	a.tools, err = a.toolchains()
	return a, err
}

// choose finds the app in a workspace: the root, if it can be started, else the only member that can.
func (a *app) choose(m manager) {
	a.own, a.in.manager = a.pkg, m
	if i := slices.IndexFunc(a.members, func(m member) bool { return m.dir == a.src.Part() }); i >= 0 { // its owner has said so
		a.dir, a.own = a.members[i].dir, a.members[i].pkg
		return
	}
	root := member{".", a.pkg}
	if len(a.members) == 0 || a.start() != "" || root.shape(a.src).site.Dir != "" {
		return
	}
	a.several = candidates(a.src, a.members)
	if len(a.several) == 1 {
		a.dir, a.own, a.several = a.several[0].dir, a.several[0].pkg, nil
	}
}

func (a app) member() member { return member{a.dir, a.own} }

// toolchains are Node.js and the package manager. Bun needs no Node.js, unless something of the app's does.
func (a app) toolchains() ([]plan.Toolchain, error) {
	tool, err := toolchain(a.src, a.pkg)
	if err != nil {
		return nil, err
	}
	if a.in.Name != bun {
		return []plan.Toolchain{tool, a.in.Toolchain}, nil
	}
	if tool.From == "" && !a.usesNode() {
		return []plan.Toolchain{a.in.Toolchain}, nil
	}
	return []plan.Toolchain{tool, a.in.Toolchain}, nil
}

var nodeCommand = regexp.MustCompile(`(^|[\s;&|(])(node|npm|npx)\s`)

// usesNode tells whether an app whose package manager is Bun runs in Node.js all the same.
func (a app) usesNode() bool {
	wish, _, _ := wanted(a.src, a.pkg)
	if wish != "" || a.in.tools {
		return true
	}
	for _, m := range append([]member{{".", a.pkg}}, a.members...) {
		for _, script := range m.pkg.Scripts.value {
			if nodeCommand.MatchString(script + " ") {
				return true
			}
		}
		if m.shape(a.src).start != "" {
			return true
		}
	}
	return false
}

// builds are the packages to build, in this order: the root alone if it has a build script, else the app's own and
// those it needs.
func (a app) builds() (list []member) {
	if a.pkg.buildScript() != "" {
		return []member{{".", a.pkg}}
	}
	for _, m := range needed(a.members, a.dir) {
		if m.pkg.buildScript() != "" {
			list = append(list, m)
		}
	}
	return list
}

func (a app) buildCommands() (commands []string) {
	for _, m := range a.builds() {
		commands = append(commands, a.in.run(m.pkg.buildScript(), m.dir))
	}
	shape := a.member().shape(a.src)
	if len(commands) > 0 && a.pkg.buildScript() != "" && a.dir == "." {
		commands = append(commands, shape.after...)
	}
	return commands
}

func (a app) buildEnv() map[string]string {
	env := a.in.env()
	maps.Copy(env, a.member().shape(a.src).env)
	return env
}

// buildCaches are the package manager's and the bundler's.
func (a app) buildCaches() []plan.Cache {
	own := a.member()
	list := append(a.in.caches(), own.caches(own.shape(a.src))...)
	if a.in.nothing || a.in.pnp {
		return list
	}
	return append(list, plan.Cache{ID: "modules", Dir: "/app/node_modules/.cache"})
}

// steps install, put the source there, and build. Where the install needs the source, that comes first.
func (a app) steps() []plan.Step {
	var steps []plan.Step
	switch {
	case a.in.nothing:
		steps = []plan.Step{a.source()}
	case a.in.whole:
		steps = []plan.Step{a.source(), a.installStep()}
	default:
		steps = []plan.Step{a.installStep(), a.source()}
	}
	if len(a.builds()) == 0 {
		return steps
	}
	return append(steps, a.buildStep())
}

// source puts the source there. Modules that were committed do not go over those that were installed.
func (a app) source() plan.Step {
	s := plan.Step{Name: "app", Files: []string{"/"}}
	if !a.in.nothing {
		s.Except = []string{"node_modules/"}
	}
	return s
}

// installStep installs. When it sees the whole tree it comes after the step that puts the tree there.
func (a app) installStep() plan.Step {
	s := plan.Step{Name: "dependencies", Files: a.in.files, Env: a.in.env(), Config: a.in.config, Tools: a.in.tools, Caches: a.in.caches()}
	if a.in.whole {
		s.Files = []string{}
	}
	if a.pkg.hasScript("heroku-prebuild") {
		s.Commands = append(s.Commands, a.in.run("heroku-prebuild", "."))
	}
	s.Commands = append(s.Commands, a.in.manager.install(a.in.dev || a.in.keep))
	if len(a.builds()) == 0 {
		s.Commands = append(s.Commands, a.in.pruned(len(a.members) > 0)...)
	}
	return s
}

func (a app) buildStep() plan.Step {
	s := plan.Step{Name: "build", Files: []string{}, Env: a.buildEnv(), Config: true, Caches: a.buildCaches()}
	s.Commands = append(a.buildCommands(), a.in.pruned(len(a.members) > 0)...)
	if a.pkg.hasScript("heroku-cleanup") {
		s.Commands = append(s.Commands, a.in.run("heroku-cleanup", "."))
	}
	return s
}

// env has the two variables of npm start that apps read to tell their version.
func (a app) env() map[string]string {
	env := map[string]string{"NODE_ENV": "production"}
	if name := a.own.Name.value; name != "" {
		env["npm_package_name"] = name
	}
	if version := a.own.Version.value; version != "" {
		env["npm_package_version"] = version
	}
	maps.Copy(env, a.member().shape(a.src).runs)
	if a.in.pnp && !a.in.nothing {
		env["NODE_OPTIONS"] = "--require /app/.pnp.cjs"
	}
	if a.in.Name == berry {
		env["YARN_ENABLE_TELEMETRY"] = "0"
	}
	return env
}

// path is where the programs of packages are.
func (a app) path() []string {
	switch {
	case a.in.nothing || a.in.pnp:
		return nil
	case a.dir != ".":
		return []string{path.Join("/app", a.dir, "node_modules/.bin"), "/app/node_modules/.bin"}
	default:
		return []string{"/app/node_modules/.bin"}
	}
}

func (a app) warnings() (w []string) {
	if tool := a.tools[0]; tool.Name == "node" && tool.From == "" {
		w = append(w, `No Node.js version is asked for; the newest stable one is taken. Pin it in package.json: "engines": {"node": "22.x"}.`)
	}
	if a.in.nothing {
		return w
	}
	w = append(w, a.in.lockWarnings()...)
	if a.src.HasDir("node_modules") {
		w = append(w, "node_modules is committed and not used. Run: git rm -r --cached node_modules.")
	}
	own := a.member()
	if shape := own.shape(a.src); shape.warning != "" {
		w = append(w, shape.warning)
	}
	if script := own.pkg.script("start"); script != "" && own.watches(a.src) && own.shape(a.src).start != "" {
		w = append(w, "The start script ("+script+") is not what starts the built app; this is started instead: "+a.start()+".")
	}
	return w
}

// whichApp is the error about a workspace of several apps.
func (a app) whichApp() error {
	if len(a.several) < 2 {
		return nil
	}
	var dirs []string
	for _, m := range a.several[:min(5, len(a.several))] {
		dirs = append(dirs, m.dir)
	}
	command := strings.Replace(a.in.run("start", dirs[0]), " run start", " start", 1)
	if a.in.Name == bun {
		command = a.in.run("start", dirs[0])
	}
	return platform.Errorf(platform.Failed, "this workspace has several apps: %s", strings.Join(dirs, ", ")).
		WithHint("say which one runs: ssh paas builder:set APP build-dir %s; or commit a Procfile with \"web: %s\"", dirs[0], command)
}
