package image

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Adopt makes a directory that somebody else has filled a layer, by renaming it: dir must be on the store's
// file system and in a layer's form, nothing may write to it any more, and the name must be new. Unlike a
// Draft's Commit it does not wait for the disk: until Sync has returned, a power cut may leave the layer
// damaged, so no release may name it before that.
func (s *Store) Adopt(dir, layer string) error {
	if !layerName.MatchString(layer) {
		return fmt.Errorf("adopt layer %s: %w", layer, ErrLayerName)
	}
	if err := unix.Renameat2(unix.AT_FDCWD, dir, unix.AT_FDCWD, s.Dir(layer), unix.RENAME_NOREPLACE); err != nil {
		return fmt.Errorf("adopt layer %s: %w", layer, err)
	}
	return nil
}

// Sync puts all layers on the disk.
func (s *Store) Sync() error {
	if err := syncFS(s.dir); err != nil {
		return fmt.Errorf("sync content store: %w", err)
	}
	return nil
}

// Describe notes what made a layer, unless something is noted already.
func (s *Store) Describe(layer, text string) error {
	if !layerName.MatchString(layer) {
		return fmt.Errorf("describe layer %s: %w", layer, ErrLayerName)
	}
	return s.writeNote(layer, note{text: text})
}

// Below clones what a path of a detached mount names, symlinks leading where they lead with the mount as
// the root and never out of it. The result is a detached mount of its own. Before Linux 6.15 nothing below a
// detached mount can be cloned: it is attached for a moment, in a mount namespace of a thread.
func Below(mount *os.File, path string) (f *os.File, err error) {
	err = onOwnThread(func() error {
		if err := enterStage(); err != nil {
			return fmt.Errorf("make stage: %w", err)
		}
		if err := attach(mount, "m"); err != nil {
			return err
		}
		root, err := unix.Open("m", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return os.NewSyscallError("open", err)
		}
		defer func() { _ = unix.Close(root) }()
		f, err = cloneBelow(root, path)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("show %s: %w", path, err)
	}
	return f, nil
}

// BindBelow is Bind for what a path inside of a host directory names, looked up as Below does.
func BindBelow(dir, path string, readOnly bool, userns *os.File) (_ *os.File, err error) {
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer func() { _ = unix.Close(root) }()
	f, err := cloneBelow(root, path)
	if err != nil {
		return nil, fmt.Errorf("bind %s: %w", path, err)
	}
	attrs := uint64(unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV)
	if readOnly {
		attrs |= unix.MOUNT_ATTR_RDONLY
	}
	if err := setAttrs(f, attrs, userns); err != nil {
		return nil, errors.Join(fmt.Errorf("bind %s: %w", path, err), f.Close())
	}
	return f, nil
}

func cloneBelow(root int, path string) (*os.File, error) {
	at, err := unix.Openat2(root, path, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
	})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer func() { _ = unix.Close(at) }()
	fd, err := unix.OpenTree(at, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
	if err != nil {
		return nil, &os.PathError{Op: "open_tree", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}
