package oci

import (
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

// hierarchies is where the host's control groups are mounted.
type hierarchies struct {
	v2     string            // the version 2 tree if it is the one with the controllers
	hybrid string            // a version 2 tree beside version 1: good for killing
	v1     map[string]string // controller -> mount point
}

func findHierarchies() (hierarchies, error) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return hierarchies{}, fmt.Errorf("find control groups: %w", err)
	}
	h := hierarchies{v1: make(map[string]string)}
	for line := range strings.Lines(string(table)) {
		h.add(line)
	}
	if h.v2 == "" && len(h.v1) == 0 {
		return h, platform.Errorf(platform.Failed, "this host has no control groups").WithHint("mount cgroup2 on /sys/fs/cgroup")
	}
	return h, nil
}

// add takes a line of proc_pid_mountinfo(5): "… root mountpoint options [fields] - type source options".
// Of several mounts of one hierarchy the first counts.
func (h *hierarchies) add(line string) {
	left, right, ok := strings.Cut(line, " - ")
	before, after := strings.Fields(left), strings.Fields(right)
	if !ok || len(before) < 5 || len(after) < 3 {
		return
	}
	mount := before[4]
	switch after[0] {
	case "cgroup":
		for option := range strings.SplitSeq(after[2], ",") {
			if _, there := h.v1[option]; !there && slices.Contains(v1Controllers(), option) {
				h.v1[option] = mount
			}
		}
	case "cgroup2":
		text, _ := os.ReadFile(filepath.Join(mount, "cgroup.controllers"))
		offered := strings.Fields(string(text))
		if slices.Contains(offered, "memory") || slices.Contains(offered, "pids") {
			h.v2 = mount
		} else {
			h.hybrid = mount
		}
	}
}

func v1Controllers() []string {
	return []string{
		"cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "hugetlb", "net_cls", "net_prio", "rdma",
		"perf_event",
	}
}

// defaultGroup holds the groups of containers without a cgroupsPath.
const defaultGroup = "paas-oci"

// groupPath is the path below every hierarchy's mount. A relative path is taken from there too, which the
// specification leaves to us; one of the form slice:prefix:name is where systemd would have the scope.
func groupPath(cgroupsPath, id string, systemd bool) (string, error) {
	if systemd {
		return scopePath(cgroupsPath, id)
	}
	if cgroupsPath == "" {
		return "/" + defaultGroup + "/" + id, nil
	}
	clean := filepath.Clean("/" + cgroupsPath)
	if clean == "/" {
		return "", errors.New("cgroupsPath is the root of all groups")
	}
	return clean, nil
}

// scopePath follows systemd.slice(5): "a-b.slice" lies in "a.slice".
func scopePath(cgroupsPath, id string) (string, error) {
	parts := strings.Split(cgroupsPath, ":")
	if cgroupsPath == "" {
		parts = []string{"system.slice", "paas-oci", id}
	}
	if len(parts) != 3 || strings.Contains(cgroupsPath, "/") {
		return "", fmt.Errorf("cgroupsPath %q has not the form slice:prefix:name", cgroupsPath)
	}
	slice := strings.TrimSuffix(parts[0], ".slice")
	path := "/"
	if slice != "-" {
		for i, c := range slice + "-" {
			if c == '-' && i > 0 {
				path = filepath.Join(path, slice[:i]+".slice")
			}
		}
	}
	name := parts[2]
	if !strings.HasSuffix(name, ".slice") {
		name = parts[1] + "-" + parts[2] + ".scope"
	}
	return filepath.Join(path, name), nil
}

// groups is one container's group in every hierarchy: controller -> directory, "" for version 2.
type groups map[string]string

func (h hierarchies) groups(path string) groups {
	g := make(groups)
	if h.v2 != "" {
		g[""] = filepath.Join(h.v2, path)
		return g
	}
	for controller, mount := range h.v1 {
		g[controller] = filepath.Join(mount, path)
	}
	if h.hybrid != "" {
		g["hybrid"] = filepath.Join(h.hybrid, path)
	}
	return g
}

// v2 is the version 2 group into which a process can be born.
func (g groups) v2() (string, bool) {
	if dir, ok := g[""]; ok {
		return dir, true
	}
	dir, ok := g["hybrid"]
	return dir, ok
}

// dirs are the distinct directories; controllers may be mounted together.
func (g groups) dirs() []string {
	var dirs []string
	for _, dir := range g {
		dirs = append(dirs, dir)
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// make creates the groups and tells which directories were missing, outer ones first.
func (g groups) make() (made []string, err error) {
	for _, dir := range g.dirs() {
		some, err := makeGroup(dir)
		made = append(made, some...)
		if err != nil {
			return made, err
		}
	}
	return made, nil
}

func makeGroup(dir string) (made []string, err error) {
	var missing []string
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(d); err == nil {
			break
		}
		missing = append(missing, d)
	}
	slices.Reverse(missing)
	for _, d := range above(dir) {
		passDown(d)
	}
	for _, d := range missing {
		passDown(filepath.Dir(d))
		if err := os.Mkdir(d, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return made, fmt.Errorf("make cgroup: %w", err)
		}
		made = append(made, d)
		inheritCPUs(d)
	}
	return made, nil
}

// above are the version 2 groups that are there already, from the root of all down to the one that holds dir.
func above(dir string) []string {
	var list []string
	for d := filepath.Dir(dir); d != "/"; d = filepath.Dir(d) {
		_, hasControllers := os.Stat(filepath.Join(d, "cgroup.controllers"))
		_, there := os.Stat(d)
		if hasControllers == nil {
			list = append(list, d)
		} else if there == nil {
			break // above the mount
		}
	}
	slices.Reverse(list)
	return list
}

// passDown lets version 2 groups below dir have its controllers. One the kernel refuses is refused alone,
// hence one write each.
func passDown(dir string) {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return
	}
	for controller := range strings.FieldsSeq(string(text)) {
		_ = writeControl(filepath.Join(dir, "cgroup.subtree_control"), "+"+controller)
	}
}

