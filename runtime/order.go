package runtime

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	"paas/platform"
)

// order is one container to make, whatever it is for.
type order struct {
	record     record
	what       string // "web.1 of hello", for messages
	host       string // its host name
	appID      int64
	layers     []string
	upper      string // host directory for the writes; empty: one of its own, thrown away
	argv       []string
	env        map[string]string
	dir        string
	uid, gid   uint32
	limits     platform.Limits
	security   platform.Security
	clamped    map[string]platform.Rlimit // what of its rlimits the host allows
	binds      []platform.Bind
	mounts     []platform.StepMount
	groups     []uint32 // beside gid
	exact      bool     // the environment is env
	offline    bool     // it has no network
	stopSignal unix.Signal
	stdio      *[3]*os.File       // the app's ends of its streams; nil: empty input and the log
	terminal   *platform.Terminal // instead of stdio
}

// The limits of a container whose spec says nothing.
const (
	defaultMemory  = 512 << 20
	defaultPIDs    = 512
	buildMemory    = 2 << 30
	buildPIDs      = 2048
	defaultTimeout = 30 // seconds from clone to the app's exec
)

func limitsOr(l platform.Limits, memory int64, processes int) platform.Limits {
	if l.Memory == 0 {
		l.Memory = memory
	}
	if l.Processes == 0 {
		l.Processes = processes
	}
	return l
}

// orderOf is an instance or, if it passes, a job.
func orderOf(s platform.InstanceSpec, group string) (*order, error) {
	stop, err := parseSignal(s.Image.StopSignal)
	if err != nil {
		return nil, err
	}
	name := source(s.Type, s.Number)
	o := &order{
		record: record{
			App: s.App, Release: s.Release, Epoch: s.Epoch, Type: s.Type, Number: s.Number, Group: group,
		},
		what: fmt.Sprintf("%s of %s", name, s.App), host: hostName(name),
		appID: s.AppID, layers: s.Image.Layers, argv: s.Command, env: s.Env,
		dir: s.Image.WorkDir, uid: s.Image.UID, gid: s.Image.GID, groups: s.Image.Groups,
		limits: limitsOr(s.Limits, defaultMemory, defaultPIDs), security: s.Security, stopSignal: stop,
	}
	if s.Type == platform.Web {
		o.record.Port = s.Image.Port
	}
	for _, m := range s.Mounts {
		o.mounts = append(o.mounts, stepMount(m))
	}
	return o, errors.Join(o.check(), o.checkMounts())
}

// check refuses what an image or a caller might ask for and must not get.
func (o *order) check() error {
	if len(o.argv) == 0 {
		return platform.Errorf(platform.Usage, "%s has no command to run", o.what)
	}
	if o.dir == "" {
		o.dir = "/"
	}
	clean := path.Clean(o.dir)
	if !path.IsAbs(clean) || clean == "/proc" || strings.HasPrefix(clean, "/proc/") {
		return platform.Errorf(platform.Failed, "%s cannot work in %q: it must be an absolute path outside /proc", o.what, o.dir)
	}
	o.dir = clean
	if o.uid >= rangeSize || o.gid >= rangeSize {
		return platform.Errorf(platform.Failed, "%s runs as user %d:%d: ids above %d do not exist in a container", o.what, o.uid, o.gid, rangeSize-1)
	}
	for _, id := range o.groups {
		if id >= rangeSize {
			return platform.Errorf(platform.Failed, "%s is in group %d: ids above %d do not exist in a container", o.what, id, rangeSize-1)
		}
	}
	for k, v := range o.env {
		if k == "" || strings.ContainsAny(k, "=\x00") || strings.Contains(v, "\x00") {
			return platform.Errorf(platform.Usage, "%s has a malformed environment variable %q", o.what, k)
		}
	}
	return nil
}

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environ is the order's environment with what every process may rely on, sorted.
func (o *order) environ() []string {
	env := map[string]string{"PATH": defaultPath, "HOME": o.home()}
	if o.limits.Memory > 0 { // for runtimes that size themselves, where they do not see their control group
		env["MEMORY_LIMIT"] = strconv.FormatInt(o.limits.Memory, 10)
	}
	if o.record.Type != "" {
		env["DYNO"] = o.record.source()
	}
	if o.terminal != nil && o.terminal.Term != "" {
		env["TERM"] = o.terminal.Term
	}
	for k, v := range o.env {
		env[k] = v
	}
	var out []string
	for k, v := range env {
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return out
}

// home is where Heroku has it for apps, the directory of the code.
func (o *order) home() string {
	if o.uid == 0 {
		return "/root"
	}
	return o.dir
}

// hostName makes a valid host name (RFC 1123) of a process name: "web-1".
func hostName(name string) string {
	valid := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(name))
	valid = strings.Trim(valid[:min(len(valid), 63)], "-")
	if valid == "" {
		return "app"
	}
	return valid
}

// parseSignal knows "SIGTERM", "TERM" and "15"; empty is SIGTERM.
func parseSignal(s string) (unix.Signal, error) {
	if s == "" {
		return unix.SIGTERM, nil
	}
	if n, err := strconv.Atoi(s); err == nil && n > 0 && n < 65 {
		return unix.Signal(n), nil
	}
	name := strings.ToUpper(s)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if n := unix.SignalNum(name); n != 0 {
		return n, nil
	}
	return 0, platform.Errorf(platform.Failed, "the image's stop signal %q is not a signal", s)
}
