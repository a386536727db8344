package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"paas/platform"
)

// Step runs a build step to its end; out gets what it writes to stdout and stderr. A status other than
// zero is no error. Ending ctx kills the step and gives ctx's error. The writes are in s.Upper, owners
// as seen inside; the overlay's work directory is "work" beside it, made if it is missing. Mount points
// that had to be made for binds are removed again if they are empty. A step that takes more than it may of
// disk, processes or time without output is killed: see Exit.Over.
func (r *Runtime) Step(ctx context.Context, s platform.StepSpec, out io.Writer) (platform.Exit, error) {
	o := &order{
		record: record{App: s.App, Group: buildsGroup, Passing: true},
		what:   fmt.Sprintf("step %s of %s", s.Name, s.App), host: hostName(s.Name),
		appID: s.AppID, layers: s.Layers, upper: s.Upper, argv: s.Argv, env: s.Env, dir: s.Dir,
		uid: s.UID, gid: s.GID, binds: s.Binds, mounts: s.Mounts, groups: s.Groups, exact: s.Exact, offline: s.Offline,
		limits: limitsOr(s.Limits, buildMemory, buildPIDs),
	}
	if err := errors.Join(o.check(), o.checkMounts()); err != nil {
		return platform.Exit{}, err
	}
	if !filepath.IsAbs(s.Upper) {
		return platform.Exit{}, fmt.Errorf("run %s: %q is not an absolute path", o.what, s.Upper)
	}
	w := r.watchStep(s)
	var err error
	if w.quota, err = boundStep(s); err != nil {
		return platform.Exit{}, fmt.Errorf("run %s: %w", o.what, err)
	}
	exit, err := r.watched(ctx, o, w, out)
	if err = errors.Join(err, w.quota.lift()); err != nil {
		return exit, err
	}
	return exit, r.settleOwners(o)
}

// watched runs the step, and says of what it took too much. Where the kernel refuses it more disk, the step itself
// ends as it likes.
func (r *Runtime) watched(ctx context.Context, o *order, w *stepWatch, out io.Writer) (platform.Exit, error) {
	streams, err := oneOutput(o)
	if err != nil {
		return platform.Exit{}, err
	}
	streams.copyOut(streams.ours[1], w.hearing(out))
	var over platform.Resource
	var used int64
	exit, err := r.runStreams(ctx, o, streams, (*container).kill, func(c *container) { over, used = w.run(ctx, c) })
	if over == "" && err == nil && exit.Code != 0 && w.quota != nil {
		if bytes, full := w.quota.wrote(); full {
			over, used = platform.DiskResource, bytes
		}
	}
	if over != "" {
		exit.Over, exit.Used = over, used
	}
	return exit, err
}

// settleOwners gives what a step wrote the owners that a layer has.
func (r *Runtime) settleOwners(o *order) error {
	ids, err := r.idMap(o.appID)
	if err != nil {
		return err
	}
	return r.options.Images.Unshift(o.upper, ids)
}

// oneOutput gives a container no input and one pipe for all its output.
func oneOutput(o *order) (*streams, error) {
	s, err := newStreams(o)
	if err != nil {
		return nil, err
	}
	_ = s.ours[0].Close()
	_ = s.ours[2].Close()
	_ = s.theirs[2].Close()
	s.ours[0], s.ours[2] = nil, nil
	if s.theirs[2], err = dup(s.theirs[1]); err != nil {
		s.handOver()
		s.close()
		return nil, err
	}
	return s, nil
}

// unmake removes the empty mount points that init made in a step's upper: they are no part of what the
// step wrote. os.Root keeps the paths, which the step could have changed to symlinks, below it.
func (c *container) unmake(o *order) error {
	if o.upper == "" || len(c.made) == 0 {
		return nil
	}
	upper, err := os.OpenRoot(o.upper)
	if err != nil {
		return err
	}
	defer func() { _ = upper.Close() }()
	for _, path := range slices.Backward(c.made) {
		err := removeEmpty(upper, path[1:])
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove mount point %s: %w", path, err)
		}
	}
	return nil
}

func removeEmpty(root *os.Root, path string) error {
	info, err := root.Lstat(path)
	if err != nil {
		return err
	}
	if info.Mode().IsRegular() && info.Size() > 0 {
		return nil
	}
	if info.IsDir() {
		if empty, err := isEmpty(root, path); !empty || err != nil {
			return err
		}
	}
	return root.Remove(path)
}

func isEmpty(root *os.Root, path string) (bool, error) {
	d, err := root.Open(path)
	if err != nil {
		return false, err
	}
	defer func() { _ = d.Close() }()
	names, err := d.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return len(names) == 0, err
}
