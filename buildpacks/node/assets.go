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
	pkg, err := readManifest(src)
	if err != nil || pkg.buildScript() == "" {
		return Assets{}, false, err
	}
	tools, err := toolchains(src, pkg)
	if err != nil {
		return Assets{}, false, err
	}
	in, err := newInstall(src, pkg)
	if err != nil {
		return Assets{}, false, err
	}
	a := Assets{Toolchains: forBuild(tools), Warnings: warnings(src, tools[0], in)}
	a.place(pkg, in)
	return a, true, nil
}

func (a *Assets) place(pkg manifest, in install) {
	modules := in.step(pkg)
	modules.Name, modules.Build = "asset dependencies", true
	switch {
	case in.nothing:
	case in.whole:
		a.After = []plan.Step{modules}
	default:
		a.Before = []plan.Step{modules}
	}
	bundle := plan.Step{Name: "assets", Files: []string{}, Env: in.env(), Config: true, Caches: caches()}
	bundle.Commands = []string{"npm run " + pkg.buildScript()}
	a.After = append(a.After, bundle)
}

func forBuild(tools []plan.Toolchain) []plan.Toolchain {
	for i := range tools {
		tools[i].Build = true
	}
	return tools
}
