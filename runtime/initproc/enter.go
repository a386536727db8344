package initproc

import (
	"strings"

	"golang.org/x/sys/unix"
)

// finish adds what was unknown before the network was up and leaves the host's file system for ever.
func (b *box) finish(g *Go) error {
	if err := unix.Sethostname([]byte(b.spec.Hostname)); err != nil {
		return fail("set the host name", err)
	}
	files := []struct {
		path string
		text []byte
	}{{"/etc/hosts", g.Hosts}, {"/etc/resolv.conf", g.Resolv}, {"/etc/hostname", g.Hostname}}
	for _, f := range files {
		if err := b.ownFile(f.path, f.text); err != nil {
			return err
		}
	}
	if b.spec.ShowCgroup {
		b.showCgroup()
	}
	return b.pivot()
}

// ownFile puts a file of this container over one of the image. It lives, nameless, in the /dev tmpfs:
// a file in a mount that is not attached can be cloned from kernel 6.15 on only.
func (b *box) ownFile(path string, text []byte) error {
	dev, err := b.root.system("/dev")
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(dev) }()
	const name = ".file"
	if err := writeAt(dev, name, text); err != nil {
		return err
	}
	defer func() { _ = unix.Unlinkat(dev, name, 0) }()
	clone, err := unix.OpenTree(dev, name, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fail("clone "+path, err)
	}
	defer func() { _ = unix.Close(clone) }()
	return b.attachFile(clone, path)
}

func writeAt(dir int, name string, text []byte) error {
	fd, err := unix.Openat(dir, name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return fail("create "+name, err)
	}
	defer func() { _ = unix.Close(fd) }()
	_, err = unix.Write(fd, text)
	return fail("write "+name, err)
}

// showCgroup lets language runtimes size themselves by the container's limits. It is a convenience:
// hosts that do not allow the mount in a user namespace go without.
func (b *box) showCgroup() {
	if unix.Unshare(unix.CLONE_NEWCGROUP) != nil {
		return
	}
	_ = b.root.mount("/sys/fs/cgroup", "cgroup2", inert|unix.MOUNT_ATTR_RDONLY)
}

// pivot makes the container's root the root and drops everything of the host. Both are ".", so that no
// directory for the old root is needed (pivot_root(2), notes).
func (b *box) pivot() error {
	if err := unix.Fchdir(b.root.fd); err != nil {
		return fail("enter the root file system", err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fail("pivot_root", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fail("drop the host's file system", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return fail("enter /", err)
	}
	return nil
}

// enterDir makes the app's working directory the current one, creating it for the app if it is
// missing. Magic links of /proc lead out of a container (CVE-2024-21626): it must be a real path inside.
func (b *box) enterDir() error {
	p := b.spec.Process
	if p.Dir == "" || p.Dir[0] != '/' {
		return fail("enter "+p.Dir, unix.EINVAL)
	}
	fd, err := b.root.directory(p.Dir, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Fchdir(fd); err != nil {
		return fail("enter "+p.Dir, err)
	}
	for _, made := range *b.root.made {
		if made == p.Dir {
			_ = unix.Fchownat(unix.AT_FDCWD, ".", p.UID, p.GID, 0)
		}
	}
	return insideRoot()
}

// insideRoot fails when the current directory is not below the root: the kernel then says "(unreachable)".
func insideRoot() error {
	b := make([]byte, unix.PathMax)
	n, err := unix.Getcwd(b)
	if err != nil {
		return fail("tell the working directory", err)
	}
	if n == 0 || b[0] != '/' || strings.HasPrefix(string(b[:n]), "/proc/") {
		return fail("check the working directory", unix.EXDEV)
	}
	return nil
}
