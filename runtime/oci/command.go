package oci

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"paas/platform"
)

// Command is the command line of the specification's runtimes, as engines call it.
type Command struct {
	Name    string // "paas oci"
	Version string
	Program string // path of paas-init
	Stdio   [3]*os.File

	runtime *Runtime
	log     logger
}

// word is one of the command's words.
type word struct {
	name, usage string
	run         func(c *Command, ctx context.Context, args []string) (int, error)
}

func words() []word {
	return []word{
		{"create", "create [--bundle DIR] [--pid-file FILE] [--console-socket SOCKET] [--preserve-fds N] ID", (*Command).create},
		{"start", "start ID", (*Command).start},
		{"state", "state ID", (*Command).state},
		{"kill", "kill [--all] ID [SIGNAL]", (*Command).kill},
		{"delete", "delete [--force] ID", (*Command).delete},
		{"run", "run [--bundle DIR] [--pid-file FILE] [--console-socket SOCKET] [--preserve-fds N] [--detach] [--keep] ID", (*Command).run},
		{"exec", "exec [--process FILE] [--tty] [--detach] [--user UID[:GID]] [--cwd DIR] [--env K=V]… [--pid-file FILE] [--console-socket SOCKET] ID [COMMAND…]", (*Command).exec},
		{"ps", "ps [--format json|table] ID", (*Command).ps},
		{"list", "list [--format json|table] [--quiet]", (*Command).list},
		{"pause", "pause ID", (*Command).pause},
		{"resume", "resume ID", (*Command).resume},
		{"update", "update [--resources FILE] ID", (*Command).update},
		{"spec", "spec [--bundle DIR]", (*Command).spec},
		{"features", "features", (*Command).features},
	}
}

// Main runs one command line and returns its exit status: 1 after an error, which is told on stderr and in
// the log, and for run and exec that of the process, as a shell has it.
func (c *Command) Main(ctx context.Context, args []string) int {
	code, err := c.main(ctx, args)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return code
	}
	c.tell("error", err)
	return 1
}

func (c *Command) main(ctx context.Context, args []string) (int, error) {
	set := c.flags("")
	root := set.String("root", DefaultRoot, "directory for the state of containers")
	logFile := set.String("log", "", "file that takes errors and warnings too")
	format := set.String("log-format", "text", "text or json")
	systemd := set.Bool("systemd-cgroup", false, "cgroupsPath has the form slice:prefix:name")
	version := set.Bool("version", false, "print the version")
	for _, ignored := range []string{"debug", "no-pivot"} {
		set.Bool(ignored, false, "taken, and without a meaning here")
	}
	for _, ignored := range []string{"cgroup-manager", "criu", "rootless"} {
		set.String(ignored, "", "taken, and without a meaning here")
	}
	if err := set.Parse(args); err != nil {
		return 0, err
	}
	if *version {
		return 0, c.printVersion()
	}
	c.log = logger{path: *logFile, json: *format == "json"}
	if set.NArg() == 0 {
		set.Usage()
		return 1, nil
	}
	store, err := Open(*root)
	if err != nil {
		return 0, err
	}
	c.runtime = &Runtime{Store: store, Program: c.Program, Systemd: *systemd, Stdio: c.Stdio, Warn: func(err error) { c.tell("warning", err) }}
	for _, w := range words() {
		if w.name == set.Arg(0) {
			return w.run(c, ctx, set.Args()[1:])
		}
	}
	return 0, platform.Errorf(platform.Usage, "%s does not know %q", c.Name, set.Arg(0)).WithHint("%s --help lists its words", c.Name)
}

func (c *Command) printVersion() error {
	_, err := fmt.Fprintf(c.Stdio[1], "paas-oci version %s\nspec: %s\n", c.Version, specs.Version)
	return err
}

// flags makes a word's options; it prints their list on --help.
func (c *Command) flags(name string) *flag.FlagSet {
	set := flag.NewFlagSet(name, flag.ContinueOnError)
	set.SetOutput(c.Stdio[2])
	set.Usage = func() {
		for _, w := range words() {
			if name == "" || w.name == name {
				_, _ = fmt.Fprintf(c.Stdio[2], "%s %s\n", c.Name, w.usage)
			}
		}
		set.PrintDefaults()
	}
	return set
}

// parse takes options, which may stand before and behind the words, and returns the words.
func parse(set *flag.FlagSet, args []string, least, most int) ([]string, error) {
	var given []string
	for {
		if err := set.Parse(args); err != nil {
			return nil, err
		}
		if set.NArg() == 0 {
			break
		}
		given = append(given, set.Arg(0))
		args = set.Args()[1:]
	}
	if len(given) < least || len(given) > most {
		set.Usage()
		return nil, platform.Errorf(platform.Usage, "%s does not take %d words", set.Name(), len(given))
	}
	return given, nil
}

func (c *Command) createFlags(name string) (*flag.FlagSet, *CreateOptions) {
	set, o := c.flags(name), &CreateOptions{}
	for _, n := range []string{"bundle", "b"} {
		set.StringVar(&o.Bundle, n, ".", "directory that holds config.json")
	}
	set.StringVar(&o.PIDFile, "pid-file", "", "file that takes the process's pid")
	set.StringVar(&o.ConsoleSocket, "console-socket", "", "unix socket that takes the terminal")
	set.IntVar(&o.Preserve, "preserve-fds", 0, "how many descriptors from 3 on the process inherits")
	set.Bool("no-pivot", false, "taken, and without a meaning here")
	set.Bool("no-new-keyring", false, "taken, and without a meaning here")
	return set, o
}

