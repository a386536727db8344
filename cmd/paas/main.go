// Command paas is the whole platform: `paas serve` is the daemon, `paas setup` and `paas uninstall`
// prepare and remove one, `paas build:plan` shows how a directory would be built, `paas oci` is the command
// line of the OCI runtime specification, and every other word is a verb, sent to the daemon on this host.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"paas/platform"
)

// version is set by the linker.
var version = "dev"

const defaultData = "/var/lib/paas"

// command is one of the words that this program answers itself, without a daemon.
type command struct {
	usage string
	run   func(ctx context.Context, args []string, env environ) error
}

func commands() map[string]command {
	return map[string]command{
		"serve":      {"paas serve [--data DIR] [--http ADDR] [--https ADDR|off] [--http3] [--ssh ADDR] [--domain NAME]", serve},
		"handover":   {"paas handover [--data DIR] [--wait TIME]: the program that is installed now takes over from the daemon", handOver},
		"setup":      {"paas setup [--data DIR] [--admin-key FILE|KEY]… [--stack FILE] [--prepare]", setup},
		"uninstall":  {"paas uninstall [--data DIR] [--purge --confirm HOSTNAME]", uninstall},
		"build:plan": {"paas build:plan [options] DIR", buildPlan},
		"static":     {"paas static --root DIR", serveStatic},
		"builder":    {"paas builder: the daemon starts it", runBuilder},
		"php":        {"paas php --root DIR [--fpm-config FILE]", servePHP},
	}
}

// environ is what the process inherited; nothing below reads it elsewhere.
type environ struct {
	get    func(string) string
	stdin  *os.File
	stdout *os.File
	stderr *os.File
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	env := environ{get: os.Getenv, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	var code int
	if filepath.Base(os.Args[0]) == ociName {
		code = runOCI(ctx, ociName, os.Args[1:], env)
	} else {
		code = Main(ctx, os.Args[1:], env)
	}
	stop()
	os.Exit(code)
}

// Main runs one command line and returns its exit status.
func Main(ctx context.Context, args []string, env environ) int {
	if len(args) > 0 && args[0] == "oci" {
		return runOCI(ctx, "paas oci", args[1:], env)
	}
	data, args := dataFlag(args, env)
	if len(args) > 0 {
		if c, ok := commands()[args[0]]; ok {
			return report(c, c.run(ctx, args[1:], env), env)
		}
	}
	return callDaemon(ctx, filepath.Join(data, socketName), args, env)
}

// dataFlag takes a leading --data DIR off a verb; PAAS_DATA is the other way to say it.
func dataFlag(args []string, env environ) (string, []string) {
	if len(args) >= 2 && args[0] == "--data" {
		return args[1], args[2:]
	}
	if dir := env.get("PAAS_DATA"); dir != "" {
		return dir, args
	}
	return defaultData, args
}

// report prints a failure with its hint and returns the exit status.
func report(c command, err error, env environ) int {
	var e *platform.Error
	switch {
	case err == nil:
		return 0
	case errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &e):
		_, _ = fmt.Fprintf(env.stderr, " !     %s\n", e.Message)
		if e.Hint != "" {
			_, _ = fmt.Fprintf(env.stderr, "       %s\n", e.Hint)
		}
		if e.Kind == platform.Usage {
			return 2
		}
		return 1
	default:
		_, _ = fmt.Fprintf(env.stderr, " !     %v\n", err)
		return 1
	}
}

func newFlags(name string) *flag.FlagSet { return flag.NewFlagSet(name, flag.ContinueOnError) }

// flags parses a command's options; what is left must be args words.
func flags(set *flag.FlagSet, args []string, words int, env environ) error {
	set.SetOutput(env.stderr)
	set.Usage = func() {
		_, _ = fmt.Fprintf(env.stderr, "%s\n", commands()[set.Name()].usage)
		set.PrintDefaults()
	}
	if err := set.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return platform.Errorf(platform.Usage, "%v", err)
	}
	if set.NArg() != words {
		return platform.Errorf(platform.Usage, "that does not fit").WithHint("%s", commands()[set.Name()].usage)
	}
	return nil
}
