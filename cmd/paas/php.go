package main

import (
	"context"

	"paas/buildpacks/php"
)

// servePHP is what runs in the container of a PHP app.
func servePHP(ctx context.Context, args []string, env environ) error {
	return php.Main(ctx, args, env.get, env.stderr)
}
