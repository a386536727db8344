package buildpacks

import (
	"context"

	"paas/buildpacks/plan"
	"paas/platform"
)

func Detect(ctx context.Context, src platform.Tree) (plan.Plan, error) { return plan.Plan{}, nil }
