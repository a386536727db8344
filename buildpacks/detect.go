// Package buildpacks turns a source tree into an image: it finds out what kind of app the tree is, plans
// its build, and runs the plan.
package buildpacks

import (
	"context"
	"slices"

	"paas/buildpacks/cpp"
	"paas/buildpacks/deno"
	"paas/buildpacks/dotnet"
	"paas/buildpacks/elixir"
	"paas/buildpacks/golang"
	"paas/buildpacks/java"
	"paas/buildpacks/node"
	"paas/buildpacks/perl"
	"paas/buildpacks/php"
	"paas/buildpacks/plan"
	"paas/buildpacks/python"
	"paas/buildpacks/ruby"
	"paas/buildpacks/rust"
	"paas/buildpacks/shell"
	"paas/buildpacks/source"
	"paas/buildpacks/static"
	"paas/platform"
)

// Detect plans the app that the tree holds, as Choose does for an app whose owner has chosen nothing.
func Detect(ctx context.Context, src platform.Tree) (plan.Plan, error) {
	_, p, err := Choose(ctx, platform.BuildRequest{Source: src})
	return p, err
}

// detect finds out by the source's files.
func (c *chooser) detect() (plan.Plan, error) {
	if p, ok, err := c.findDockerfile(); ok || err != nil {
		return p, err
	}
	return detectLanguage(c.tree, c.says)
}

// language is a buildpack whose apps are told by a file that names dependencies.
type language struct {
	name   string // as plan.Plan.Builder has it
	detect func(*source.Tree) bool
	plan   func(*source.Tree) (plan.Plan, error)
}

// languages are asked in this order: which of two is the app's own and which only helps it, as scripts of assets do.
func languages() []language {
	return []language{
		{plan.Ruby, ruby.Detect, ruby.Plan},
		{plan.PHP, php.Detect, php.Plan},
		{plan.Python, python.Detect, python.Plan},
		{plan.Go, golang.Detect, golang.Plan},
		{plan.Java, java.Detect, java.Plan},
		{plan.Rust, rust.Detect, rust.Plan},
		{plan.Elixir, elixir.Detect, elixir.Plan},
		{plan.DotNet, dotnet.Detect, dotnet.Plan},
		{plan.Deno, deno.Detect, deno.Plan},
		{plan.Perl, perl.Detect, perl.Plan},
	}
}

// helpers are languages that others use for a part of an app: they are asked when no other language is there.
func helpers() []language {
	return []language{
		{plan.CPP, cpp.Detect, cpp.Plan},
		{plan.Go, golang.Lone, golang.Plan},
		{plan.Java, java.Lone, java.Plan},
		{plan.Shell, shell.Detect, shell.Plan},
	}
}

// detectLanguage asks from the surest sign to the weakest. A file that names dependencies is a surer sign
// than a script's name; what another language's file says goes before both a script and a page.
func detectLanguage(tree *source.Tree, says declarations) (plan.Plan, error) {
	for _, l := range languages() {
		if l.detect(tree) {
			return l.plan(tree)
		}
	}
	if node.Detect(tree) {
		return detectNode(tree, says)
	}
	if err := unsupportedLanguage(tree); err != nil {
		return plan.Plan{}, err
	}
	switch {
	case python.Lone(tree):
		return python.Plan(tree)
	case perl.Lone(tree):
		return perl.Plan(tree)
	case node.Lone(tree) != "":
		return node.PlanLone(tree)
	}
	for _, l := range helpers() {
		if l.detect(tree) {
			return l.plan(tree)
		}
	}
	return detectFiles(tree, says)
}

// detectFiles is for apps in no language.
func detectFiles(tree *source.Tree, says declarations) (plan.Plan, error) {
	site, ok, err := static.Find(tree)
	if err != nil {
		return plan.Plan{}, err
	}
	if ok {
		return static.Plan(site), site.Missing(tree)
	}
	if says.procfile == "" {
		return plan.Plan{}, nothingFound(tree)
	}
	return procfilePlan(says.procfile), nil
}

// procfilePlan runs the source as it is.
func procfilePlan(name string) plan.Plan {
	return plan.Plan{Builder: plan.Procfile, Detected: name, Steps: []plan.Step{{Name: "app", Files: []string{"/"}}}}
}

