package runtime

import (
	"fmt"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
	"paas/runtime/script"
)

// device is a host device node that a container gets. A node cannot be made in a user namespace, so
// the host's is shown; its number is checked, for what is at the path might be something else.
type device struct {
	name         string
	major, minor uint32 // Documentation/admin-guide/devices.txt of the kernel
}

func devices() []device {
	return []device{{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}}
}

const (
	sharedMemory = 64 << 20 // bytes of /dev/shm
	openFiles    = 65536    // soft limit, clamped to the hard one
)

// write writes what turns the shell into the container:
//
//	become root of the namespaces -> clone host devices -> attach the root file system -> /proc /sys /dev
//	-> masks -> binds -> pivot_root -> streams -> fork: drop rights, exec | supervise
func (c *container) write(s *script.Script, o *order, b box) {
	s.SetIDs(0, 0, nil)
	s.Do("make mounts private", unix.SYS_MOUNT, script.N(0), s.String("/"), script.N(0), script.N(unix.MS_REC|unix.MS_PRIVATE), script.N(0))
	if o.offline {
		leaveNetwork(s)
	}
	nodes := cloneDevices(s)
	attachRoot(s, b.root, o)
	c.kernelMounts(s, b.root, o)
	fillDev(s, b.root, nodes)
	hide(s, b.root)
	s.ReadOnly(b.root, readOnlyPaths())
	for i, bind := range o.binds {
		if isFile(bind) {
			s.AttachFile(b.root, filepath.Clean(bind.Target), b.binds[i])
		} else {
			s.AttachDir(b.root, filepath.Clean(bind.Target), b.binds[i])
		}
	}
	attachMounts(s, o, b)
	attachOpened(s, o, b)
	c.ownFiles(s, b.root, o)
	s.Do("set the host name", unix.SYS_SETHOSTNAME, s.String(o.host), script.N(len(o.host)))
	s.Pivot(b.root)
	enterDir(s, b.root, o)
	if o.security.ReadOnly {
		s.SetAttr("the root file system", b.root, unix.MOUNT_ATTR_RDONLY, 0, 0, 0)
	}
	s.Close(b.root)
	c.startApp(s, o, b)
}

// attachRoot attaches the root file system over the host's /sys, a directory every host has; nothing
// looks there again. Device nodes of an image never count, set-user-ID bits only if an admin said so.
func attachRoot(s *script.Script, root script.Arg, o *order) {
	s.Do("attach the root file system", unix.SYS_MOVE_MOUNT, root, s.String(""), script.N(unix.AT_FDCWD), s.String("/sys"),
		script.N(unix.MOVE_MOUNT_F_EMPTY_PATH))
	attr := unix.MOUNT_ATTR_NODEV
	if !o.security.Privileges {
		attr |= unix.MOUNT_ATTR_NOSUID
	}
	s.SetAttr("the root file system", root, attr, 0, 0, 0)
}

const (
	procAttr = script.Inert
	sysAttr  = script.Inert | unix.MOUNT_ATTR_RDONLY
)

func (c *container) kernelMounts(s *script.Script, root script.Arg, o *order) {
	s.AttachSystem(root, "/proc", script.N(procAhead))
	// Every user may bind low ports and ping: the network namespace is the container's alone. Docker does
	// the same. A kernel that refuses goes without.
	s.TryWrite(root, "/proc/sys/net/ipv4/ip_unprivileged_port_start", "0")
	s.TryWrite(root, "/proc/sys/net/ipv4/ping_group_range", "0 65535")
	setSysctls(s, root, o.security.Sysctls)
	if o.offline { // the one that was made ahead shows the network that it has left
		s.Mount(root, "/sys", "sysfs", sysAttr)
		s.Close(script.N(sysAhead))
	} else {
		s.AttachSystem(root, "/sys", script.N(sysAhead))
	}
	s.Mount(root, "/dev", "tmpfs", unix.MOUNT_ATTR_NOSUID, "mode=755", "size=65536k")
	// gid 5 is tty on every distribution (Linux Standard Base, users and groups). The host has some 4096
	// terminals in all (kernel.pty.max): without a bound one container takes the others'.
	s.Mount(root, "/dev/pts", "devpts", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC, "newinstance", "ptmxmode=0666", "mode=0620", "gid=5", "max=64")
	s.Mount(root, "/dev/shm", "tmpfs", script.Inert, "mode=1777", "size="+o.sharedMemory())
	s.Close(s.Dir(root, "/dev/mqueue", 0))
	s.TryMount(root, "/dev/mqueue", "mqueue", script.Inert) // not on a kernel without POSIX message queues
	if c.runtime.groups.v2 {
		// Language runtimes size themselves by it. Where a user namespace may not mount it they go without.
		s.TryMount(root, "/sys/fs/cgroup", "cgroup2", script.Inert|unix.MOUNT_ATTR_RDONLY)
	}
}

func cloneDevices(s *script.Script) []script.Arg {
	var nodes []script.Arg
	for _, d := range devices() {
		node := s.CloneMount(script.N(unix.AT_FDCWD), "/dev/"+d.name, 0)
		s.CheckDevice("/dev/"+d.name, node, d.major, d.minor)
		nodes = append(nodes, node)
	}
	return nodes
}

func fillDev(s *script.Script, root script.Arg, nodes []script.Arg) {
	for i, d := range devices() {
		s.AttachFile(root, "/dev/"+d.name, nodes[i])
	}
	dev := s.System(root, "/dev")
	for _, link := range [][2]string{
		{"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"},
		{"/proc/self/fd/2", "stderr"}, {"pts/ptmx", "ptmx"},
	} {
		s.Do("link /dev/"+link[1], unix.SYS_SYMLINKAT, s.String(link[0]), dev, s.String(link[1]))
	}
	s.Close(dev)
}

