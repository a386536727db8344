package runtime

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"paas/platform"
	"paas/runtime/image"
	"paas/runtime/transfer"
)

// RunLayer implements platform.Layering. The job writes into a draft, which a crash leaves to the content store.
func (r *Runtime) RunLayer(ctx context.Context, job platform.JobSpec, out io.Writer) (layer string, exit platform.Exit, err error) {
	o, err := orderOf(job.InstanceSpec, jobsGroup)
	if err != nil {
		return "", exit, err
	}
	writes, err := r.options.Images.Draft()
	if err != nil {
		return "", exit, err
	}
	defer func() { err = errors.Join(err, writes.Discard()) }()
	o.record.Passing, o.upper = true, writes.Dir
	s, err := oneOutput(o)
	if err != nil {
		return "", exit, err
	}
	s.copyOut(s.ours[1], out)
	var made []string
	exit, err = r.runStreams(ctx, o, s, hangUp, func(c *container) { made = c.made })
	if err == nil {
		err = tidyParents(writes.Dir, made)
	}
	if err != nil || exit.Code != 0 || untouched(writes.Dir) {
		return "", exit, err
	}
	if err := r.settleOwners(o); err != nil {
		return "", exit, err
	}
	layer, err = r.layerOf(ctx, writes)
	if err != nil {
		return "", exit, fmt.Errorf("keep what %s wrote: %w", o.what, err)
	}
	return layer, exit, nil
}

// tidyParents removes the directories that have come into the writes only because a mount point was made in them, and
// taken away again. os.Root keeps the paths below the directory, whatever the job made of them.
func tidyParents(dir string, made []string) error {
	if len(made) == 0 {
		return nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	for _, point := range made {
		parent := path.Dir(point)[1:]
		if info, err := root.Lstat(parent); parent == "" || err != nil || !info.IsDir() {
			continue
		}
		if empty, err := isEmpty(root, parent); err == nil && empty {
			err = root.Remove(parent)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// layerOf makes a layer of what was written that is called after its content.
func (r *Runtime) layerOf(ctx context.Context, writes *image.Draft) (layer string, err error) {
	draft, err := r.options.Images.Draft()
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, draft.Discard()) }()
	from, err := os.Open(writes.Dir)
	if err != nil {
		return "", err
	}
	defer func() { _ = from.Close() }()
	to, err := os.Open(draft.Dir)
	if err != nil {
		return "", err
	}
	defer func() { _ = to.Close() }()
	sum, err := transfer.Snapshot(ctx, from, to, func(string) bool { return false })
	if err != nil {
		return "", err
	}
	if sum == hex.EncodeToString(sha256.New().Sum(nil)) {
		return "", nil // nothing: the kernel has left marks of its own
	}
	draft.Note = "what a predeploy script wrote"
	layer = "predeploy-" + sum[:40]
	return layer, draft.Commit(layer)
}
