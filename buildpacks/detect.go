// Package buildpacks turns a source tree into an image: it finds out what kind of app the tree is, plans
// its build, and runs the plan.
package buildpacks

import (
	"context"
	"fmt"

	"paas/buildpacks/golang"
	"paas/buildpacks/node"
	"paas/buildpacks/plan"
	"paas/buildpacks/procfile"
	"paas/buildpacks/python"
	"paas/buildpacks/source"
	"paas/buildpacks/static"
	"paas/platform"
)

// Detect plans the app that the tree holds. Equal trees have equal plans; nothing in the tree is run. What
// the pusher can mend is a *platform.Error of kind Failed.
func Detect(ctx context.Context, src platform.Tree) (plan.Plan, error) {
	if err := ctx.Err(); err != nil {
		return plan.Plan{}, fmt.Errorf("detect app: %w", err)
	}
	tree, err := source.Open(src)
	if err != nil {
		return plan.Plan{}, fmt.Errorf("detect app: %w", err)
	}
	says, err := readDeclarations(tree)
	if err != nil {
		return plan.Plan{}, err
	}
	if p, ok, err := detectDockerfile(tree); ok || err != nil {
		says.addTo(&p)
		if err != nil || len(p.Processes) == 0 { // the image says what to start
			return p, err
		}
		return p, runnable(tree, p)
	}
	p, err := detectLanguage(tree, says)
	if err != nil {
		return plan.Plan{}, err
	}
	says.addTo(&p)
	return p, runnable(tree, p)
}

// language is a buildpack whose apps are told by a file that names dependencies.
type language struct {
	detect func(*source.Tree) bool
	plan   func(*source.Tree) (plan.Plan, error)
}

// languages are asked in this order: which of two is the app's own and which only helps it, as scripts of assets do.
func languages() []language {
	return []language{
		{python.Detect, python.Plan},
		{golang.Detect, golang.Plan},
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
	case node.Lone(tree) != "":
		return node.PlanLone(tree)
	}
	return detectFiles(tree)
}

// detectFiles is for apps in no language.
func detectFiles(tree *source.Tree) (plan.Plan, error) {
	site, ok, err := static.Find(tree)
	if err != nil {
		return plan.Plan{}, err
	}
	if ok {
		return static.Plan(site), site.Missing(tree)
	}
	if !tree.Has(procfile.Name) {
		return plan.Plan{}, nothingFound(tree)
	}
	return plan.Plan{
		Builder:  plan.Procfile,
		Detected: procfile.Name,
		Steps:    []plan.Step{{Name: "app", Files: []string{"/"}}},
	}, nil
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
		return p, unsupportedLanguage(tree)
	}
	return p, nil
}

// findSite prefers what the tree declares, then what its framework does, then a page that lies there.
func findSite(tree *source.Tree) (static.Site, bool, error) {
	if static.Declared(tree) {
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
