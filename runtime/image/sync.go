package image

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// fewFiles is up to how many entries are synced one by one. Syncing the whole file system is one call,
// but it waits for everybody's dirty pages.
const fewFiles = 32

var errMany = errors.New("many files")

// syncTree puts a tree on the disk: afterwards a power cut loses neither names nor contents of it.
func syncTree(root string) error {
	paths, err := fewPaths(root)
	if errors.Is(err, errMany) {
		return syncFS(root)
	}
	if err != nil {
		return err
	}
	// At the same time, so that one journal commit serves all of them.
	var g errgroup.Group
	for _, path := range paths {
		g.Go(func() error { return syncPath(path) })
	}
	return g.Wait()
}

// fewPaths lists the directories and regular files of a tree, or fails with errMany. Symlinks and
// device nodes live in their directory's and their own inode's journal transaction, which the
// directory's fsync commits.
func fewPaths(root string) ([]string, error) {
	var paths []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() || d.Type().IsRegular() {
			paths = append(paths, path)
		}
		if len(paths) > fewFiles {
			return errMany
		}
		return nil
	})
	return paths, err
}

func syncPath(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func syncFS(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(os.NewSyscallError("syncfs", unix.Syncfs(int(f.Fd()))), f.Close())
}
