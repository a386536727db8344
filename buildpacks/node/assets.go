package node

import (
	"paas/buildpacks/plan"
	"paas/buildpacks/source"
)

// Assets is how the build script of an app in another language is run: its modules are for the build only.
type Assets struct {
	Toolchains []plan.Toolchain
	Before     []plan.Step // ahead of the step that puts the source there
	After      []plan.Step // behind it
	Warnings   []string
}

// PlanAssets plans the build script of a package.json that lies in an app of another language. The second
// result is false when there is none.
func PlanAssets(src *source.Tree) (Assets, bool, error) {
	if !Detect(src) {
		return Assets{}, false, nil
	}
	app, err := readApp(src)
	if err != nil || len(app.builds()) == 0 {
		return Assets{}, false, err
	}
	a := Assets{Toolchains: forBuild(app.tools), Warnings: app.warnings()}
	a.place(app)
	return a, true, nil
}

func (a *Assets) place(app app) {
	modules := app.installStep()
	modules.Name, modules.Build = "asset dependencies", true
	switch {
	case app.in.nothing:
	case app.in.whole:
		a.After = []plan.Step{modules}
	default:
		a.Before = []plan.Step{modules}
	}
	bundle := plan.Step{Name: "assets", Files: []string{}, Env: app.buildEnv(), Config: true, Caches: app.buildCaches()}
	bundle.Commands = app.buildCommands()
	a.After = append(a.After, bundle)
}

func forBuild(tools []plan.Toolchain) []plan.Toolchain {
	for i := range tools {
		tools[i].Build = true
	}
	return tools
}
