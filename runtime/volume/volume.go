// Package volume keeps the directories of volumes: <dir>/<id>/data, of which data is what containers see. What is in
// it is hostile: nothing here follows a symlink below data.
package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"paas/runtime/quota"
)

// Area is a directory of volumes. It implements platform.Volumes.
type Area struct {
	dir    string
	shared func() (why string, err error) // why volumes have their app's ids; "" when mounts map ids
}

// Open makes the directory if it is missing. reduced tells why mounts do not map ids, "" when they do.
func Open(dir string, reduced func() (string, error)) (*Area, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open volumes: %w", err)
	}
	return &Area{dir: dir, shared: reduced}, nil
}

func (a *Area) home(id int64) string { return filepath.Join(a.dir, strconv.FormatInt(id, 10)) }

// Path implements platform.Volumes.
func (a *Area) Path(id int64) string { return filepath.Join(a.home(id), "data") }

// Make implements platform.Volumes.
func (a *Area) Make(id, size int64) error {
	err := os.MkdirAll(a.home(id), 0o700)
	if err == nil {
		err = os.Mkdir(a.Path(id), 0o755)
	}
	if err == nil {
		err = os.Chmod(a.Path(id), 0o755) // whatever the umask
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make volume %d: %w", id, err)
	}
	if err := a.bound(id, size); err != nil {
		return fmt.Errorf("bound volume %d: %w", id, err)
	}
	return nil
}

// bound sets the quota. Files that are there already were made in the project, or before the volume had a bound: then
// all of them are put into it.
func (a *Area) bound(id, size int64) error {
	project, member := quota.In(a.Path(id))
	if member {
		return quota.Change(a.dir, project, quota.Limits{Bytes: size})
	}
	if size == 0 {
		return nil
	}
	project, err := quota.Of(a.Path(id))
	if err != nil {
		return err
	}
	err = quota.Set(a.Path(id), project, quota.Limits{Bytes: size})
	if errors.Is(err, quota.ErrUnsupported) {
		return nil
	}
	return err
}

// Used implements platform.Volumes. Files with several names count once.
func (a *Area) Used(ctx context.Context, id int64) (sum int64, err error) {
	if project, member := quota.In(a.Path(id)); member {
		u, err := quota.Used(a.dir, project)
		return u.Bytes, err
	}
	seen := map[uint64]bool{}
	err = filepath.WalkDir(a.Path(id), func(_ string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return nil //nolint:nilerr // it has vanished
		}
		info, err := d.Info()
		if err != nil {
			return nil //nolint:nilerr // it has vanished
		}
		st := info.Sys().(*syscall.Stat_t)
		if !seen[st.Ino] {
			seen[st.Ino] = true
			sum += st.Blocks * 512
		}
		return nil
	})
	if err != nil {
		return sum, fmt.Errorf("measure volume %d: %w", id, err)
	}
	return sum, nil
}

// Remove implements platform.Volumes. The directory is moved aside first: after a crash nothing of it is found again.
func (a *Area) Remove(id int64) error {
	project, member := quota.In(a.Path(id))
	gone := filepath.Join(a.dir, "removed-"+strconv.FormatInt(id, 10))
	err := os.Rename(a.home(id), gone)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove volume %d: %w", id, err)
	}
	if err := os.RemoveAll(gone); err != nil {
		return fmt.Errorf("remove volume %d: %w", id, err)
	}
	if member {
		return quota.Clear(a.dir, project)
	}
	return nil
}

// Bounded implements platform.Volumes.
func (a *Area) Bounded() (ok bool, why string) { return quota.Probe(a.dir) }

// Sharable implements platform.Volumes.
func (a *Area) Sharable() (ok bool, why string) {
	why, err := a.shared()
	if err != nil {
		why = err.Error()
	}
	return why == "", why
}
