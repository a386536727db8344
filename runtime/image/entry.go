package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// create makes what the header says under a free name of a directory.
func (x *extraction) create(dir int, name string, h *tar.Header, content io.Reader) error {
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		return x.createFile(dir, name, h, content)
	case tar.TypeSymlink:
		return createSymlink(dir, name, h)
	case tar.TypeFifo:
		return createFIFO(dir, name, h)
	case tar.TypeBlock, tar.TypeChar:
		return errors.New("device nodes are refused")
	}
	return fmt.Errorf("entries of type %q are refused", h.Typeflag)
}

func (x *extraction) createFile(dir int, name string, h *tar.Header, content io.Reader) error {
	fd, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	err = x.copyContent(f, content)
	if err == nil {
		err = setOwnerAndMode(fd, h)
	}
	if err == nil {
		err = setTime(fd, h.ModTime)
	}
	return errors.Join(err, f.Close())
}

func createSymlink(dir int, name string, h *tar.Header) error {
	if err := unix.Symlinkat(h.Linkname, dir, name); err != nil {
		return err
	}
	return setOwnerAndTimeAt(dir, name, h)
}

func createFIFO(dir int, name string, h *tar.Header) error {
	if err := unix.Mknodat(dir, name, unix.S_IFIFO, 0); err != nil {
		return err
	}
	if err := setOwnerAndTimeAt(dir, name, h); err != nil {
		return err
	}
	return unix.Fchmodat(dir, name, modeBits(h), 0) // it is no symlink: made above, in a directory of ours
}

func setOwnerAndTimeAt(dir int, name string, h *tar.Header) error {
	if err := checkOwner(h); err != nil {
		return err
	}
	if err := unix.Fchownat(dir, name, h.Uid, h.Gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	return setTimeAt(dir, name, h.ModTime, unix.AT_SYMLINK_NOFOLLOW)
}

// setOwnerAndMode also sets the extended attributes. The order matters: chown clears setuid bits and
// file capabilities.
func setOwnerAndMode(fd int, h *tar.Header) error {
	if err := checkOwner(h); err != nil {
		return err
	}
	if err := unix.Fchown(fd, h.Uid, h.Gid); err != nil {
		return fmt.Errorf("set owner: %w", err)
	}
	if err := unix.Fchmod(fd, modeBits(h)); err != nil {
		return fmt.Errorf("set mode: %w", err)
	}
	for record, value := range h.PAXRecords {
		attr, isAttr := strings.CutPrefix(record, attrRecord)
		if isAttr && strings.HasPrefix(attr, "trusted.") {
			return fmt.Errorf("the attribute %q is refused", attr)
		}
		if !isAttr || !keptAttr(attr) {
			continue
		}
		if err := unix.Fsetxattr(fd, attr, []byte(value), 0); err != nil {
			return fmt.Errorf("set attribute %s: %w", attr, err)
		}
	}
	return nil
}

// attrRecord is how archives name extended attributes (star's PAX records, taken up by the OCI spec).
const attrRecord = "SCHILY.xattr."

// keptAttr leaves out what means nothing on another host (security labels, ACLs) and overlayfs's user.*
// names. The names that steer overlayfs, trusted.*, are refused before.
func keptAttr(name string) bool {
	return name == "security.capability" || strings.HasPrefix(name, "user.") && !strings.HasPrefix(name, "user.overlay.")
}

// checkOwner refuses what chown would take for "leave it" or cut off.
func checkOwner(h *tar.Header) error {
	if h.Uid < 0 || h.Gid < 0 || h.Uid >= math.MaxUint32 || h.Gid >= math.MaxUint32 {
		return fmt.Errorf("owner %d:%d is out of range", h.Uid, h.Gid)
	}
	return nil
}

func modeBits(h *tar.Header) uint32 { return uint32(h.Mode) & 0o7777 }
