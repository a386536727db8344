package main

import (
	"context"

	"paas/platform"
)

func serveStatic(ctx context.Context, args []string, env environ) error {
	return platform.Errorf(platform.Failed, "later")
}
