package dockerfile

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
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

// mountable is what both of BuildKit's kinds of mounts are.
type mountable interface {
	Mount() ([]mount.Mount, func() error, error)
}

// described gives a snapshot's mount as shelf described it. BuildKit wraps that of one that may be written to
// in something that mounts it here, in this process, to show a bind of that to several who share it
// (cache/refs.go, sharableMountable and readOnlyMounter); where the daemon mounts it itself, what counts is
// inside of the wrapping.
func described(m mountable) (mounts []mount.Mount, release func() error, err error) {
	readOnly := false
	for {
		name, inner := unwrap(m)
		if inner == nil {
			break
		}
		readOnly = readOnly || name == "readOnlyMounter"
		m = inner
	}
	if mounts, release, err = m.Mount(); err != nil || !readOnly {
		return mounts, release, err
	}
	mounts = slices.Clone(mounts)
	for i, m := range mounts {
		mounts[i].Options = append(slices.DeleteFunc(slices.Clone(m.Options), func(o string) bool { return o == "rw" }), "ro")
	}
	return mounts, release, nil
}

func unwrap(m mountable) (name string, inner mountable) {
	v := reflect.Indirect(reflect.ValueOf(m))
	if v.Kind() != reflect.Struct {
		return "", nil
	}
	name = v.Type().Name()
	if name != "sharableMountable" && name != "readOnlyMounter" {
		return name, nil
	}
	inner, _ = v.FieldByName("Mountable").Interface().(mountable)
	return name, inner
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
