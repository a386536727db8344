package runtime

import (
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// blockDevice is the disk under a directory: what limits of reading and writing are for.
type blockDevice struct {
	id  string // "254:0"
	why string // there is none, as the end of a sentence
}

func (b blockDevice) known() bool { return b.id != "" }

// diskUnder finds the whole disk, of which a file system may have a partition: the kernel limits disks only
// (cgroup-v2.rst, io.max). A file system that spreads over disks by itself has a device of no disk.
func diskUnder(dir string) blockDevice {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return blockDevice{why: err.Error()}
	}
	dev := deviceID(st.Dev)
	if unix.Major(st.Dev) == 0 {
		var ok bool
		if dev, ok = mountedFrom(dev); !ok {
			return blockDevice{why: fmt.Sprintf("the file system of %s is on no disk of its own", dir)}
		}
	}
	sys, err := filepath.EvalSymlinks("/sys/dev/block/" + dev)
	if err != nil {
		return blockDevice{why: "the kernel does not show the disks in /sys"}
	}
	if exists(filepath.Join(sys, "partition")) {
		dev = controlText(filepath.Join(filepath.Dir(sys), "dev"))
	}
	return blockDevice{id: dev}
}

func deviceID(dev uint64) string { return fmt.Sprintf("%d:%d", unix.Major(dev), unix.Minor(dev)) }

// mountedFrom asks the mount table for the device that a file system with an anonymous number, like
// btrfs, was mounted from.
func mountedFrom(dev string) (string, bool) {
	for line := range strings.Lines(controlText("/proc/self/mountinfo")) {
		left, right, ok := strings.Cut(line, " - ")
		before, after := strings.Fields(left), strings.Fields(right)
		var st unix.Stat_t
		if !ok || len(before) < 3 || len(after) < 2 || before[2] != dev || unix.Stat(after[1], &st) != nil {
			continue
		}
		if st.Mode&unix.S_IFMT == unix.S_IFBLK {
			return deviceID(st.Rdev), true
		}
	}
	return "", false
}
