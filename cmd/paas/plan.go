package main

import (
	"context"
	"encoding/json"

	"paas/buildpacks"
)

// buildPlan prints how a directory would be built.
func buildPlan(ctx context.Context, args []string, env environ) error {
	set := newFlags("build:plan")
	if err := flags(set, args, 1, env); err != nil {
		return err
	}
	tree, err := buildpacks.DirTree(set.Arg(0))
	if err != nil {
		return err
	}
	plan, err := buildpacks.Detect(ctx, tree)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(env.stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(plan)
}
