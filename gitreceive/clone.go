package gitreceive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"paas/platform"
)

// Copy implements a part of platform.Sources: the copy is made aside and moved to its place whole. Objects are never
// changed, so both repositories have the same files. It waits for a push that is at the original.
func (r *Repos) Copy(ctx context.Context, from, to platform.App) error {
	leave, err := r.lane(from).enter(ctx, "the copying of "+string(from.Name)+"'s repository", nil)
	if err != nil {
		return err
	}
	defer leave()
	if _, err := os.Stat(r.path(from)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	q, err := r.quarantine()
	if err != nil {
		return err
	}
	defer q.remove()
	fresh := filepath.Join(q.dir, "fresh.git")
	err = copyTree(r.path(from), fresh)
	if err == nil {
		err = syncAll(fresh)
	}
	if err == nil {
		err = os.Rename(fresh, r.path(to))
	}
	if err != nil {
		return fmt.Errorf("copy the repository of %s to %s: %w", from.Name, to.Name, err)
	}
	return syncDir(r.dir)
}

// copyTree copies a repository's directories and files; those of objects become further names.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, from)
		switch {
		case d.IsDir():
			return os.MkdirAll(to+name, 0o755)
		case !d.Type().IsRegular():
			return nil
		case strings.HasPrefix(name, "/objects/"):
			return os.Link(path, to+name)
		}
		return copyFile(path, to+name)
	})
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
