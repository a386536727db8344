package runtime

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// unified is the name that places have for the v2 tree, with or without controllers.
const unified = ""

// trees are the control group hierarchies that are mounted on this host, v2 and v1, read once: they do
// not change while a host is up.
type trees struct {
	once sync.Once
	list []groupTree
	err  error
}

// groupTree is one mounted hierarchy.
type groupTree struct {
	mount string
	root  string   // what of the hierarchy is mounted there
	names []string // its v1 controllers, or unified
}

func (t *trees) all() ([]groupTree, error) {
	t.once.Do(func() {
		var table []byte
		if table, t.err = os.ReadFile("/proc/self/mountinfo"); t.err == nil {
			t.list = parseTrees(string(table))
		}
	})
	return t.list, t.err
}

// parseTrees picks cgroup mounts out of mountinfo: "id parent device root mountpoint … - type source
// superoptions" (proc_pid_mountinfo(5)).
func parseTrees(mountinfo string) (list []groupTree) {
	for line := range strings.Lines(mountinfo) {
		left, right, ok := strings.Cut(line, " - ")
		before, after := strings.Fields(left), strings.Fields(right)
		if !ok || len(before) < 5 || len(after) < 3 {
			continue
		}
		t := groupTree{mount: before[4], root: before[3]}
		switch after[0] {
		case "cgroup2":
			t.names = []string{unified}
		case "cgroup":
			t.names = strings.Split(after[2], ",")
		default:
			continue
		}
		list = append(list, t)
	}
	return list
}

// find is the hierarchy with the controller, or the v2 tree.
func (t *trees) find(name string) (groupTree, bool) {
	list, err := t.all()
	i := slices.IndexFunc(list, func(g groupTree) bool { return slices.Contains(g.names, name) })
	if err != nil || i < 0 {
		return groupTree{}, false
	}
	return list[i], true
}

// places are the directories of a container's own groups, by v1 controller or unified.
type places map[string]string

// placesOf asks the kernel where a container's process is, so that it holds for every way in which its
// groups may have been made. Groups that are not the container's own do not count.
func (r *Runtime) placesOf(pid int) (places, error) {
	text := readControl("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if text == "" {
		return nil, fmt.Errorf("find control groups: process %d has ended", pid)
	}
	list, err := r.trees.all()
	if err != nil {
		return nil, fmt.Errorf("find control groups: %w", err)
	}
	found := places{}
	for line := range strings.Lines(text) { // "hierarchy:controllers:path" (cgroups(7))
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) != 3 || !r.own(parts[2]) {
			continue
		}
		for name := range strings.SplitSeq(parts[1], ",") {
			found.add(list, name, parts[2])
		}
	}
	return found, nil
}

func (p places) add(list []groupTree, name, group string) {
	for _, t := range list {
		below, ok := strings.CutPrefix(group, strings.TrimSuffix(t.root, "/"))
		if ok && slices.Contains(t.names, name) {
			p[name] = filepath.Join(t.mount, below)
			return
		}
	}
}

// own tells whether a group is one container's: two levels below the platform's own.
func (r *Runtime) own(group string) bool {
	return path.Base(path.Dir(path.Dir(group))) == "paas-"+r.options.ID
}

// readControl reads a small control file with plain system calls, as writeControl writes one: a
// thousand of them must not go through the poller. It is "" if it cannot be read.
func readControl(path string) string {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer func() { _ = unix.Close(fd) }()
	var b [8192]byte
	n, err := unix.Read(fd, b[:])
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b[:max(n, 0)]))
}
