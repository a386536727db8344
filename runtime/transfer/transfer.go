// Package transfer moves files between the host and a container that runs meanwhile and may be hostile.
//
// Every name is looked up by openat2(2) from a descriptor of the container's root, which it cannot leave:
// neither by "..", nor by a symlink that appears between two calls, nor by a magic link of /proc
// (CVE-2018-15664, CVE-2019-14271). What a name stands for is decided on a descriptor that is already
// open, never by a second look-up. No program of the container runs for it.
package transfer

import (
	"errors"
	"fmt"
	"os"
	"path"
	"runtime"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
	"paas/platform"
)

// IDs is the range of user and group ids of a container: 0 inside is Base outside.
type IDs struct{ Base, Size uint32 }

// nobody is what Linux shows for an id that has no mapping (user_namespaces(7)).
const nobody = 65534

func (r IDs) inside(outside uint32) int {
	if outside < r.Base || outside-r.Base >= r.Size {
		return nobody
	}
	return int(outside - r.Base)
}

func (r IDs) outside(inside int) (int, error) {
	if inside < 0 || uint32(inside) >= r.Size {
		return 0, platform.Errorf(platform.Failed, "an entry belongs to id %d, which does not exist in a container", inside)
	}
	return int(r.Base) + inside, nil
}

// maxDepth bounds how deep directories may nest: each level costs a descriptor.
const maxDepth = 256

// lookUp opens a path inside as the container would see it, following symlinks there.
func lookUp(root *os.File, name string, flags uint64) (*os.File, error) {
	how := unix.OpenHow{
		Flags: flags | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	}
	clean := path.Clean("/" + name)
	fd, err := retry(func() (int, error) { return unix.Openat2(int(root.Fd()), clean, &how) })
	switch {
	case errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENAMETOOLONG):
		return nil, platform.Errorf(platform.NotFound, "there is no %s in the instance", clean)
	case errors.Is(err, unix.ENOTDIR):
		return nil, platform.Errorf(platform.NotFound, "%s in the instance is not a directory", clean)
	case errors.Is(err, unix.ELOOP): // a circle of links, or one that only a process of the container could follow
		return nil, platform.Errorf(platform.Denied, "%s leads through links that are not followed", clean).
			WithHint("name the place itself, as the app's own processes see it")
	case err != nil:
		return nil, fmt.Errorf("open %s: %w", clean, err)
	}
	return os.NewFile(uintptr(fd), clean), nil
}

// below opens a name under a directory and follows nothing on the way, nor at its end.
func below(dir *os.File, name string, flags uint64) (*os.File, error) {
	how := unix.OpenHow{
		Flags:   flags | unix.O_CLOEXEC | unix.O_NOFOLLOW,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	fd, err := retry(func() (int, error) { return unix.Openat2(int(dir.Fd()), name, &how) })
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// retry repeats openat2(2), which says EAGAIN when something was renamed while it looked.
func retry(open func() (int, error)) (fd int, err error) {
	for range 100 {
		if fd, err = open(); err != unix.EAGAIN && err != unix.EINTR {
			return fd, err
		}
	}
	return fd, err
}

// reopen opens for reading what an O_PATH descriptor already stands for.
func reopen(f *os.File) (*os.File, error) {
	fd, err := unix.Open("/proc/self/fd/"+strconv.Itoa(int(f.Fd())), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: f.Name(), Err: err}
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

func stat(f *os.File) (unix.Stat_t, error) {
	var st unix.Stat_t
	err := unix.Fstat(int(f.Fd()), &st)
	return st, err
}

// isSystem tells the kernel's own file systems: what the daemon, being the host's root, reads or writes
// there is not what the container could.
func isSystem(f *os.File) (bool, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return false, err
	}
	return slices.Contains([]int64{
		unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC,
		unix.DEVPTS_SUPER_MAGIC, unix.DEBUGFS_MAGIC, unix.TRACEFS_MAGIC, unix.SECURITYFS_MAGIC, unix.BPF_FS_MAGIC,
	}, st.Type), nil
}

func refuseSystem(f *os.File) error {
	system, err := isSystem(f)
	if err == nil && system {
		return platform.Errorf(platform.Denied, "%s is the kernel's, nothing is copied there or from there", f.Name()).
			WithHint("name a directory of the app's own, like /app")
	}
	return err
}

func kind(st *unix.Stat_t) uint32 { return st.Mode & unix.S_IFMT }

// asOwner runs f on a thread of its own whose files belong to the container's root. Leaving fsuid 0 drops
// capabilities that capset raises again (capabilities(7)); the thread ends with the goroutine.
func (r IDs) asOwner(f func() error) error {
	done := make(chan error)
	go func() { done <- r.lockedRun(f) }()
	return <-done
}

// lockedRun never unlocks its thread. The process's first one would be parked only, with all that was
// done to it: there it hands on to another one.
func (r IDs) lockedRun(f func() error) error {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		defer runtime.UnlockOSThread()
		return r.asOwner(f)
	}
	const ask = ^uintptr(0)
	for _, call := range []uintptr{unix.SYS_SETFSGID, unix.SYS_SETFSUID} {
		_, _, _ = unix.RawSyscall(call, uintptr(r.Base), 0, 0)
		if now, _, _ := unix.RawSyscall(call, ask, 0, 0); uint32(now) != r.Base {
			return fmt.Errorf("become the container's root: its id is %d", now)
		}
	}
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if err := unix.Capget(&head, &caps[0]); err != nil {
		return fmt.Errorf("become the container's root: %w", err)
	}
	caps[0].Effective, caps[1].Effective = caps[0].Permitted, caps[1].Permitted
	if err := unix.Capset(&head, &caps[0]); err != nil {
		return fmt.Errorf("become the container's root: %w", err)
	}
	return f()
}
