package network

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Place is a network namespace that waits for a container, with everything in it that Attach makes. It
// belongs to the host's user namespace, so that a container cannot change it whatever rights it has inside;
// and for that reason cannot mount its sysfs, which is there for it.
type Place struct {
	NS       *os.File // the namespace
	SysFS    *os.File // its sysfs, mounted nowhere: nosuid, nodev, noexec, read-only
	Endpoint Endpoint
}

// Prepare makes a place. It costs what Attach does and a namespace. Nothing of it outlives its two
// descriptors, however this process ends; the kernel removes the interfaces in its own time.
func (n *Network) Prepare() (*Place, error) {
	p := &Place{}
	err := elsewhere(func() (err error) {
		if p.NS, err = os.Open("/proc/thread-self/ns/net"); err != nil {
			return err
		}
		if err = permit(); err != nil {
			return err
		}
		p.SysFS, err = mountSysFS()
		return err
	})
	if err == nil {
		p.Endpoint, err = n.attach(p.NS)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("prepare a place in network %s: %w", n.id, err), p.close())
	}
	return p, nil
}

// Discard gives up a place that no container took. One that has a container outlives it.
func (n *Network) Discard(p *Place) error {
	number, _ := n.number(p.Endpoint.Iface)
	n.people.forget(number)
	return p.close()
}

func (p *Place) close() error {
	var errs []error
	for _, f := range []*os.File{p.NS, p.SysFS} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// elsewhere runs f on a thread in a new network namespace. The thread comes back afterwards, or is never
// used again.
func elsewhere(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			done <- err
			return
		}
		defer func() { _ = home.Close() }()
		if err = unix.Unshare(unix.CLONE_NEWNET); err == nil {
			err = f()
		}
		if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
			done <- errors.Join(err, back)
			return
		}
		runtime.UnlockOSThread()
		done <- err
	}()
	return <-done
}

// permit lets every user inside bind low ports and ping: the namespace is the container's alone. Docker
// does the same.
func permit() error {
	const all = "0 2147483647"
	return errors.Join(
		ignoreMissing(os.WriteFile("/proc/sys/net/ipv4/ip_unprivileged_port_start", []byte("0"), 0)),
		ignoreMissing(os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte(all), 0)))
}

// mountSysFS mounts the sysfs of the thread's network namespace, attached to nothing.
func mountSysFS() (*os.File, error) {
	fs, err := unix.Fsopen("sysfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("fsopen sysfs", err)
	}
	defer func() { _ = unix.Close(fs) }()
	if err := unix.FsconfigCreate(fs); err != nil {
		return nil, os.NewSyscallError("fsconfig sysfs", err)
	}
	const attributes = unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attributes)
	if err != nil {
		return nil, os.NewSyscallError("fsmount sysfs", err)
	}
	return os.NewFile(uintptr(fd), "sysfs"), nil
}
