package runtime

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// hierarchies is where the host's control groups are mounted.
type hierarchies struct {
	v2          string            // the v2 tree, if it is the one with the controllers
	controllers []string          // that v2 offers
	bare        string            // a v2 tree without controllers for memory and processes
	v1          map[string]string // controller -> mount point
}

// hybrid tells whether v1 has the controllers while a v2 tree is there too.
func (h hierarchies) hybrid() bool { return h.v2 == "" && h.bare != "" }

// mount is where a controller's groups are. v1 calls the controller "io" blkio.
func (h hierarchies) mount(controller string) (string, bool) {
	if h.v2 != "" {
		return h.v2, slices.Contains(h.controllers, controller)
	}
	if controller == "io" {
		controller = "blkio"
	}
	m, ok := h.v1[controller]
	return m, ok
}

// findHierarchies reads the mount table. A v2 tree whose controllers were all left to v1 ("hybrid")
// does not count.
func findHierarchies() (hierarchies, error) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return hierarchies{}, fmt.Errorf("find control groups: %w", err)
	}
	return parseHierarchies(string(table), func(mount string) string {
		text, err := os.ReadFile(mount + "/cgroup.controllers")
		if err != nil {
			return ""
		}
		return string(text)
	}), nil
}

// parseHierarchies picks cgroup mounts out of mountinfo (proc_pid_mountinfo(5)):
// "… root mountpoint options [fields] - type source superoptions".
func parseHierarchies(mountinfo string, controllersOf func(mount string) string) hierarchies {
	h := hierarchies{v1: make(map[string]string)}
	for line := range strings.Lines(mountinfo) {
		left, right, ok := strings.Cut(line, " - ")
		before, after := strings.Fields(left), strings.Fields(right)
		if !ok || len(before) < 5 || len(after) < 3 {
			continue
		}
		mount := before[4]
		switch after[0] {
		case "cgroup":
			for _, option := range strings.Split(after[2], ",") {
				h.v1[option] = mount
			}
		case "cgroup2":
			offered := strings.Fields(controllersOf(mount))
			if slices.Contains(offered, "memory") || slices.Contains(offered, "pids") {
				h.v2, h.controllers = mount, offered
			} else if h.bare == "" {
				h.bare = mount
			}
		}
	}
	return h
}
