package runtime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"paas/platform"
)

// The groups below the platform's own. What serves requests comes before builds and one-off jobs.
const (
	appsGroup   = "apps"
	buildsGroup = "builds"
)

// cgroups is the platform's part of the host's control groups:
//
//	v2  <mount>/paas-<id>/{apps,builds}/<container>
//	v1  <mount of each controller>/paas-<id>/{apps,builds}/<container>
type cgroups struct {
	v2      bool
	tops    map[string]string // controller -> top directory; on v2 all are the same one
	missing []string          // controllers the host does not offer: their limits are not kept
}

// setting is one control file with what is written into it.
type setting struct {
	controller, file, value string
	optional                bool // not on every kernel
}

func openCgroups(hierarchies hierarchies, id string) (*cgroups, error) {
	c := &cgroups{v2: hierarchies.v2 != "", tops: make(map[string]string)}
	for _, controller := range []string{"memory", "pids", "cpu"} {
		mount, ok := hierarchies.mount(controller)
		if !ok {
			c.missing = append(c.missing, controller)
			continue
		}
		c.tops[controller] = filepath.Join(mount, "paas-"+id)
	}
	if len(c.tops) == 0 && !c.v2 {
		return nil, platform.Errorf(platform.Failed, "this host has no control groups for memory, pids or cpu").
			WithHint("mount cgroup2 on /sys/fs/cgroup")
	}
	if c.v2 && len(c.tops) == 0 {
		c.tops[""] = filepath.Join(hierarchies.v2, "paas-"+id)
	}
	return c, c.makeGroups()
}

func (c *cgroups) makeGroups() error {
	for _, top := range c.distinctTops() {
		for _, dir := range []string{top, filepath.Join(top, appsGroup), filepath.Join(top, buildsGroup)} {
			if c.v2 {
				c.passDown(filepath.Dir(dir))
			}
			if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
				return fmt.Errorf("make cgroup: %w", err)
			}
		}
		if c.v2 {
			c.passDown(filepath.Join(top, appsGroup))
			c.passDown(filepath.Join(top, buildsGroup))
		}
	}
	return c.apply(buildsGroup, buildWeights(c.v2))
}

// passDown lets groups below dir have controllers. A controller the kernel does not offer is refused
// alone, hence one write each.
func (c *cgroups) passDown(dir string) {
	for _, controller := range []string{"memory", "pids", "cpu", "io"} {
		_ = writeControl(filepath.Join(dir, "cgroup.subtree_control"), "+"+controller)
	}
}

// buildWeights gives builds and jobs a quarter of what apps get when both want the CPU or the disk
// (cgroup-v2.rst: weights are 1 to 10000, 100 by default; v1: shares, 1024 by default).
func buildWeights(v2 bool) []setting {
	if v2 {
		return []setting{{"cpu", "cpu.weight", "25", true}, {"", "io.weight", "default 25", true}}
	}
	return []setting{{"cpu", "cpu.shares", "256", true}}
}

// limitSettings are the control files of one container. A kernel without swap accounting lacks the swap files.
func limitSettings(v2 bool, l platform.Limits, whole bool) []setting {
	memory, pids := strconv.FormatInt(l.Memory, 10), strconv.Itoa(l.Processes)
	const period = 100_000 // microseconds, the kernel's default
	quota := strconv.Itoa(int(l.CPUs * period))
	if !v2 {
		s := []setting{
			{"memory", "memory.limit_in_bytes", memory, false},
			{"memory", "memory.memsw.limit_in_bytes", memory, true},
			{"pids", "pids.max", pids, false},
		}
		if l.CPUs > 0 {
			s = append(s, setting{"cpu", "cpu.cfs_quota_us", quota, false})
		}
		return s
	}
	s := []setting{
		{"memory", "memory.max", memory, false},
		{"memory", "memory.swap.max", "0", true},
		{"pids", "pids.max", pids, false},
	}
	if whole {
		s = append(s, setting{"memory", "memory.oom.group", "1", true})
	}
	if l.CPUs > 0 {
		s = append(s, setting{"cpu", "cpu.max", quota + " " + strconv.Itoa(period), false})
	}
	return s
}

// apply writes settings of controllers that are there into the group at path below the tops.
func (c *cgroups) apply(path string, settings []setting) error {
	for _, s := range settings {
		top, ok := c.tops[s.controller]
		if s.controller == "" {
			top, ok = c.distinctTops()[0], true
		}
		if !ok {
			continue
		}
		err := writeControl(filepath.Join(top, path, s.file), s.value)
		if err != nil && !s.optional {
			return fmt.Errorf("set %s to %s: %w", s.file, s.value, err)
		}
	}
	return nil
}

