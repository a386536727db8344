package buildpacks

import (
	"context"

	"paas/buildpacks/golang"
	"paas/buildpacks/node"
	"paas/buildpacks/plan"
	"paas/buildpacks/procfile"
	"paas/buildpacks/source"
	"paas/platform"
)

func Detect(ctx context.Context, tree platform.Tree) (plan.Plan, error) {
	src, err := source.Open(tree)
	if err != nil {
		return plan.Plan{}, err
	}
	p := plan.Plan{Builder: "procfile", Detected: "Procfile", Steps: []plan.Step{{Name: "app", Files: []string{"/"}}}, Processes: map[platform.ProcessType]string{}}
	switch {
	case golang.Detect(src):
		p, err = golang.Plan(src)
	case node.Detect(src):
		p, err = node.Plan(src)
	}
	if err != nil {
		return p, err
	}
	if src.Has("Procfile") {
		text, err := src.Read("Procfile", 1<<20)
		if err != nil {
			return p, err
		}
		procs, err := procfile.Parse(text)
		if err != nil {
			return p, err
		}
		p.Processes = procs
	}
	return p, nil
}
