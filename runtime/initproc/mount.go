package initproc

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// The flags of kernel file systems inside: nothing there is a program or a device.
const inert = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC

// newMount makes a detached mount of a new file system (kernel 5.2). The caller closes it.
func newMount(fstype string, attrs int, options ...string) (int, error) {
	fs, err := unix.Fsopen(fstype, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return None, fail("open file system "+fstype, err)
	}
	defer func() { _ = unix.Close(fs) }()
	for _, o := range options {
		key, value, _ := strings.Cut(o, "=")
		if err := setOption(fs, key, value); err != nil {
			return None, fail("set "+o+" of "+fstype, err)
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return None, fail("create "+fstype, err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attrs)
	return fd, fail("mount "+fstype, err)
}

func setOption(fs int, key, value string) error {
	if value == "" {
		return unix.FsconfigSetFlag(fs, key)
	}
	return unix.FsconfigSetString(fs, key, value)
}

// attach moves the detached mount onto what target refers to.
func attach(mount, target int) error {
	return unix.MoveMount(mount, "", target, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

// tree is a directory whose paths are looked up as if it were the root: no symlink and no ".." in an
// image leads out of it. Every mount point is reached by a descriptor that was got here, never twice by path.
type tree struct {
	fd   int
	made *[]string // mount points that were created
}

func (t tree) open(path string, flags, resolve uint64) (int, error) {
	how := unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS | resolve}
	// EAGAIN: something was mounted or renamed anywhere on the machine while the kernel followed a "..",
	// so it cannot tell whether that led out (openat2(2)). Hosts that start many containers do that a lot.
	for range openTries {
		fd, err := unix.Openat2(t.fd, path, &how)
		if err != unix.EAGAIN && err != unix.EINTR {
			return fd, fail("open "+path, err)
		}
	}
	return None, fail("open "+path, unix.EAGAIN)
}

const openTries = 10_000

// system opens one of the directories a container needs. An image in which it is a symlink is refused.
func (t tree) system(path string) (int, error) {
	return t.directory(path, unix.RESOLVE_NO_SYMLINKS)
}

// directory opens a directory and creates what is missing of it, with mode 0755.
func (t tree) directory(path string, resolve uint64) (int, error) {
	fd, err := t.open(path, unix.O_PATH|unix.O_DIRECTORY, resolve)
	if !isErrno(err, unix.ENOENT) {
		return fd, err
	}
	parent, name := split(path)
	dir, err := t.directory(parent, resolve)
	if err != nil {
		return None, err
	}
	defer func() { _ = unix.Close(dir) }()
	if err := unix.Mkdirat(dir, name, 0o755); err != nil {
		return None, fail("create directory "+path, err)
	}
	*t.made = append(*t.made, path)
	return t.open(path, unix.O_PATH|unix.O_DIRECTORY, resolve)
}

// file opens a file as a mount point and creates it if it is missing. A symlink that leads nowhere is
// replaced: images ship /etc/resolv.conf as one.
func (t tree) file(path string) (int, error) {
	fd, err := t.open(path, unix.O_PATH, 0)
	if !isErrno(err, unix.ENOENT) {
		return fd, err
	}
	parent, name := split(path)
	dir, err := t.directory(parent, 0)
	if err != nil {
		return None, err
	}
	defer func() { _ = unix.Close(dir) }()
	_ = unix.Unlinkat(dir, name, 0)
	fd, err = unix.Openat(dir, name, unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_WRONLY|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return None, fail("create file "+path, err)
	}
	_ = unix.Close(fd)
	*t.made = append(*t.made, path)
	return t.open(path, unix.O_PATH, 0)
}

// mount attaches a new file system at a system directory.
func (t tree) mount(path, fstype string, attrs int, options ...string) error {
	m, err := newMount(fstype, attrs, options...)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(m) }()
	target, err := t.system(path)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(target) }()
	return fail("attach "+path, attach(m, target))
}

// split cuts an absolute path into its parent and its last part.
func split(path string) (parent, name string) {
	i := strings.LastIndexByte(path, '/')
	if i <= 0 {
		return "/", path[i+1:]
	}
	return path[:i], path[i+1:]
}

// failure says what was being done when a system call failed.
type failure struct {
	doing string
	cause error
}

func (f *failure) Error() string { return f.doing + ": " + f.cause.Error() }
func (f *failure) Unwrap() error { return f.cause }

// fail is nil when err is.
func fail(doing string, err error) error {
	if err == nil {
		return nil
	}
	return &failure{doing, err}
}

// isErrno tells whether err is a failure caused by errno.
func isErrno(err error, errno unix.Errno) bool { return errnoOf(err) == errno }

func errnoOf(err error) unix.Errno {
	for err != nil {
		switch e := err.(type) {
		case unix.Errno:
			return e
		case *failure:
			err = e.cause
		case *os.SyscallError:
			err = e.Err
		default:
			return 0
		}
	}
	return 0
}
