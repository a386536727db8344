package main

import (
	"context"

	"paas/buildpacks/dockerfile"
)

// The descriptors that a builder process inherits: os/exec puts ExtraFiles after stderr.
const (
	serveLink  = 3
	daemonLink = 4
)

// runBuilder is the process that builds Dockerfiles. The daemon starts it, and it ends with the daemon.
func runBuilder(ctx context.Context, args []string, env environ) error {
	set := newFlags("builder")
	p := dockerfile.Process{Serve: serveLink, Daemon: daemonLink, Stderr: env.stderr}
	set.StringVar(&p.Dir, "dir", "", "the builder's own directory")
	set.StringVar(&p.Store, "store", "", "the content store's")
	set.BoolVar(&p.Private, "private", false, "ADD may fetch from private addresses")
	if err := flags(set, args, 0, env); err != nil {
		return err
	}
	return dockerfile.Main(context.WithoutCancel(ctx), p) // a signal to the daemon's group is the daemon's business
}
