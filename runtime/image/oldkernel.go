package image

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// stage is where layers are attached in the thread's own mount namespace. Any directory that every
// Linux has will do.
const stage = "/proc"

// byPath mounts for kernels that want layers by path: it attaches the clones under one-letter names in
// a mount namespace of the thread, which must be thrown away afterwards. The names are relative, so
// that all layers overlayfs can stack (500) fit the 4096 bytes mount(2) has for options.
func (l *layers) byPath() (*os.File, error) {
	if err := enterStage(); err != nil {
		return nil, fmt.Errorf("make stage for layers: %w", err)
	}
	var names []string
	for i := len(l.lowers) - 1; i >= 0; i-- {
		name := strconv.Itoa(i)
		if err := attach(l.lowers[i], name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	if l.parent != nil {
		if err := attach(l.parent, "u"); err != nil {
			return nil, err
		}
	}
	return l.byName(strings.Join(names, ":"))
}

// byName mounts with mount(2): fsconfig(2) takes no string longer than 255 bytes.
func (l *layers) byName(lowers string) (*os.File, error) {
	if strings.ContainsAny(l.upperName+l.workName, `,:\`) {
		return nil, fmt.Errorf("overlay: upper %q and work %q may have no comma, colon or backslash", l.upperName, l.workName)
	}
	var data strings.Builder
	for _, o := range options() {
		_, _ = fmt.Fprintf(&data, "%s=%s,", o[0], o[1])
	}
	data.WriteString("lowerdir=" + lowers)
	flags := uintptr(unix.MS_NODEV | unix.MS_RDONLY)
	if l.parent != nil {
		flags = unix.MS_NODEV
		data.WriteString(",volatile,upperdir=u/" + l.upperName + ",workdir=u/" + l.workName)
	}
	if err := unix.Mkdir("m", 0o755); err != nil {
		return nil, err
	}
	if err := unix.Mount("layers", "m", "overlay", flags, data.String()); err != nil {
		return nil, fmt.Errorf("mount overlay %s: %w", data.String(), err)
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, "m", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open_tree overlay: %w", err)
	}
	return os.NewFile(uintptr(fd), "overlay"), nil
}

// enterStage leaves the host's mount namespace and puts an empty tmpfs under the working directory.
func enterStage() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("tmpfs", stage, "tmpfs", unix.MS_NODEV|unix.MS_NOSUID, "size=1m,mode=0755"); err != nil {
		return fmt.Errorf("mount tmpfs: %w", err)
	}
	return unix.Chdir(stage)
}

func attach(f *os.File, name string) error {
	if err := unix.Mkdir(name, 0o755); err != nil {
		return fmt.Errorf("attach %s: %w", f.Name(), err)
	}
	if err := unix.MoveMount(int(f.Fd()), "", unix.AT_FDCWD, name, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("attach %s: %w", f.Name(), err)
	}
	return nil
}
