// Package quota bounds what a directory tree may take of its file system, by project quotas: every inode
// below the directory has the directory's project id, and the kernel counts and limits per id. It needs
// ext4 made with the features quota and project (Linux 4.5) or XFS, mounted with the option prjquota, and
// a kernel with quotas for it.
package quota

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrUnsupported is wrapped by errors that say that the file system has no project quotas.
var ErrUnsupported = errors.New("the file system has no project quotas")

// Project is a project id.
type Project uint32

// Limits bounds a project. Zero means no bound.
type Limits struct {
	Bytes int64 // on the disk; rounded up to 1 KiB
	Files int64 // inodes
}

// Usage is what a project takes, and its bounds.
type Usage struct {
	Bytes, Files int64
	Limits       Limits
}

// ownProjects is where the ids of Of begin, far above those that people number by hand in /etc/projects.
const ownProjects = 1 << 30

// Of is the project id for a directory: made of its inode's number, so that no allocation has to be
// remembered, and its own on file systems whose numbers have at most 30 bits.
func Of(dir string) (Project, error) {
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return 0, &os.PathError{Op: "stat", Path: dir, Err: err}
	}
	return Project(ownProjects | st.Ino&(ownProjects-1)), nil //nolint:gosec // that is the range
}

// In is the project that Set put a directory into; false if it did not.
func In(dir string) (Project, bool) {
	f, err := os.Open(dir)
	if err != nil {
		return 0, false
	}
	defer func() { _ = f.Close() }()
	var attr fsxattr
	if err := ioctl(f, getFSXAttr, &attr); err != nil {
		return 0, false
	}
	return Project(attr.project), attr.project >= ownProjects
}

// Set puts a directory, the directories and files in it, and all that will be made there into a project
// with limits. Nobody else may write to it meanwhile. Whoever reaches a limit gets EDQUOT.
func Set(dir string, p Project, l Limits) error {
	if err := set(dir, p, l); err != nil {
		return fmt.Errorf("set disk quota of %s: %w", dir, err)
	}
	return nil
}

func set(dir string, p Project, l Limits) error {
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := enforced(f); err != nil {
		return err
	}
	if err := l.write(f, p); err != nil {
		return err
	}
	return joinAll(dir, p)
}

func joinAll(dir string, p Project) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() && !d.Type().IsRegular() { // the others cannot be opened for it
			return err
		}
		f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
		if err != nil {
			return err
		}
		return errors.Join(join(f, p), f.Close())
	})
}

// Clear takes a project's limits away. dir is any directory of the file system. Do it when the project's
// files are gone: the file system then forgets the id.
func Clear(dir string, p Project) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("clear disk quota: %w", err)
	}
	defer func() { _ = f.Close() }()
	if err := (Limits{}).write(f, p); err != nil {
		return fmt.Errorf("clear disk quota: %w", err)
	}
	return nil
}

// Used tells what a project takes. dir is any directory of the file system.
func Used(dir string, p Project) (Usage, error) {
	f, err := os.Open(dir)
	if err != nil {
		return Usage{}, fmt.Errorf("read disk quota: %w", err)
	}
	defer func() { _ = f.Close() }()
	var d dqblk
	if err := d.call(f, getQuota, p); err != nil {
		return Usage{}, fmt.Errorf("read disk quota of project %d: %w", p, err)
	}
	return Usage{
		Bytes: int64(d.curSpace), Files: int64(d.curInodes), //nolint:gosec // no disk has 8 EiB
		Limits: Limits{Bytes: int64(d.hardBlocks) * blockBytes, Files: int64(d.hardInodes)}, //nolint:gosec // ours
	}, nil
}

// Probe tells whether limits are kept on dir's file system, and if not why, as the end of a sentence.
func Probe(dir string) (supported bool, why string) {
	f, err := os.Open(dir)
	if err != nil {
		return false, err.Error()
	}
	defer func() { _ = f.Close() }()
	if err := enforced(f); err != nil {
		return false, err.Error()
	}
	return true, ""
}