func (c *Command) create(ctx context.Context, args []string) (int, error) {
	set, o := c.createFlags("create")
	given, err := parse(set, args, 1, 1)
	if err != nil {
		return 0, err
	}
	return 0, c.runtime.Create(ctx, given[0], *o)
}

func (c *Command) start(ctx context.Context, args []string) (int, error) {
	given, err := parse(c.flags("start"), args, 1, 1)
	if err != nil {
		return 0, err
	}
	return 0, c.runtime.Start(ctx, given[0])
}

func (c *Command) state(_ context.Context, args []string) (int, error) {
	given, err := parse(c.flags("state"), args, 1, 1)
	if err != nil {
		return 0, err
	}
	state, err := c.runtime.State(given[0])
	if err != nil {
		return 0, err
	}
	return 0, c.printJSON(state)
}

func (c *Command) printJSON(v any) error {
	e := json.NewEncoder(c.Stdio[1])
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func (c *Command) kill(_ context.Context, args []string) (int, error) {
	set := c.flags("kill")
	var all bool
	for _, n := range []string{"all", "a"} {
		set.BoolVar(&all, n, false, "every process of the container")
	}
	given, err := parse(set, args, 1, 2)
	if err != nil {
		return 0, err
	}
	signal := unix.SIGTERM
	if len(given) == 2 {
		if signal, err = parseSignal(given[1]); err != nil {
			return 0, err
		}
	}
	return 0, c.runtime.Kill(given[0], signal, all)
}

// parseSignal knows "SIGTERM", "TERM" and "15".
func parseSignal(s string) (unix.Signal, error) {
	if n, err := strconv.Atoi(s); err == nil && n >= 0 && n < 65 {
		return unix.Signal(n), nil
	}
	name := "SIG" + strings.TrimPrefix(strings.ToUpper(s), "SIG")
	if n := unix.SignalNum(name); n != 0 {
		return n, nil
	}
	return 0, platform.Errorf(platform.Usage, "%q is not a signal", s).WithHint("write it like TERM, SIGTERM or 15")
}

func (c *Command) delete(ctx context.Context, args []string) (int, error) {
	set := c.flags("delete")
	var force bool
	for _, n := range []string{"force", "f"} {
		set.BoolVar(&force, n, false, "also one that runs or does not exist")
	}
	given, err := parse(set, args, 1, 1)
	if err != nil {
		return 0, err
	}
	return 0, c.runtime.Delete(ctx, given[0], force)
}

func (c *Command) run(ctx context.Context, args []string) (int, error) {
	set, o := c.createFlags("run")
	var detach, keep bool
	for _, n := range []string{"detach", "d"} {
		set.BoolVar(&detach, n, false, "return when the process runs")
	}
	set.BoolVar(&keep, "keep", false, "leave the container there when it ended")
	given, err := parse(set, args, 1, 1)
	if err != nil {
		return 0, err
	}
	if detach {
		return 0, c.runDetached(ctx, given[0], *o)
	}
	p := &proxy{stdin: c.Stdio[0], stdout: c.Stdio[1]}
	defer p.close()
	pid, err := c.runtime.create(ctx, given[0], *o, p.take)
	if err != nil {
		return 0, err
	}
	if !keep {
		defer func() {
			if err := c.runtime.Delete(context.WithoutCancel(ctx), given[0], true); err != nil {
				c.tell("warning", err)
			}
		}()
	}
	if err := c.runtime.Start(ctx, given[0]); err != nil {
		return 0, err
	}
	return follow(pid)
}

func (c *Command) runDetached(ctx context.Context, id string, o CreateOptions) error {
	if err := c.runtime.Create(ctx, id, o); err != nil {
		return err
	}
	if err := c.runtime.Start(ctx, id); err != nil {
		return errors.Join(err, c.runtime.Delete(context.WithoutCancel(ctx), id, true))
	}
	return nil
}

// follow passes our signals on to a child and returns its exit status.
func follow(pid int) (int, error) {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2)
	defer signal.Stop(signals)
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case s := <-signals:
				if number, ok := s.(unix.Signal); ok {
					_ = unix.Kill(pid, number)
				}
			case <-done:
				return
			}
		}
	}()
	return waitFor(pid)
}

func (c *Command) pause(_ context.Context, args []string) (int, error) {
	given, err := parse(c.flags("pause"), args, 1, 1)
	if err != nil {
		return 0, err
	}
	return 0, c.runtime.Pause(given[0])
}

func (c *Command) resume(_ context.Context, args []string) (int, error) {
	given, err := parse(c.flags("resume"), args, 1, 1)
	if err != nil {
		return 0, err
	}
	return 0, c.runtime.Resume(given[0])
}

func (c *Command) features(_ context.Context, args []string) (int, error) {
	if _, err := parse(c.flags("features"), args, 0, 0); err != nil {
		return 0, err
	}
	return 0, c.printJSON(Features())
}
