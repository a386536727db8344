// Package node plans apps in JavaScript that have a package.json: dependencies by the app's own package manager from
// its lockfile, build scripts as Heroku runs them, and the server or the pages that its framework makes.
package node

import (
	"path"
	"regexp"

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
	a, err := readApp(src)
	if err != nil {
		return plan.Plan{}, err
	}
	p := plan.Plan{Builder: plan.Node, Detected: Manifest, Toolchains: a.tools, Env: a.env(), Path: a.path()}
	if a.tools[0].Name == bun {
		p.Builder = plan.Bun
	}
	p.Steps = a.steps()
	p.Warnings = append(a.warnings(), a.lateWarnings()...)
	command := a.start()
	if part := src.Part(); part != "" {
		p.Detected, p.WorkDir, command = path.Join(part, Manifest), part, a.command()
	}
	if command != "" {
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
	a := app{src: src, tools: []plan.Toolchain{tool}, in: install{nothing: true}}
	return plan.Plan{
		Builder:    plan.Node,
		Detected:   file,
		Toolchains: a.tools,
		Steps:      []plan.Step{a.source()},
		Env:        map[string]string{"NODE_ENV": "production"},
		Processes:  map[platform.ProcessType]string{platform.Web: "node " + file},
		Warnings:   a.warnings(),
	}, nil
}

// servedPath is what needs no quotes in the command line of a file server.
var servedPath = regexp.MustCompile(`^[A-Za-z0-9_.][A-Za-z0-9_./@+-]*$`)

// FindSite tells where the app's build leaves the pages of a site that needs no server of its own.
func FindSite(src *source.Tree) (Site, bool, error) {
	a, err := readApp(src)
	if err != nil {
		return Site{}, false, err
	}
	site := a.member().shape(src).site
	if site.Dir == "" {
		return Site{}, false, nil
	}
	dir, ok := source.Inside("", site.Dir)
	if !ok || !servedPath.MatchString(dir) {
		return Site{}, false, platform.Errorf(platform.Failed, "the build's output directory %.60q is not a path inside the app", site.Dir).
			WithHint("use a relative path of letters, digits, dots, dashes and slashes")
	}
	return site, true, nil
}

// WhichApp is an error when the tree is a workspace with several apps, of which none is the one.
func WhichApp(src *source.Tree) error {
	a, err := readApp(src)
	if err != nil {
		return err
	}
	return a.whichApp()
}
