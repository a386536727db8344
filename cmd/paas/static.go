package main

import (
	"context"

	"paas/buildpacks/static"
)

// serveStatic is what runs in the container of a static site.
func serveStatic(ctx context.Context, args []string, env environ) error {
	return static.Main(ctx, args, env.get, env.stdout)
}
