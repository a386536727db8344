package runtime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
	"paas/platform"
)

// The groups below the platform's own. What serves requests comes before one-off jobs, and those before
// builds.
const (
	appsGroup     = "apps"
	jobsGroup     = "jobs"
	buildsGroup   = "builds"
	platformGroup = "platform" // the daemon, where no systemd keeps it
	usualDevices  = "usual"    // v1: who may open the usual devices and no other
)

// sliceNames are the groups that hold those of containers, the most important first.
func sliceNames() []string { return []string{appsGroup, jobsGroup, buildsGroup} }

// cgroups is the platform's part of the host's control groups:
//
//	v2  <mount>/paas-<id>/{apps,jobs}/<container>
//	    <mount>/paas-<id>-builds/<container>
//	v1  the same below the mount of each controller
//
// Builds are not beside apps: idleness counts among siblings, and at the root of the tree those are all that
// runs on the host, the daemon and its router included. Below the platform's group builds would share its turn
// with apps, and the router wait for that (measured: the slowest hundredth of requests twice as slow).
//
// Containers are born in groups for memory, pids and cpu; on v1, where each further hierarchy costs a
// start, the other controllers follow when there is something to limit.
type cgroups struct {
	v2      bool
	hybrid  bool              // a v2 tree is there, but v1 has the controllers
	tops    map[string]string // controller -> top directory; on v2 all are the same one
	missing []string          // controllers the host does not offer: their limits are not kept
	disk    blockDevice       // under the containers' writes
	lacks   map[string]string // limits that cannot be kept, with the reason
	id      string            // of the platform
}

// path is where a slice's group is below the tops.
func (c *cgroups) path(slice string) string {
	if slice == buildsGroup {
		return filepath.Join("..", "paas-"+c.id+"-"+buildsGroup)
	}
	return slice
}

func bornControllers() []string  { return []string{"memory", "pids", "cpu"} }
func laterControllers() []string { return []string{"cpuset", "io", "devices"} }

func openCgroups(hierarchies hierarchies, id string) (*cgroups, error) {
	c := &cgroups{v2: hierarchies.v2 != "", hybrid: hierarchies.hybrid(), tops: make(map[string]string), lacks: make(map[string]string), id: id}
	for _, controller := range append(bornControllers(), laterControllers()...) {
		mount, ok := hierarchies.mount(controller)
		if ok {
			c.tops[controller] = filepath.Join(mount, "paas-"+id)
		} else if controller != "devices" || !c.v2 {
			c.missing = append(c.missing, controller)
		}
	}
	if len(c.bornTops()) == 0 && !c.v2 {
		return nil, platform.Errorf(platform.Failed, "this host has no control groups for memory, pids or cpu").
			WithHint("mount cgroup2 on /sys/fs/cgroup")
	}
	if c.v2 && len(c.tops) == 0 {
		c.tops[""] = filepath.Join(hierarchies.v2, "paas-"+id)
	}
	if err := c.makeGroups(); err != nil {
		return nil, err
	}
	c.openDevices()
	c.findLacks()
	return c, nil
}

func (c *cgroups) makeGroups() error {
	for _, top := range c.bornTops() {
		if err := c.makeTop(top); err != nil {
			return fmt.Errorf("make cgroup: %w", err)
		}
	}
	c.setIdle(false) // a predecessor may have died while it was
	for _, slice := range sliceNames() {
		if err := c.apply(c.path(slice), weights(c.v2, slice)); err != nil {
			return err
		}
	}
	reserve := reserveSettings(c.v2, hostMemory())
	return errors.Join(c.apply("", reserve), c.apply(c.path(buildsGroup), reserve))
}

func (c *cgroups) makeTop(top string) error {
	dirs := []string{top}
	for _, slice := range sliceNames() {
		dirs = append(dirs, filepath.Join(top, c.path(slice)))
	}
	for i, dir := range dirs {
		if c.v2 && i < 2 {
			c.passDown(filepath.Dir(dir))
		}
		if err := makeGroup(dir); err != nil {
			return err
		}
		if c.v2 && i > 0 {
			c.passDown(dir)
		}
	}
	return nil
}