// planNamed plans with the builder of a name, which who asked for. Its language need not be the one that
// would be found.
func planNamed(name, who string, tree *source.Tree, says declarations) (plan.Plan, error) {
	for _, l := range slices.Concat(languages(), helpers()) {
		if l.name == name && (l.detect(tree) || name == plan.Python && python.Lone(tree)) {
			return l.plan(tree)
		}
	}
	switch {
	case name == plan.Node && node.Detect(tree):
		return detectNode(tree, says)
	case name == plan.Node && node.Lone(tree) != "":
		return node.PlanLone(tree)
	case name == plan.Static:
		return planServed(tree)
	}
	return plan.Plan{}, notThere(name, who)
}

func notThere(name, who string) error {
	spoken := plan.Plan{Builder: name}.Language()
	known := name == plan.Node || slices.ContainsFunc(slices.Concat(languages(), helpers()), func(l language) bool { return l.name == name })
	if !known {
		return platform.Errorf(platform.Failed, "%s asks for %s, which is not supported yet", who, spoken).WithHint("%s", supported)
	}
	return platform.Errorf(platform.Failed, "%s asks for %s, but the source is no %s app", who, spoken, spoken).
		WithHint("take it away, or commit the file that names the app's dependencies")
}

// planServed serves the site that is there, or that an earlier build makes.
func planServed(tree *source.Tree) (plan.Plan, error) {
	site, ok, err := findSite(tree)
	if err != nil {
		return plan.Plan{}, err
	}
	if !ok {
		return plan.Plan{}, platform.Errorf(platform.Failed, "there is no site to serve: no index.html, public/index.html or static.json").
			WithHint("name its directory in a static.json: {\"root\": \"dist\"}")
	}
	p := static.Plan(site)
	if site.Detected == node.Manifest { // it is yet to be built
		return p, nil
	}
	return p, site.Missing(tree)
}

// detectNode tells an app that runs in Node.js from a site that Node.js only builds, and from an app in
// another language that has scripts.
func detectNode(tree *source.Tree, says declarations) (plan.Plan, error) {
	p, err := node.Plan(tree)
	if err != nil || says.hasWeb() {
		return p, err
	}
	if len(p.Processes) > 0 && !static.Declared(tree) {
		return p, nil
	}
	assets, builds, err := node.PlanAssets(tree)
	if err != nil {
		return plan.Plan{}, err
	}
	site, found, err := findSite(tree)
	if err != nil {
		return plan.Plan{}, err
	}
	switch {
	case found && builds:
		return planBuiltSite(site, assets), nil
	case found:
		return static.Plan(site), site.Missing(tree)
	case len(p.Processes) == 0:
		if err := unsupportedLanguage(tree); err != nil {
			return p, err
		}
		return p, node.WhichApp(tree)
	}
	return p, nil
}

// findSite prefers what the tree declares, then what its framework does, then a page that lies there.
func findSite(tree *source.Tree) (static.Site, bool, error) {
	if static.Declared(tree) {
		return static.Find(tree)
	}
	if !node.Detect(tree) {
		return static.Find(tree)
	}
	built, ok, err := node.FindSite(tree)
	if err != nil {
		return static.Site{}, false, err
	}
	if ok {
		return static.Site{Root: built.Dir, Fallback: built.Fallback, Detected: node.Manifest}, true, nil
	}
	return static.Find(tree)
}

// planBuiltSite builds a site with Node.js and leaves everything but the site out of the image.
func planBuiltSite(site static.Site, assets node.Assets) plan.Plan {
	app := plan.Step{Name: "app", Files: []string{"/"}, Except: []string{"node_modules/"}}
	p := plan.Plan{
		Builder:    plan.Node,
		Detected:   node.Manifest,
		Toolchains: assets.Toolchains,
		Steps:      append(append(assets.Before, app), assets.After...),
		Warnings:   assets.Warnings,
	}
	if last := &p.Steps[len(p.Steps)-1]; site.Root != "." {
		last.Output = []string{site.Root + "/"}
	}
	site.AddTo(&p)
	return p
}
