package dockerfile

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/moby/buildkit/snapshot"
)

// again lets what is written to be mounted more than once: BuildKit does so for a COPY of several sources, one
// after the other, with the mount as it was described the first time.
type again struct{ snapshot.Snapshotter }

// Mounts implements BuildKit's Snapshotter.
func (a again) Mounts(ctx context.Context, key string) (snapshot.Mountable, error) {
	m, err := a.Snapshotter.Mounts(ctx, key)
	if err != nil {
		return nil, err
	}
	return remountable{m}, nil
}

type remountable struct{ snapshot.Mountable }

// Mount implements BuildKit's Mountable.
func (r remountable) Mount() ([]mount.Mount, func() error, error) {
	mounts, release, err := r.Mountable.Mount()
	for _, m := range mounts {
		forgetVolatile(m)
	}
	return mounts, release, err
}

// forgetVolatile removes the mark that a volatile mount leaves, and with which the kernel mounts no second time
// (Documentation/filesystems/overlayfs.rst, "Volatile mount").
func forgetVolatile(m mount.Mount) {
	for _, o := range m.Options {
		if work, ok := strings.CutPrefix(o, "workdir="); ok {
			_ = os.RemoveAll(filepath.Join(work, "work", "incompat")) // the mount says so if it stays
		}
	}
}
