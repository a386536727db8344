package main

import (
	"context"
	"fmt"
	"os"

	"paas/runtime/oci"
)

// ociName is the program's name under which it is the runtime's command line alone, for engines that take
// a path and no words: a symbolic link.
const ociName = "paas-oci"

// runOCI is the command line of the runtime specification. It needs no daemon.
func runOCI(ctx context.Context, name string, args []string, env environ) int {
	program, err := ociInit()
	if err != nil {
		_, _ = fmt.Fprintf(env.stderr, "%s: %v\n", name, err)
		return 1
	}
	c := oci.Command{
		Name: name, Version: version, Program: program, Stdio: [3]*os.File{env.stdin, env.stdout, env.stderr},
	}
	return c.Main(ctx, args)
}

func ociInit() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find own program: %w", err)
	}
	return initProgram(self)
}