// hide masks what nobody inside may see, files with /dev/null and directories with one that is gone from /dev when
// the last is hidden. A file system of its own for each would cost every start, and the end of every control group:
// the kernel has it look at all file systems in memory that the host has.
func hide(s *script.Script, root script.Arg) {
	const gone = "gone"
	dev, null, empty := s.System(root, "/dev"), s.Open(root, "/dev/null", unix.O_PATH, 0), s.System(root, "/dev/"+gone)
	s.Mask(root, null, empty, maskedPaths())
	s.Do("remove /dev/"+gone, unix.SYS_UNLINKAT, dev, s.String(gone), script.N(unix.AT_REMOVEDIR))
	s.Close(dev, null, empty)
}

// ownFiles puts files of this container over those of the image. They live, nameless, in the /dev tmpfs:
// a file in a mount that is not attached can be cloned from Linux 6.15 on only.
func (c *container) ownFiles(s *script.Script, root script.Arg, o *order) {
	e := c.record.Endpoint
	hosts := fmt.Sprintf("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n%s\t%s\n", e.Addr, o.host)
	if e.Addr6.IsValid() {
		hosts += fmt.Sprintf("%s\t%s\n", e.Addr6, o.host)
	}
	dev := s.System(root, "/dev")
	for path, text := range map[string]string{
		"/etc/hosts": hosts, "/etc/resolv.conf": string(e.Resolv), "/etc/hostname": o.host + "\n",
	} {
		name := s.String(".file")
		fd := s.Do("create "+path, unix.SYS_OPENAT, dev, name, script.N(unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC), script.N(0o644))
		s.Do("write "+path, unix.SYS_WRITE, fd, s.String(text), script.N(len(text)))
		clone := s.CloneMount(fd, "", unix.AT_EMPTY_PATH)
		s.AttachFile(root, path, clone)
		s.Do("hide "+path, unix.SYS_UNLINKAT, dev, name, script.N(0)) // an unlinked file cannot be attached
		s.Close(fd)
	}
	s.Close(dev)
}

// enterDir makes the app's working directory the current one, creating it for the app if it is missing.
func enterDir(s *script.Script, root script.Arg, o *order) {
	there := s.TryOpen(root, o.dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	s.IfNegative(there, func() {
		made := s.Dir(root, o.dir, 0)
		s.Try("give away "+o.dir, unix.SYS_FCHOWNAT, made, s.String(""), script.N(o.uid), script.N(o.gid), script.N(unix.AT_EMPTY_PATH))
		s.Close(made)
	})
	s.Close(there)
	dir := s.Dir(root, o.dir, 0)
	s.Do("enter "+o.dir, unix.SYS_FCHDIR, dir)
	s.Close(dir)
	s.CheckInside()
}

func (c *container) startApp(s *script.Script, o *order, b box) {
	if o.terminal != nil {
		b.stdio = c.openTerminal(s, o)
	}
	app := s.Spawn(func() { c.becomeApp(s, o, b) })
	s.Close(b.stdio[0], b.stdio[1], b.stdio[2])
	s.TellStarted(app)
	s.Supervise(app, script.Supervision{
		StopSignal: o.stopSignal, Tethered: c.record.Passing, Status: b.status, Listener: b.listen, Log: b.log,
	})
}

// becomeApp is what the child of process 1 does.
func (c *container) becomeApp(s *script.Script, o *order, b box) {
	s.Do("begin a session", unix.SYS_SETSID)
	s.Stdio(b.stdio)
	if o.terminal != nil {
		s.Do("take the terminal", unix.SYS_IOCTL, script.N(0), script.N(unix.TIOCSCTTY), script.N(0))
	}
	s.TryWrite(script.N(unix.AT_FDCWD), "/proc/self/oom_score_adj", strconv.Itoa(oomScore(c.record.Group)))
	s.AsRights(func() {
		s.NewSession()
		takeLimits(s, o.clamped)
		s.Take(b.rights)
	})
	s.KeepOnlyStdio()
	env := o.environ()
	if !o.exact {
		env = append(env, fmt.Sprintf("PORT=%d", c.record.Endpoint.Port))
	}
	s.Exec(o.argv, env)
}

// openTerminal makes a PTY in the container's own devpts, so that tty(1) and /dev/tty work inside, and
// sends its master. The slave is taken through the master, not by a path of the image.
func (c *container) openTerminal(s *script.Script, o *order) (stdio [3]script.Arg) {
	master := s.Do("open a terminal", unix.SYS_OPENAT, script.N(unix.AT_FDCWD), s.String("/dev/pts/ptmx"),
		script.N(unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC), script.N(0))
	s.Do("unlock the terminal", unix.SYS_IOCTL, master, script.N(unix.TIOCSPTLCK), s.Words(0))
	slave := s.Do("open the terminal's slave", unix.SYS_IOCTL, master, script.N(unix.TIOCGPTPEER), script.N(unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC))
	s.Try("give away the terminal", unix.SYS_FCHOWN, slave, script.N(o.uid), script.N(5))
	size := uint64(uint16(o.terminal.Rows)) | uint64(uint16(o.terminal.Cols))<<16 // struct winsize
	s.Try("size the terminal", unix.SYS_IOCTL, slave, script.N(unix.TIOCSWINSZ), s.Words(size))
	s.Send("the terminal", master)
	s.Close(master)
	return [3]script.Arg{slave, slave, slave}
}
