package quota

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The kernel's interface: linux/fs.h for project ids, linux/quota.h and linux/dqblk_xfs.h for limits.

// fsxattr is struct fsxattr.
type fsxattr struct {
	flags, extentSize, extents, project, cowExtentSize uint32
	_                                                  [8]byte
}

const (
	getFSXAttr  = 0x801c581f // FS_IOC_FSGETXATTR
	setFSXAttr  = 0x401c5820 // FS_IOC_FSSETXATTR
	inheritFlag = 0x200      // FS_XFLAG_PROJINHERIT: what is made inside joins the project
)

// join gives a directory or file its project id.
func join(f *os.File, p Project) error {
	var attr fsxattr
	if err := ioctl(f, getFSXAttr, &attr); err != nil {
		return err
	}
	if fi, err := f.Stat(); err == nil && fi.IsDir() {
		attr.flags |= inheritFlag
	}
	attr.project = uint32(p)
	return ioctl(f, setFSXAttr, &attr)
}

func ioctl(f *os.File, request uintptr, attr *fsxattr) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request, uintptr(unsafe.Pointer(attr)))
	if errno != 0 {
		return fmt.Errorf("%w: project ids: %w", ErrUnsupported, errno)
	}
	return nil
}

// dqblk is struct if_dqblk.
type dqblk struct {
	hardBlocks, softBlocks, curSpace  uint64
	hardInodes, softInodes, curInodes uint64
	blockTime, inodeTime              uint64
	valid                             uint32
	_                                 uint32
}

const (
	blockBytes     = 1 << 10 // QIF_DQBLKSIZE
	projectType    = 2       // PRJQUOTA
	getQuota       = 0x800007
	setQuota       = 0x800008
	limitsValid    = 1 | 4 // QIF_BLIMITS, QIF_ILIMITS
	getState       = 'X'<<8 | 5
	stateBytes     = 128    // more than struct fs_quota_stat
	stateFlags     = 2      // where its qs_flags are
	projectsLimits = 1 << 5 // FS_QUOTA_PDQ_ENFD
)

// write sets a project's limits.
func (l Limits) write(f *os.File, p Project) error {
	blocks := (l.Bytes + blockBytes - 1) / blockBytes
	d := dqblk{
		hardBlocks: uint64(max(blocks, 0)), hardInodes: uint64(max(l.Files, 0)), //nolint:gosec // not negative
		valid: limitsValid,
	}
	return d.call(f, setQuota, p)
}

func (d *dqblk) call(f *os.File, command int, p Project) error {
	return quotactl(f, command, p, unsafe.Pointer(d))
}

// enforced fails unless the file system keeps projects' limits. Counting alone (ext4 mounted without the
// option prjquota) is not enough.
func enforced(f *os.File) error {
	var state [stateBytes]byte
	if err := quotactl(f, getState, 0, unsafe.Pointer(&state)); err != nil {
		return fmt.Errorf("%w (%s): %w", ErrUnsupported, kind(f), err)
	}
	if binary.NativeEndian.Uint16(state[stateFlags:])&projectsLimits == 0 {
		return fmt.Errorf("%w (%s): mount it with the option prjquota", ErrUnsupported, kind(f))
	}
	var attr fsxattr
	return ioctl(f, getFSXAttr, &attr)
}

// quotactl calls quotactl_fd(2), on kernels before 5.14 quotactl(2).
func quotactl(f *os.File, command int, p Project, data unsafe.Pointer) error {
	cmd := uintptr(command<<8 | projectType)
	_, _, errno := unix.Syscall6(unix.SYS_QUOTACTL_FD, f.Fd(), cmd, uintptr(p), uintptr(data), 0, 0)
	if errno == unix.ENOSYS {
		return quotactlByName(f, cmd, p, data)
	}
	if errno != 0 {
		return errno
	}
	return nil
}

func quotactlByName(f *os.File, cmd uintptr, p Project, data unsafe.Pointer) error {
	device, _, err := mountOf(f)
	if err != nil {
		return err
	}
	name, err := unix.BytePtrFromString(device)
	if err != nil {
		return err
	}
	_, _, errno := unix.Syscall6(unix.SYS_QUOTACTL, cmd, uintptr(unsafe.Pointer(name)), uintptr(p), uintptr(data), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func kind(f *os.File) string {
	_, name, err := mountOf(f)
	if err != nil {
		return "of unknown kind"
	}
	return name
}

var errNoMount = errors.New("its mount is not listed")

// mountOf finds the block device and the kind of the file's file system (proc_pid_mountinfo(5)).
func mountOf(f *os.File) (device, kind string, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return "", "", err
	}
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", "", err
	}
	id := fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))
	for line := range strings.Lines(string(table)) {
		mount, fs, ok := strings.Cut(line, " - ")
		left, right := strings.Fields(mount), strings.Fields(fs)
		if ok && len(left) > 2 && len(right) > 1 && left[2] == id {
			return right[1], right[0], nil
		}
	}
	return "", "", errNoMount
}