// inheritCPUs gives a new version 1 cpuset its parent's CPUs and memory nodes: it takes no process without.
func inheritCPUs(dir string) {
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		own, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || len(strings.TrimSpace(string(own))) > 0 {
			continue
		}
		if parent, err := os.ReadFile(filepath.Join(filepath.Dir(dir), name)); err == nil {
			_ = writeControl(filepath.Join(dir, name), strings.TrimSpace(string(parent)))
		}
	}
}

// place moves a process that was not born there. The first move after a quiet spell waits for an RCU grace
// period of about ten milliseconds.
func (g groups) place(pid int) error {
	born, _ := g.v2()
	for _, dir := range g.dirs() {
		if dir == born {
			continue
		}
		if err := writeControl(filepath.Join(dir, "cgroup.procs"), strconv.Itoa(pid)); err != nil {
			return fmt.Errorf("move process to cgroup %s: %w", dir, err)
		}
	}
	return nil
}

// processes lists all of the container's, also those in groups below its own.
func (g groups) processes() []int {
	seen := make(map[int]bool)
	for _, dir := range g.dirs() {
		for _, below := range tree(dir) {
			text, _ := os.ReadFile(filepath.Join(below, "cgroup.procs"))
			for field := range strings.FieldsSeq(string(text)) {
				if pid, err := strconv.Atoi(field); err == nil && pid > 1 {
					seen[pid] = true
				}
			}
		}
	}
	var pids []int
	for pid := range seen {
		pids = append(pids, pid)
	}
	slices.Sort(pids)
	return pids
}

// tree is the group with all groups below it, inner ones first.
func tree(dir string) []string {
	var dirs []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if e.IsDir() {
			dirs = append(dirs, tree(filepath.Join(dir, e.Name()))...)
		}
	}
	return append(dirs, dir)
}

// signal reaches every process of the container.
func (g groups) signal(s unix.Signal) {
	for _, pid := range g.processes() {
		_ = unix.Kill(pid, s)
	}
}

const patience = 10 * time.Second // for groups to become empty

// destroy kills what is left and removes the groups, then those of their parents that we had to make and
// that nobody else uses.
func (g groups) destroy(made []string) error {
	deadline := time.Now().Add(patience)
	for len(g.processes()) > 0 && time.Now().Before(deadline) {
		g.signal(unix.SIGKILL)
		_ = g.freeze(false) // a frozen process of version 1 dies when it thaws
		time.Sleep(2 * time.Millisecond)
	}
	var errs []error
	for _, dir := range g.dirs() {
		for _, below := range tree(dir) {
			errs = append(errs, removeGroup(below, deadline))
		}
	}
	for _, dir := range g.dirs() {
		if filepath.Base(filepath.Dir(dir)) == defaultGroup { // several containers have it, the last one takes it
			made = append(made, filepath.Dir(dir))
		}
	}
	for _, dir := range slices.Backward(made) {
		_ = unix.Rmdir(dir)
	}
	return errors.Join(errs...)
}

// removeGroup waits while the kernel says EBUSY: a process leaves its group a moment after it was reaped.
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

// freeze stops or continues all processes; it returns when that is so.
func (g groups) freeze(on bool) error {
	if dir, ok := g["freezer"]; ok {
		return freezeV1(dir, on)
	}
	dir, ok := g[""]
	if !ok {
		return platform.Errorf(platform.Failed, "this host cannot freeze processes").WithHint("it has no freezer controller")
	}
	value := map[bool]string{true: "1", false: "0"}[on]
	if err := writeControl(filepath.Join(dir, "cgroup.freeze"), value); err != nil {
		return fmt.Errorf("freeze: %w", err)
	}
	return await(func() bool { return frozen(g) == on })
}

// freezeV1 writes again and again: a group that gets new processes meanwhile stays FREEZING.
func freezeV1(dir string, on bool) error {
	want := map[bool]string{true: "FROZEN", false: "THAWED"}[on]
	file := filepath.Join(dir, "freezer.state")
	var failed error
	err := await(func() bool {
		if failed = writeControl(file, want); failed != nil {
			return true
		}
		text, err := os.ReadFile(file)
		failed = err
		return err != nil || strings.TrimSpace(string(text)) == want
	})
	return errors.Join(failed, err)
}

func await(done func() bool) error {
	for deadline := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return errors.New("freeze: the processes do not stop")
		}
	}
	return nil
}

// frozen tells whether the container is paused.
func frozen(g groups) bool {
	if dir, ok := g["freezer"]; ok {
		text, err := os.ReadFile(filepath.Join(dir, "freezer.state"))
		return err == nil && strings.HasPrefix(string(text), "FR")
	}
	text, err := os.ReadFile(filepath.Join(g[""], "cgroup.events"))
	return err == nil && strings.Contains(string(text), "frozen 1")
}

// writeControl writes a control file with plain system calls: os.File would give it to the poller, since
// these files can be polled, and might then wait for ever for one that answered EAGAIN. A write that a signal
// interrupted is made again.
func writeControl(path, value string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	for {
		if _, err = unix.Write(fd, []byte(value)); err != unix.EINTR {
			return err
		}
	}
}
