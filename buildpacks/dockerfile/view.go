package dockerfile

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/mount"
)

// view is what a snapshot's mount consists of.
type view struct {
	lowers []string // directories, bottom first
	upper  string   // takes the writes; "" if nothing may be written
}

// viewOf reads mounts as shelf makes them.
func viewOf(mounts []mount.Mount) (v view, err error) {
	if len(mounts) != 1 {
		return v, fmt.Errorf("a snapshot with %d mounts", len(mounts))
	}
	m := mounts[0]
	switch m.Type {
	case "bind":
		if slices.Contains(m.Options, "ro") && !isActive(m.Source) {
			return view{lowers: []string{m.Source}}, nil
		}
		return view{upper: m.Source}, nil
	case "overlay":
		for _, o := range m.Options {
			if dirs, ok := strings.CutPrefix(o, "lowerdir="); ok {
				v.lowers = strings.Split(dirs, ":")
				slices.Reverse(v.lowers)
			}
			if dir, ok := strings.CutPrefix(o, "upperdir="); ok {
				v.upper = dir
			}
		}
		if slices.Contains(m.Options, "ro") && v.upper != "" { // an active one that is only read
			v.lowers, v.upper = append(v.lowers, v.upper), ""
		}
		return v, nil
	}
	return v, fmt.Errorf("a snapshot of type %s", m.Type)
}

func isActive(dir string) bool { return filepath.Base(dir) == "fs" }

// isSocket tells an agent's socket from a secret's file.
func isSocket(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&os.ModeSocket != 0
}

func isRegular(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().IsRegular()
}
