// Package node plans Node.js apps: dependencies by npm from its lockfile, build scripts as Heroku runs them.
package node

import (
	"paas/buildpacks/plan"
	"paas/buildpacks/source"
	"paas/platform"
)

// Detect tells whether the tree says that it is a Node.js app.
func Detect(src *source.Tree) bool { return src.Has(Manifest) }

// Lone is the script of an app that is nothing but a script, or "". Beside an index.html only server.js
// is one: the others are the page's own.
func Lone(src *source.Tree) string {
	if src.Has("index.html") || src.Has("public/index.html") {
		file, _ := src.First("server.js", "server.mjs")
		return file
	}
	file, _ := src.First(servers[:]...)
	return file
}

// Plan plans an app with a package.json. It may be without a web process.
func Plan(src *source.Tree) (plan.Plan, error) {
	pkg, err := readManifest(src)
	if err != nil {
		return plan.Plan{}, err
	}
	tools, err := toolchains(src, pkg)
	if err != nil {
		return plan.Plan{}, err
	}
	in, err := newInstall(src, pkg)
	if err != nil {
		return plan.Plan{}, err
	}
	p := plan.Plan{Builder: plan.Node, Detected: Manifest, Toolchains: tools, Env: pkg.env()}
	if src.Part() != "" {
		return planPart(src, pkg, in, p)
	}
	p.Steps = steps(src, pkg, in)
	p.Warnings = warnings(src, tools[0], in)
	if !in.nothing {
		p.Path = []string{"/app/node_modules/.bin"}
	}
	if command := start(src, pkg); command != "" {
		p.Processes = map[platform.ProcessType]string{platform.Web: command}
	}
	return p, nil
}

// PlanLone plans an app that is one script without a package.json.
func PlanLone(src *source.Tree) (plan.Plan, error) {
	tool, err := toolchain(src, manifest{})
	if err != nil {
		return plan.Plan{}, err
	}
	file := Lone(src)
	return plan.Plan{
		Builder:    plan.Node,
		Detected:   file,
		Toolchains: []plan.Toolchain{tool},
		Steps:      []plan.Step{app(install{nothing: true})},
		Env:        map[string]string{"NODE_ENV": "production"},
		Processes:  map[platform.ProcessType]string{platform.Web: "node " + file},
		Warnings:   warnings(src, tool, install{nothing: true}),
	}, nil
}

// FindSite tells where the app's build leaves the pages of a site that needs no server of its own.
func FindSite(src *source.Tree) (Site, bool, error) {
	pkg, err := readManifest(src)
	if err != nil {
		return Site{}, false, err
	}
	site, ok := pkg.site()
	return site, ok, nil
}

func toolchains(src *source.Tree, pkg manifest) ([]plan.Toolchain, error) {
	tool, err := toolchain(src, pkg)
	if err != nil {
		return nil, err
	}
	npm, err := npmToolchain(pkg)
	if err != nil {
		return nil, err
	}
	return []plan.Toolchain{tool, npm}, nil
}

func steps(src *source.Tree, pkg manifest, in install) []plan.Step {
	var steps []plan.Step
	switch {
	case in.nothing:
		steps = []plan.Step{app(in)}
	case in.whole:
		steps = []plan.Step{app(in), in.step(pkg)}
	default:
		steps = []plan.Step{in.step(pkg), app(in)}
	}
	if pkg.buildScript() == "" {
		return steps
	}
	return append(steps, build(pkg, in))
}

// app puts the source there. Modules that were committed do not go over those that were installed.
func app(in install) plan.Step {
	s := plan.Step{Name: "app", Files: []string{"/"}}
	if !in.nothing {
		s.Except = []string{"node_modules/"}
	}
	return s
}

func build(pkg manifest, in install) plan.Step {
	s := plan.Step{Name: "build", Files: []string{}, Env: in.env(), Config: true, Caches: caches()}
	s.Commands = append([]string{"npm run " + pkg.buildScript()}, in.prune(pkg)...)
	if pkg.hasScript("heroku-cleanup") {
		s.Commands = append(s.Commands, "npm run heroku-cleanup")
	}
	return s
}

// env has the two variables of npm start that apps read to tell their version.
func (m manifest) env() map[string]string {
	env := map[string]string{"NODE_ENV": "production"}
	if m.Name.value != "" {
		env["npm_package_name"] = m.Name.value
	}
	if m.Version.value != "" {
		env["npm_package_version"] = m.Version.value
	}
	return env
}

func warnings(src *source.Tree, tool plan.Toolchain, in install) []string {
	var w []string
	if tool.From == "" {
		w = append(w, `No Node.js version is asked for; the newest stable one is taken. Pin it in package.json: "engines": {"node": "22.x"}.`)
	}
	if in.nothing {
		return w
	}
	if in.lock == "" {
		w = append(w, "package-lock.json is missing: every build may get other versions. Run npm install and commit the file.")
	} else if other, ok := src.First("yarn.lock", "pnpm-lock.yaml", "bun.lock", "bun.lockb"); ok {
		w = append(w, "Both "+in.lock+" and "+other+" are there; only "+in.lock+" is read.")
	}
	if src.HasDir("node_modules") {
		w = append(w, "node_modules is committed and not used. Run: git rm -r --cached node_modules.")
	}
	return w
}
