package oci

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"paas/platform"
)

// stringList is an option that may be given several times.
type stringList []string

func (l *stringList) String() string     { return strings.Join(*l, ",") }
func (l *stringList) Set(s string) error { *l = append(*l, s); return nil }

// execFlags are what exec's options say.
type execFlags struct {
	ExecOptions
	file, user, cwd    string
	env, caps, groups  stringList
	tty, detach, noNew bool
	id                 string
	args               []string
}

func (c *Command) execFlags(args []string) (*execFlags, error) {
	set, f := c.flags("exec"), &execFlags{}
	for _, n := range []string{"process", "p"} {
		set.StringVar(&f.file, n, "", "file that describes the process, in JSON")
	}
	for _, n := range []string{"tty", "t"} {
		set.BoolVar(&f.tty, n, false, "with a terminal")
	}
	for _, n := range []string{"detach", "d"} {
		set.BoolVar(&f.detach, n, false, "return when the process runs")
	}
	for _, n := range []string{"user", "u"} {
		set.StringVar(&f.user, n, "", "UID[:GID]")
	}
	for _, n := range []string{"env", "e"} {
		set.Var(&f.env, n, "a variable")
	}
	for _, n := range []string{"cap", "c"} {
		set.Var(&f.caps, n, "a capability in addition")
	}
	for _, n := range []string{"additional-gids", "g"} {
		set.Var(&f.groups, n, "a further group")
	}
	set.StringVar(&f.cwd, "cwd", "", "working directory")
	set.BoolVar(&f.noNew, "no-new-privs", false, "no new privileges")
	set.StringVar(&f.PIDFile, "pid-file", "", "file that takes the process's pid")
	set.StringVar(&f.ConsoleSocket, "console-socket", "", "unix socket that takes the terminal")
	set.IntVar(&f.Preserve, "preserve-fds", 0, "how many descriptors from 3 on the process inherits")
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	if set.NArg() == 0 || (f.file == "") == (set.NArg() == 1) {
		set.Usage()
		return nil, platform.Errorf(platform.Usage, "exec needs a container and either a command or --process")
	}
	f.id, f.args = set.Arg(0), set.Args()[1:]
	return f, nil
}

func (c *Command) exec(ctx context.Context, args []string) (int, error) {
	f, err := c.execFlags(args)
	if err != nil {
		return 0, err
	}
	if err := f.describe(c.runtime); err != nil {
		return 0, err
	}
	if f.detach && f.Process.Terminal && f.ConsoleSocket == "" {
		return 0, platform.Errorf(platform.Usage, "a detached process with a terminal needs --console-socket")
	}
	p := &proxy{stdin: c.Stdio[0], stdout: c.Stdio[1]}
	defer p.close()
	pid, err := c.runtime.Exec(ctx, f.id, f.ExecOptions, p.take)
	if err != nil || f.detach {
		return 0, err
	}
	return follow(pid)
}

// describe makes the process of --process, or of the container's own and the options.
func (f *execFlags) describe(r *Runtime) error {
	if f.file != "" {
		text, err := os.ReadFile(f.file)
		if err == nil {
			err = json.Unmarshal(text, &f.Process)
		}
		if err != nil {
			return fmt.Errorf("read the process: %w", err)
		}
		f.Process.Terminal = f.Process.Terminal || f.tty
		return nil
	}
	var err error
	if f.Process, err = r.ProcessOf(f.id, f.args); err != nil {
		return err
	}
	return f.change(&f.Process)
}

func (f *execFlags) change(p *specs.Process) error {
	p.Terminal, p.NoNewPrivileges = f.tty, p.NoNewPrivileges || f.noNew
	p.Env = append(p.Env, f.env...)
	if f.cwd != "" {
		p.Cwd = f.cwd
	}
	if len(f.caps) > 0 && p.Capabilities != nil {
		sets := *p.Capabilities
		for _, set := range []*[]string{&sets.Bounding, &sets.Effective, &sets.Permitted} {
			*set = append(append([]string{}, *set...), f.caps...)
		}
		p.Capabilities = &sets
	}
	for _, g := range f.groups {
		n, err := strconv.ParseUint(g, 10, 32)
		if err != nil {
			return platform.Errorf(platform.Usage, "%q is not a group id", g)
		}
		p.User.AdditionalGids = append(p.User.AdditionalGids, uint32(n))
	}
	return changeUser(f.user, &p.User)
}

func changeUser(text string, u *specs.User) error {
	if text == "" {
		return nil
	}
	uid, gid, both := strings.Cut(text, ":")
	n, err := strconv.ParseUint(uid, 10, 32)
	if err == nil {
		u.UID = uint32(n)
	}
	if both && err == nil {
		n, err = strconv.ParseUint(gid, 10, 32)
		u.GID = uint32(n)
	}
	if err != nil {
		return platform.Errorf(platform.Usage, "%q is not a user", text).WithHint("write it like 1000 or 1000:1000")
	}
	return nil
}
