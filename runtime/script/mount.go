package script

import (
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Inert are the attributes of kernel file systems inside: nothing there is a program or a device.
const Inert = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC

// Close closes descriptors.
func (s *Script) Close(fds ...Arg) {
	for _, fd := range fds {
		s.Try("close", unix.SYS_CLOSE, fd)
	}
}

// NewMount makes a detached mount of a new file system (Linux 5.2); options are "key=value" or "key".
func (s *Script) NewMount(fstype string, attrs int, options ...string) Arg {
	return s.newMount(s.Do, fstype, attrs, options)
}

type caller func(doing string, call uintptr, args ...Arg) Arg

func (s *Script) newMount(do caller, fstype string, attrs int, options []string) Arg {
	fs := do("open file system "+fstype, unix.SYS_FSOPEN, s.String(fstype), N(unix.FSOPEN_CLOEXEC))
	for _, o := range options {
		key, value, hasValue := strings.Cut(o, "=")
		if hasValue {
			do("set "+o+" of "+fstype, unix.SYS_FSCONFIG, fs, N(unix.FSCONFIG_SET_STRING), s.String(key), s.String(value), N(0))
		} else {
			do("set "+o+" of "+fstype, unix.SYS_FSCONFIG, fs, N(unix.FSCONFIG_SET_FLAG), s.String(key), N(0), N(0))
		}
	}
	do("create "+fstype, unix.SYS_FSCONFIG, fs, N(unix.FSCONFIG_CMD_CREATE), N(0), N(0), N(0))
	m := do("mount "+fstype, unix.SYS_FSMOUNT, fs, N(unix.FSMOUNT_CLOEXEC), N(attrs))
	s.Close(fs)
	return m
}

// Attach moves a detached mount onto what target refers to.
func (s *Script) Attach(path string, mount, target Arg) {
	s.attach(s.Do, path, mount, target)
}

func (s *Script) attach(do caller, path string, mount, target Arg) {
	empty := s.String("")
	do("attach "+path, unix.SYS_MOVE_MOUNT, mount, empty, target, empty,
		N(unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH))
}

// System opens one of the directories a container needs. An image in which it is a symlink is refused.
func (s *Script) System(root Arg, path string) Arg {
	return s.Dir(root, path, unix.RESOLVE_NO_SYMLINKS)
}

// Mount attaches a new file system at a system directory.
func (s *Script) Mount(root Arg, path, fstype string, attrs int, options ...string) {
	s.AttachSystem(root, path, s.NewMount(fstype, attrs, options...))
}

// AttachSystem attaches a detached mount at a system directory.
func (s *Script) AttachSystem(root Arg, path string, mount Arg) {
	target := s.System(root, path)
	s.Attach(path, mount, target)
	s.Close(mount, target)
}

// TryMount is Mount for what a container can do without: the directory must be there.
func (s *Script) TryMount(root Arg, path, fstype string, attrs int, options ...string) {
	m := s.newMount(s.Try, fstype, attrs, options)
	target := s.TryOpen(root, path, unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_NO_SYMLINKS)
	s.attach(s.Try, path, m, target)
	s.Close(m, target)
}

// AttachFile attaches a mount of a file at a path, making the file if it is missing.
func (s *Script) AttachFile(root Arg, path string, mount Arg) {
	target := s.File(root, path)
	s.Attach(path, mount, target)
	s.Close(mount, target)
}

// AttachDir attaches a mount of a directory at a path, making the directory if it is missing.
func (s *Script) AttachDir(root Arg, path string, mount Arg) {
	target := s.Dir(root, path, 0)
	s.Attach(path, mount, target)
	s.Close(mount, target)
}

// CloneMount makes a detached copy of the mount at path below dir, of its submounts with AT_RECURSIVE.
func (s *Script) CloneMount(dir Arg, path string, flags int) Arg {
	return s.Do("clone "+path, unix.SYS_OPEN_TREE, dir, s.String(path), N(unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|flags))
}

// SetAttr changes a mount: MOUNT_ATTR_… flags and a propagation (MS_PRIVATE…, 0: leave it).
func (s *Script) SetAttr(path string, mount Arg, set, clear, propagation int, flags int) {
	s.setAttr(s.Do, path, mount, unix.MountAttr{Attr_set: uint64(set), Attr_clr: uint64(clear), Propagation: uint64(propagation)}, flags)
}

func (s *Script) setAttr(do caller, path string, mount Arg, attr unix.MountAttr, flags int) {
	b := unsafe.Slice((*byte)(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	do("restrict "+path, unix.SYS_MOUNT_SETATTR, mount, s.String(""), N(unix.AT_EMPTY_PATH|flags), s.Bytes(b), N(unsafe.Sizeof(attr)))
}

// Mask hides paths: files behind null and directories behind empty, both open with O_PATH. Paths that are not
// there are passed over.
func (s *Script) Mask(root, null, empty Arg, paths []string) {
	for _, path := range paths {
		target := s.openIfThere(root, path)
		s.UnlessNegative(target, func() { s.maskOne(path, null, empty, target) })
	}
}

// openIfThere opens what shall be covered. That it is not there is fine; that it is a symlink, or anything
// else that keeps it open to the container, ends the script.
func (s *Script) openIfThere(root Arg, path string) Arg {
	target := s.TryOpen(root, path, unix.O_PATH|unix.O_NOFOLLOW, unix.RESOLVE_NO_SYMLINKS)
	s.add("open "+path, builtinUnlessAbsent, 0, []Arg{target})
	return target
}

func (s *Script) maskOne(path string, null, empty, target Arg) {
	dir := s.IsDir(path, target)
	s.UnlessZero(dir, func() {
		cover := s.CloneMount(empty, "", unix.AT_EMPTY_PATH)
		s.SetAttr(path, cover, Inert|unix.MOUNT_ATTR_RDONLY, 0, 0, 0)
		s.Attach(path, cover, target)
		s.Close(cover)
	})
	file := s.IsFile(path, target)
	s.UnlessZero(file, func() {
		cover := s.CloneMount(null, "", unix.AT_EMPTY_PATH)
		s.Attach(path, cover, target)
		s.Close(cover)
	})
	s.Close(target)
}

// ReadOnly puts a read-only bind of each path over it. Paths that are not there are passed over.
func (s *Script) ReadOnly(root Arg, paths []string) {
	for _, path := range paths {
		target := s.openIfThere(root, path)
		s.UnlessNegative(target, func() {
			clone := s.CloneMount(target, "", unix.AT_EMPTY_PATH)
			s.SetAttr(path, clone, Inert|unix.MOUNT_ATTR_RDONLY, 0, 0, 0)
			s.Attach(path, clone, target)
			s.Close(clone, target)
		})
	}
}

// Pivot makes root the root and drops everything of the host. Both are ".", so that no directory for
// the old root is needed (pivot_root(2), notes). root must be attached somewhere.
func (s *Script) Pivot(root Arg) {
	dot, slash := s.String("."), s.String("/")
	s.Do("enter the root file system", unix.SYS_FCHDIR, root)
	s.Do("pivot_root", unix.SYS_PIVOT_ROOT, dot, dot)
	s.Do("drop the host's file system", unix.SYS_UMOUNT2, dot, N(unix.MNT_DETACH))
	s.Do("enter /", unix.SYS_CHDIR, slash)
}

// TryWrite writes text into a file below root, if it can.
func (s *Script) TryWrite(root Arg, path, text string) {
	fd := s.TryOpen(root, path, unix.O_WRONLY, unix.RESOLVE_NO_SYMLINKS)
	s.UnlessNegative(fd, func() {
		s.Try("write "+path, unix.SYS_WRITE, fd, s.String(text), N(len(text)))
		s.Close(fd)
	})
}
