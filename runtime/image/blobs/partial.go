package blobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"paas/platform"
)

// Partial opens what an earlier download of a blob has left, to read and to add to, and tells its size.
// It is locked until closed: a second download of the same blob gets an error. Collect removes it when
// nobody adds to it for Grace.
func (a *Area) Partial(d digest.Digest) (*os.File, int64, error) {
	path := filepath.Join(a.dir, "uploads", "partial-"+fileName(d))
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, 0, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, size, nil
}

// Spool writes a stream to a file without a name, at most MaxBlob bytes; closing it frees the space.
func (a *Area) Spool(ctx context.Context, in io.Reader) (*os.File, error) {
	f, err := os.CreateTemp(filepath.Join(a.dir, "uploads"), "spool-")
	if err != nil {
		return nil, fmt.Errorf("make spool file: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	n, err := io.Copy(&roomy{ctx: ctx, dst: f, area: a}, io.LimitReader(in, MaxBlob+1))
	if err == nil && n > MaxBlob {
		err = platform.Errorf(platform.Failed, "an archive has at most %d GiB", MaxBlob>>30)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
