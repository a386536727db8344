package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	"paas/platform"
	"paas/runtime/image"
	"paas/runtime/transfer"
)

// CopyOut implements platform.Living.
func (r *Runtime) CopyOut(ctx context.Context, id platform.InstanceID, path string, w io.Writer) error {
	return r.inRoot(id, func(root *os.File, ids transfer.IDs) error {
		return transfer.Pack(ctx, root, path, ids, w)
	})
}

// CopyIn implements platform.Living.
func (r *Runtime) CopyIn(ctx context.Context, id platform.InstanceID, in platform.CopyIn, from io.Reader) error {
	return r.inRoot(id, func(root *os.File, ids transfer.IDs) error {
		return transfer.Unpack(ctx, root, in, ids, from)
	})
}

// inRoot lends f a descriptor of the root that the container sees, its mounts included.
func (r *Runtime) inRoot(id platform.InstanceID, f func(*os.File, transfer.IDs) error) error {
	c, err := r.alive(id)
	if err != nil {
		return err
	}
	root, ids, err := c.root()
	if err != nil {
		return fmt.Errorf("open the files of %s: %w", id, err)
	}
	defer func() { _ = root.Close() }()
	return f(root, ids)
}

// root opens the root directory of the container's init. A pid may be used again: that the init still
// runs is asked after it was opened.
func (c *container) root() (*os.File, transfer.IDs, error) {
	dir := "/proc/" + strconv.Itoa(c.init.pid)
	ids, err := mappedIDs(dir)
	if err != nil {
		return nil, ids, err
	}
	fd, err := unix.Open(dir+"/root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, ids, err
	}
	root := os.NewFile(uintptr(fd), "root")
	if c.init.over() {
		return nil, ids, errors.Join(platform.Errorf(platform.NotFound, "no instance %s is running", c.record.ID), root.Close())
	}
	return root, ids, nil
}

// mappedIDs reads the container's range of ids: "inside outside size" (user_namespaces(7)).
func mappedIDs(proc string) (transfer.IDs, error) {
	fields := strings.Fields(readControl(proc + "/uid_map"))
	if len(fields) != 3 {
		return transfer.IDs{}, fmt.Errorf("read the ids of the container: %q", fields)
	}
	base, err := strconv.ParseUint(fields[1], 10, 32)
	if err != nil {
		return transfer.IDs{}, err
	}
	size, err := strconv.ParseUint(fields[2], 10, 32)
	return transfer.IDs{Base: uint32(base), Size: uint32(size)}, err
}

// Changes implements platform.Living.
func (r *Runtime) Changes(_ context.Context, id platform.InstanceID, layers []string) ([]platform.Change, error) {
	c, err := r.alive(id)
	if err != nil {
		return nil, err
	}
	lower, err := r.merged(layers)
	if err != nil {
		return nil, fmt.Errorf("changes of %s: %w", id, err)
	}
	defer func() { _ = lower.Close() }()
	upper, err := c.openWrites()
	if err != nil {
		return nil, fmt.Errorf("changes of %s: %w", id, err)
	}
	defer func() { _ = upper.Close() }()
	skip, err := c.mountPoints()
	if err != nil {
		return nil, fmt.Errorf("changes of %s: %w", id, err)
	}
	return transfer.Changes(upper, lower, skip)
}

// merged is a read-only view of layers, one over the other, that is attached nowhere.
func (r *Runtime) merged(layers []string) (*os.File, error) {
	var m image.MountSpec
	for _, layer := range layers {
		if !r.options.Images.Has(layer) {
			return nil, platform.Errorf(platform.NotFound, "layer %s is not in the store", layer)
		}
		m.Lowers = append(m.Lowers, r.options.Images.Dir(layer))
	}
	return image.Overlay(m)
}

func (c *container) openWrites() (*os.File, error) {
	return os.Open(filepath.Join(c.writes, "fs"))
}

// mountPoints tells which paths of the root file system are covered: init may have made them, and the
// container can write nothing there, for it cannot unmount.
func (c *container) mountPoints() (func(path string) bool, error) {
	table, err := os.ReadFile("/proc/" + strconv.Itoa(c.init.pid) + "/mountinfo")
	if err != nil {
		return nil, err
	}
	points := map[string]bool{}
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); len(fields) > 4 {
			points[unescape(fields[4])] = true
		}
	}
	return func(path string) bool { return points[path] }, nil
}

// unescape undoes the kernel's spelling of blanks and backslashes in mount tables (fstab(5)).
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// Commit implements platform.Living.
func (r *Runtime) Commit(ctx context.Context, id platform.InstanceID) (layer string, err error) {
	c, err := r.alive(id)
	if err != nil {
		return "", err
	}
	skip, err := c.mountPoints()
	if err != nil {
		return "", fmt.Errorf("commit %s: %w", id, err)
	}
	thaw, err := c.holdStill()
	if err != nil {
		return "", fmt.Errorf("commit %s: %w", id, err)
	}
	layer, err = c.commit(ctx, skip)
	if err = errors.Join(err, thaw()); err != nil {
		return "", fmt.Errorf("commit %s: %w", id, err)
	}
	return layer, nil
}

func (c *container) commit(ctx context.Context, skip func(string) bool) (layer string, err error) {
	draft, err := c.runtime.options.Images.Draft()
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, draft.Discard()) }()
	upper, err := c.openWrites()
	if err != nil {
		return "", err
	}
	defer func() { _ = upper.Close() }()
	to, err := os.Open(draft.Dir)
	if err != nil {
		return "", err
	}
	defer func() { _ = to.Close() }()
	sum, err := transfer.Snapshot(ctx, upper, to, skip)
	if err != nil {
		return "", err
	}
	layer = "commit-" + sum[:40]
	return layer, draft.Commit(layer)
}
