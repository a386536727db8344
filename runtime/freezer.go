package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"paas/platform"
)

// freezer is the control group in which a container's processes are stopped: in the v2 tree, which can
// do it even where all controllers were left to v1, or else in v1's freezer hierarchy.
//
//	v2  cgroup.freeze: 1 or 0, done when cgroup.events says "frozen 1"   cgroup-v2.rst
//	v1  freezer.state: FROZEN or THAWED, FREEZING in between            freezer-subsystem.rst
//
// A SIGKILL ends a process that v2 froze, but waits for one that v1 froze until it is thawed.
type freezer struct {
	dir string
	v2  bool
}

const (
	v1Freezer      = "freezer" // its hierarchy
	freezersGroup  = "frozen"  // of containers that have no group of their own in the tree
	freezePatience = 5 * time.Second
)

// freezer finds the container's, or makes one and moves every process into it. The caller holds frost,
// or is the only one who knows the container.
func (c *container) freezer() (f freezer, err error) {
	if c.cold != nil {
		return *c.cold, nil
	}
	if f, err = c.findFreezer(); err == nil {
		c.cold = &f
	}
	return f, err
}

func (c *container) findFreezer() (freezer, error) {
	own, err := c.runtime.placesOf(c.init.pid)
	if err != nil {
		return freezer{}, err
	}
	if dir, ok := own[unified]; ok {
		return freezer{dir, true}, nil
	}
	if dir, ok := own[v1Freezer]; ok {
		return freezer{dir, false}, nil
	}
	for _, name := range []string{unified, v1Freezer} {
		if tree, ok := c.runtime.trees.find(name); ok {
			f := freezer{c.runtime.freezerDir(tree, string(c.record.ID)), name == unified}
			return f, c.moveTo(f.dir)
		}
	}
	return freezer{}, platform.Errorf(platform.Failed, "this host cannot pause containers: it has no cgroup freezer").
		WithHint("mount cgroup2 on /sys/fs/cgroup/unified")
}

func (r *Runtime) freezerDir(t groupTree, name string) string {
	return filepath.Join(t.mount, "paas-"+r.options.ID, freezersGroup, name)
}

// moveTo puts every process of the container into a group. A child that is forked meanwhile is where
// its parent is, so it goes round until all that the container's own group lists are there.
func (c *container) moveTo(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make freezer: %w", err)
	}
	for deadline := time.Now().Add(freezePatience); ; {
		there := groupMembers(dir)
		var missing []int
		for _, pid := range c.members() {
			if !slices.Contains(there, pid) {
				missing = append(missing, pid)
			}
		}
		if len(missing) == 0 && len(there) > 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return platform.Errorf(platform.Timeout, "%s starts processes faster than they can be paused", c.record.source())
		}
		for _, pid := range missing {
			err := writeControl(filepath.Join(dir, "cgroup.procs"), strconv.Itoa(pid))
			if err != nil && err != unix.ESRCH { // it has just ended
				return fmt.Errorf("move process to its freezer: %w", err)
			}
		}
	}
}

// members are the container's processes.
func (c *container) members() []int {
	if c.group == nil {
		return nil
	}
	return groupMembers(c.group.dirs()[0])
}

func groupMembers(dir string) (pids []int) {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return nil
	}
	for field := range strings.FieldsSeq(string(text)) {
		if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// freeze returns when every process stands still. After an error all go on.
func (f freezer) freeze(ctx context.Context) error {
	if err := f.set("1", "FROZEN"); err != nil {
		return err
	}
	pause := 20 * time.Microsecond
	for deadline := time.Now().Add(freezePatience); !f.frozen(); pause = min(2*pause, 5*time.Millisecond) {
		if time.Now().After(deadline) {
			return errors.Join(platform.Errorf(platform.Timeout, "a process cannot be paused: the kernel is busy for it"), f.thaw())
		}
		if ctx.Err() != nil {
			return errors.Join(ctx.Err(), f.thaw())
		}
		time.Sleep(pause)
	}
	return nil
}

func (f freezer) thaw() error { return f.set("0", "THAWED") }

func (f freezer) set(v2, v1 string) error {
	file, value := "freezer.state", v1
	if f.v2 {
		file, value = "cgroup.freeze", v2
	}
	if err := writeControl(filepath.Join(f.dir, file), value); err != nil {
		return fmt.Errorf("set %s to %s: %w", file, value, err)
	}
	return nil
}

func (f freezer) frozen() bool {
	if !f.v2 {
		return readControl(filepath.Join(f.dir, "freezer.state")) == "FROZEN"
	}
	return slices.Contains(strings.Split(readControl(filepath.Join(f.dir, "cgroup.events")), "\n"), "frozen 1")
}

// begun tells whether its processes stand still or are about to.
func (f freezer) begun() bool {
	if f.v2 {
		return readControl(filepath.Join(f.dir, "cgroup.freeze")) == "1"
	}
	return readControl(filepath.Join(f.dir, "freezer.state")) != "THAWED"
}

// freezerDirs are where this platform makes freezers of its own.
func (r *Runtime) freezerDirs(name string) (dirs []string) {
	for _, tree := range []string{unified, v1Freezer} {
		if t, ok := r.trees.find(tree); ok {
			dirs = append(dirs, r.freezerDir(t, name))
		}
	}
	return dirs
}

// removeFreezer removes a freezer that was made for the container; all its processes have ended.
func (c *container) removeFreezer() error {
	var errs []error
	for _, dir := range c.runtime.freezerDirs(string(c.record.ID)) {
		errs = append(errs, removeGroup(dir, time.Now().Add(removePatience)))
	}
	return errors.Join(errs...)
}

// sweepFreezers removes what a predecessor left of containers that are gone. A process that v1 froze
// and nobody knows must be thawed before a signal ends it.
func (r *Runtime) sweepFreezers() error {
	var errs []error
	for _, dir := range r.freezerDirs("") {
		entries, err := os.ReadDir(dir)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		errs = append(errs, err)
		for _, e := range entries {
			c, known := r.containers[platform.InstanceID(e.Name())]
			if e.IsDir() && (!known || c.record.Phase != running) {
				errs = append(errs, sweepFreezer(filepath.Join(dir, e.Name())))
			}
		}
	}
	return errors.Join(errs...)
}

func sweepFreezer(dir string) error {
	for _, pid := range groupMembers(dir) {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	_ = writeControl(filepath.Join(dir, "freezer.state"), "THAWED")
	return removeGroup(dir, time.Now().Add(removePatience))
}

// destroyFreezers removes the groups that freezers were in.
func (r *Runtime) destroyFreezers() error {
	if r.groups == nil {
		return nil
	}
	var errs []error
	for _, dir := range r.freezerDirs("") {
		deadline := time.Now().Add(removePatience)
		errs = append(errs, removeGroup(dir, deadline), removeGroup(filepath.Dir(dir), deadline))
	}
	return errors.Join(errs...)
}