func (c *cgroups) distinctTops() []string {
	var tops []string
	seen := make(map[string]bool)
	for _, top := range c.tops {
		if !seen[top] {
			seen[top] = true
			tops = append(tops, top)
		}
	}
	return tops
}

// cgroup is one container's group, in every hierarchy.
type cgroup struct {
	of   *cgroups
	path string // "apps/<container>"
}

// create makes a container's group, without limits.
func (c *cgroups) create(group, name string) (cgroup, error) {
	g := cgroup{c, filepath.Join(group, name)}
	for _, dir := range g.dirs() {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return g, errors.Join(fmt.Errorf("make cgroup: %w", err), g.remove())
		}
	}
	return g, nil
}

// limit sets the limits of a container's group.
func (g cgroup) limit(l platform.Limits) error {
	return g.of.apply(g.path, limitSettings(g.of.v2, l, filepath.Dir(g.path) == buildsGroup))
}

func (g cgroup) dirs() []string {
	tops := g.of.distinctTops()
	for i := range tops {
		tops[i] = filepath.Join(tops[i], g.path)
	}
	return tops
}

// open gives the directory into which clone3(2) puts a new process on v2. On v1 there is no such thing:
// nil, and place moves it afterwards.
func (g cgroup) open() (*os.File, error) {
	if !g.of.v2 {
		return nil, nil
	}
	return os.Open(g.dirs()[0])
}

// place moves a process on v1. The first move after a quiet spell waits for an RCU grace period of
// about ten milliseconds, so it is done while the process sets itself up.
func (g cgroup) place(pid int) error {
	if g.of.v2 {
		return nil
	}
	for _, dir := range g.dirs() {
		if err := writeControl(filepath.Join(dir, "cgroup.procs"), strconv.Itoa(pid)); err != nil {
			return fmt.Errorf("move process to its cgroup: %w", err)
		}
	}
	return nil
}

// outOfMemory tells whether the kernel killed a process of the group for want of memory.
func (g cgroup) outOfMemory() bool {
	file := "memory.oom_control"
	if g.of.v2 {
		file = "memory.events"
	}
	top, ok := g.of.tops["memory"]
	if !ok {
		return false
	}
	text, err := os.ReadFile(filepath.Join(top, g.path, file))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "oom_kill "); ok {
			return n != "0"
		}
	}
	return false
}

// kill ends every process of the group.
func (g cgroup) kill() {
	for _, dir := range g.dirs() {
		text, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if err != nil {
			continue
		}
		for field := range strings.FieldsSeq(string(text)) {
			if pid, err := strconv.Atoi(field); err == nil && pid > 1 {
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		}
	}
}

const removePatience = 5 * time.Second

// remove deletes the group. The kernel says EBUSY until the last process has left the group, a moment
// after it was reaped.
func (g cgroup) remove() error {
	var errs []error
	deadline := time.Now().Add(removePatience)
	for _, dir := range g.dirs() {
		errs = append(errs, removeGroup(dir, deadline))
	}
	return errors.Join(errs...)
}

func removeGroup(dir string, deadline time.Time) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		err := unix.Rmdir(dir)
		if err == nil || err == unix.ENOENT {
			return nil
		}
		if err != unix.EBUSY || time.Now().After(deadline) {
			return fmt.Errorf("remove cgroup %s: %w", dir, err)
		}
		time.Sleep(pause)
	}
}

// names lists the containers that have a group.
func (c *cgroups) names(group string) map[string]bool {
	names := make(map[string]bool)
	for _, top := range c.distinctTops() {
		entries, err := os.ReadDir(filepath.Join(top, group))
		if err != nil {
			continue
		}
		for _, e := range entries {
			if e.IsDir() {
				names[e.Name()] = true
			}
		}
	}
	return names
}

// sweep ends and removes the groups of containers nobody knows.
func (c *cgroups) sweep(known func(name string) bool) error {
	var errs []error
	for _, group := range []string{appsGroup, buildsGroup} {
		for name := range c.names(group) {
			if known(name) {
				continue
			}
			g := cgroup{c, filepath.Join(group, name)}
			g.kill()
			errs = append(errs, g.remove())
		}
	}
	return errors.Join(errs...)
}

// destroy removes the platform's groups. They must be empty.
func (c *cgroups) destroy() error {
	var errs []error
	for _, path := range []string{appsGroup, buildsGroup, ""} {
		errs = append(errs, cgroup{c, path}.remove())
	}
	return errors.Join(errs...)
}

// writeControl writes a control file with plain system calls: os.File would give it to the poller,
// since these files can be polled, and might then wait for ever for one that answered EAGAIN.
func writeControl(path, value string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	_, err = unix.Write(fd, []byte(value))
	return err
}