func makeGroup(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// passDown lets groups below dir have controllers. A controller the kernel does not offer is refused
// alone, hence one write each.
func (c *cgroups) passDown(dir string) {
	for _, controller := range []string{"memory", "pids", "cpu", "io", "cpuset"} {
		_ = writeControl(filepath.Join(dir, "cgroup.subtree_control"), "+"+controller)
	}
}

// apply writes settings of controllers that are there into the group at path below the tops.
func (c *cgroups) apply(path string, settings []setting) error {
	for _, s := range settings {
		if err := (cgroup{c, path}).write(s); err != nil {
			return err
		}
	}
	return nil
}

// bornTops are the tops of hierarchies that every container has a group in.
func (c *cgroups) bornTops() []string { return c.distinct(append(bornControllers(), "")) }

func (c *cgroups) distinctTops() []string {
	return c.distinct(append(append(bornControllers(), ""), laterControllers()...))
}

func (c *cgroups) distinct(controllers []string) []string {
	var tops []string
	seen := make(map[string]bool)
	for _, controller := range controllers {
		if top, ok := c.tops[controller]; ok && !seen[top] {
			seen[top] = true
			tops = append(tops, top)
		}
	}
	return tops
}

// cgroup is one container's group, in every hierarchy.
type cgroup struct {
	of   *cgroups
	path string // "apps/<container>", below the tops
}

// create makes a container's group, without limits.
func (c *cgroups) create(group, name string) (cgroup, error) {
	g := cgroup{c, filepath.Join(c.path(group), name)}
	for _, top := range c.bornTops() {
		if err := os.Mkdir(filepath.Join(top, g.path), 0o755); err != nil {
			return g, errors.Join(fmt.Errorf("make cgroup: %w", err), g.remove())
		}
	}
	return g, nil
}

// dirs are where the group is or may be; the first is one it always has.
func (g cgroup) dirs() []string {
	tops := g.of.distinctTops()
	for i := range tops {
		tops[i] = filepath.Join(tops[i], g.path)
	}
	return tops
}

// dir is the group in a controller's hierarchy; false if the host does not have that.
func (g cgroup) dir(controller string) (string, bool) {
	top, ok := g.of.tops[controller]
	return filepath.Join(top, g.path), ok
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
// about ten milliseconds, the others hardly.
func (g cgroup) place(pid int) error {
	if g.of.v2 {
		return nil
	}
	dirs := []string{}
	for _, top := range g.of.bornTops() {
		dirs = append(dirs, filepath.Join(top, g.path))
	}
	if top, ok := g.of.tops["devices"]; ok && g.of.lacks["device"] == "" {
		dirs = append(dirs, filepath.Join(top, usualDevices))
	}
	for _, dir := range dirs {
		if err := writeControl(filepath.Join(dir, "cgroup.procs"), strconv.Itoa(pid)); err != nil {
			return fmt.Errorf("move process to its cgroup: %w", err)
		}
	}
	return nil
}

// kill ends every process of the group.
func (g cgroup) kill() {
	for _, dir := range g.dirs() {
		for _, pid := range processesIn(dir) {
			if pid > 1 {
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
		entries, err := os.ReadDir(filepath.Join(top, c.path(group)))
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
	for _, group := range sliceNames() {
		for name := range c.names(group) {
			if known(name) {
				continue
			}
			g := cgroup{c, filepath.Join(c.path(group), name)}
			g.kill()
			errs = append(errs, g.remove())
		}
	}
	return errors.Join(errs...)
}

// destroy removes the platform's groups. They must be empty.
func (c *cgroups) destroy() error {
	var errs []error
	for _, path := range append(sliceNames(), platformGroup, usualDevices, "") {
		errs = append(errs, cgroup{c, c.path(path)}.remove())
	}
	return errors.Join(errs...)
}
