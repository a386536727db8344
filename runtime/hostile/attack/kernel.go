package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// call makes a system call that must not work. Arguments are numbers, strings and pointers.
func call(what string, nr int, args ...any) try {
	return try{what, func() error {
		var a [6]uintptr
		for i, arg := range args {
			a[i] = word(arg)
		}
		defer runtime.KeepAlive(args)
		if _, _, errno := unix.Syscall6(uintptr(nr), a[0], a[1], a[2], a[3], a[4], a[5]); errno != 0 {
			return errno
		}
		return nil
	}}
}

func word(arg any) uintptr {
	switch v := arg.(type) {
	case int:
		return uintptr(v)
	case []byte:
		return uintptr(unsafe.Pointer(&v[0]))
	case unsafe.Pointer:
		return uintptr(v)
	}
	panic(fmt.Sprintf("an argument of type %T", arg))
}

func text(s string) []byte { return append([]byte(s), 0) }

// deviceNodes makes and opens devices of the host. A node that cannot be opened is no harm.
func deviceNodes() []try {
	var tries []try
	for _, d := range []struct {
		kind         uint32
		major, minor uint32
	}{
		{unix.S_IFBLK, 8, 0}, {unix.S_IFBLK, 253, 0}, {unix.S_IFBLK, 254, 0}, {unix.S_IFBLK, 259, 0}, {unix.S_IFBLK, 7, 0}, {unix.S_IFBLK, 1, 0},
		{unix.S_IFCHR, 1, 1}, {unix.S_IFCHR, 1, 2}, {unix.S_IFCHR, 1, 4}, {unix.S_IFCHR, 1, 11}, {unix.S_IFCHR, 10, 200}, {unix.S_IFCHR, 10, 229},
		{unix.S_IFCHR, 10, 232}, {unix.S_IFCHR, 10, 237}, {unix.S_IFCHR, 5, 1}, {unix.S_IFCHR, 4, 0}, {unix.S_IFCHR, 1, 3},
	} {
		for _, dir := range []string{"/tmp", "/dev", "/dev/shm", "/app"} {
			what := fmt.Sprintf("make and open device %#o %d:%d in %s", d.kind, d.major, d.minor, dir)
			tries = append(tries, try{what, func() error {
				path := fmt.Sprintf("%s/node-%d-%d", dir, d.major, d.minor)
				if err := unix.Mknod(path, d.kind|0o666, int(unix.Mkdev(d.major, d.minor))); err != nil {
					return err
				}
				return openAny(path)
			}})
		}
	}
	for _, name := range []string{
		"mem", "kmem", "port", "kmsg", "sda", "vda", "nvme0n1", "loop-control", "loop0", "fuse", "kvm", "net/tun", "console", "tty0",
		"tty1", "vhost-net", "vsock", "mapper/control", "rtc0", "watchdog", "hpet", "snapshot", "userfaultfd", "btrfs-control", "uinput",
	} {
		tries = append(tries, try{"open /dev/" + name, func() error { return openAny("/dev/" + name) }})
	}
	return append(tries,
		try{"open a device of the image", func() error { return openAny("/nodes/disk") }},
		try{"open the memory device of the image", func() error { return openAny("/nodes/mem") }})
}

// mounts tries every way to change what is mounted.
func mounts() []try {
	var tries []try
	for _, fs := range []string{"tmpfs", "proc", "sysfs", "cgroup", "cgroup2", "overlay", "devpts", "mqueue", "fuse", "ramfs", "debugfs", "bpf", "devtmpfs", "securityfs"} {
		tries = append(tries,
			try{"mount " + fs, func() error { return unix.Mount("none", "/tmp", fs, 0, "") }},
			try{"fsopen " + fs, func() error { _, err := unix.Fsopen(fs, 0); return err }})
	}
	for _, path := range []string{"/proc/sys", "/proc/sysrq-trigger", "/proc/kcore", "/proc/keys", "/sys", "/sys/firmware", "/dev/null", "/etc/hosts", "/"} {
		tries = append(tries,
			try{"unmount " + path, func() error { return unix.Unmount(path, 0) }},
			try{"detach " + path, func() error { return unix.Unmount(path, unix.MNT_DETACH) }},
			try{"make writable " + path, func() error { return unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_BIND, "") }},
			try{"bind over " + path, func() error { return unix.Mount("/etc/passwd", path, "", unix.MS_BIND, "") }},
			try{"clone " + path, func() error {
				_, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
				return err
			}},
			try{"set attributes of " + path, func() error {
				return unix.MountSetattr(unix.AT_FDCWD, path, 0, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY})
			}})
	}
	return append(tries,
		try{"make mounts shared", func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, "") }},
		try{"pivot_root", func() error { return unix.PivotRoot("/tmp", "/tmp") }},
		try{"move a mount", func() error {
			return unix.MoveMount(unix.AT_FDCWD, "/proc", unix.AT_FDCWD, "/tmp", 0)
		}},
		call("fspick", unix.SYS_FSPICK, unix.AT_FDCWD, text("/"), 0),
		call("quotactl", unix.SYS_QUOTACTL, 0x800001<<8, text("/dev/vda"), 0, 0),
		call("swapon", unix.SYS_SWAPON, text("/tmp/x"), 0),
		try{"see the propagation of the host", func() error { return mountSource("shared:", "master:") }},
	)
}

// controlGroups is CVE-2022-0492: a release_agent, or any writable group.
func controlGroups() []try {
	tries := []try{
		{"mount cgroup v1 in a new user namespace", func() error { return inNewUser("mount-cgroup") }},
		{"mount cgroup v1", func() error { return unix.Mount("cgroup", "/tmp", "cgroup", 0, "memory") }},
		{"mount cgroup rdma", func() error { return unix.Mount("cgroup", "/tmp", "cgroup", 0, "rdma") }},
		{"see the host's cgroup path", func() error {
			b, err := os.ReadFile("/proc/self/cgroup")
			if err == nil && containsAny(string(b), "paas-", "system.slice") {
				return nil
			}
			return errors.Join(err, errNothing)
		}},
	}
	for _, file := range []string{"release_agent", "notify_on_release", "cgroup.procs", "tasks", "memory.max", "pids.max", "cgroup.subtree_control"} {
		for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/.."} {
			path := dir + "/" + file
			tries = append(tries, try{"write " + path, func() error { return write(path, "0") }})
		}
	}
	return append(tries, try{"make a group", func() error { return os.Mkdir("/sys/fs/cgroup/x", 0o755) }})
}

// namespaceFlags are those of unshare(2) and clone(2).
func namespaceFlags() map[string]uintptr {
	return map[string]uintptr{
		"user": unix.CLONE_NEWUSER, "mount": unix.CLONE_NEWNS, "net": unix.CLONE_NEWNET, "pid": unix.CLONE_NEWPID,
		"ipc": unix.CLONE_NEWIPC, "uts": unix.CLONE_NEWUTS, "cgroup": unix.CLONE_NEWCGROUP,
	}
}

func namespaces() []try {
	var tries []try
	for name, flag := range namespaceFlags() {
		tries = append(tries,
			try{"unshare " + name, func() error { return inChild("unshare", strconv.Itoa(int(flag))) }},
			try{"unshare user and " + name, func() error { return inChild("unshare", strconv.Itoa(int(flag|unix.CLONE_NEWUSER))) }},
			try{"clone into a new " + name, func() error { return forkInto(flag) }},
			try{"clone3 into a new " + name, func() error { return clone3(flag) }})
	}
	tries = append(tries, try{"unshare time", func() error { return inChild("unshare", strconv.Itoa(unix.CLONE_NEWTIME)) }},
		try{"clone3 a process at all", func() error { return clone3(0) }})
	for _, who := range []string{"1", "self"} {
		for _, ns := range []string{"user", "mnt", "net", "pid", "ipc", "uts", "cgroup", "time", "pid_for_children"} {
			path := "/proc/" + who + "/ns/" + ns
			tries = append(tries, try{"join " + path, func() error { return join(path) }})
		}
	}
	return append(tries, try{"join init by pidfd", func() error {
		fd, err := unix.PidfdOpen(1, 0)
		if err != nil {
			return err
		}
		return unix.Setns(fd, unix.CLONE_NEWNET|unix.CLONE_NEWIPC)
	}})
}

func join(path string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return unix.Setns(fd, 0)
}

func clone3(flags uintptr) error {
	args := [11]uint64{0: uint64(flags), 4: uint64(unix.SIGCHLD)} // struct clone_args: flags first, exit_signal fifth
	return forkBy(func() (uintptr, unix.Errno) {
		pid, _, errno := unix.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args), 0)
		return pid, errno
	})
}

func forkInto(flags uintptr) error {
	return forkBy(func() (uintptr, unix.Errno) {
		pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, flags|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
		return pid, errno
	})
}

// forkBy ends the child at once: nothing of this program's runtime works in it.
func forkBy(fork func() (uintptr, unix.Errno)) error {
	pid, errno := fork()
	if errno != 0 {
		return errno
	}
	if pid == 0 {
		for {
			_, _, _ = unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
	}
	_, _ = unix.Wait4(int(pid), nil, 0, nil)
	return nil
}

// chrootEscape leaves a chroot in the classic way. Inside a container that leads to the container's root.
func chrootEscape(words []string) []try {
	return []try{{"climb out of a chroot to the host", func() error {
		if err := os.MkdirAll("/tmp/jail", 0o755); err != nil {
			return err
		}
		if err := unix.Chroot("/tmp/jail"); err != nil {
			return err
		}
		for range 64 {
			if err := unix.Chdir(".."); err != nil {
				return err
			}
		}
		if err := unix.Chroot("."); err != nil {
			return err
		}
		return present(words[0])
	}}}
}

// quota leaves the bounds of a disk quota by giving a file to another project.
func quota() []try {
	var tries []try
	for _, dir := range []string{"/tmp", "/app", "/"} {
		for _, project := range []uint32{0, 1, 4242} {
			what := fmt.Sprintf("give %s to project %d", dir, project)
			tries = append(tries, try{what, func() error { return setProject(dir, project) }})
		}
	}
	return tries
}

// setProject gives something to a project other than its own.
func setProject(path string, project uint32) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	const get, set = 0x801c581f, 0x401c5820 // FS_IOC_FSGETXATTR and FS_IOC_FSSETXATTR, linux/fs.h
	attr := [7]uint32{}                     // struct fsxattr; the fourth word is the project
	if err := call("", unix.SYS_IOCTL, fd, get, unsafe.Pointer(&attr)).do(); err != nil {
		return err
	}
	if attr[3] == project {
		return fmt.Errorf("%w: it is the project's already", errNothing)
	}
	attr[3] = project
	return call("", unix.SYS_IOCTL, fd, set, unsafe.Pointer(&attr)).do()
}

// handles opens files of the host's file systems by their numbers ("shocker").
func handles(words []string) []try {
	var tries []try
	for _, path := range []string{"/", "/etc/hosts", "/etc/resolv.conf", "/dev", "/dev/null", "/dev/shm", "/proc", "/sys", "/app", "/bin/busybox"} {
		tries = append(tries, try{"name the handle of " + path, func() error {
			if _, _, err := unix.NameToHandleAt(unix.AT_FDCWD, path, 0); err != nil {
				return err
			}
			return errNothing // knowing one is no harm
		}})
		for _, inode := range []uint64{2, 1, 128} {
			what := fmt.Sprintf("open inode %d of the file system of %s", inode, path)
			tries = append(tries, try{what, func() error { return openInode(path, inode) }})
		}
	}
	return append(tries, try{"open the host's file by a handle", func() error { return present(words[0]) }})
}

func openInode(path string, inode uint64) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	var b [8]byte
	*(*uint64)(unsafe.Pointer(&b)) = inode
	got, err := unix.OpenByHandleAt(fd, unix.NewFileHandle(1, b[:]), unix.O_RDONLY)
	if err == nil {
		_ = unix.Close(got)
	}
	return err
}

// kernelDoors are system calls that reach deep into the kernel, where most of its holes were.
func kernelDoors() []try {
	p := make([]byte, 4096)
	return []try{
		call("bpf: make a map", unix.SYS_BPF, unix.BPF_MAP_CREATE, unsafe.Pointer(&[16]uint32{1, 4, 4, 1}), 64),
		call("bpf: load a program", unix.SYS_BPF, unix.BPF_PROG_LOAD, p, 64),
		call("bpf: get an object", unix.SYS_BPF, unix.BPF_OBJ_GET, p, 64),
		call("io_uring_setup", unix.SYS_IO_URING_SETUP, 4, p),
		call("io_uring_enter", unix.SYS_IO_URING_ENTER, 0, 0, 0, 0),
		call("perf_event_open", unix.SYS_PERF_EVENT_OPEN, unsafe.Pointer(&unix.PerfEventAttr{Type: 1, Size: 112}), 0, -1, -1, 0),
		call("perf_event_open of every process", unix.SYS_PERF_EVENT_OPEN, unsafe.Pointer(&unix.PerfEventAttr{Type: 1, Size: 112}), -1, 0, -1, 0),
		call("userfaultfd", unix.SYS_USERFAULTFD, 0),
		call("userfaultfd of user faults", unix.SYS_USERFAULTFD, 1),
		call("kexec_load", unix.SYS_KEXEC_LOAD, 0, 0, 0, 0),
		call("kexec_file_load", unix.SYS_KEXEC_FILE_LOAD, 0, 0, 0, 0, 0),
		call("init_module", unix.SYS_INIT_MODULE, p, 64, p),
		call("finit_module", unix.SYS_FINIT_MODULE, 0, p, 0),
		call("delete_module", unix.SYS_DELETE_MODULE, text("veth"), unix.O_NONBLOCK),
		call("reboot", unix.SYS_REBOOT, 0xfee1dead, 672274793, 0x89abcdef, 0), // CAD_ON
		call("acct", unix.SYS_ACCT, text("/tmp/acct")),
		call("iopl", unix.SYS_IOPL, 3),
		call("ioperm", unix.SYS_IOPERM, 0x80, 1, 1),
		call("fanotify_init", unix.SYS_FANOTIFY_INIT, 0, 0),
		call("lookup_dcookie", unix.SYS_LOOKUP_DCOOKIE, 1, p, 64),
		call("move_pages of init", unix.SYS_MOVE_PAGES, 1, 0, 0, 0, 0, 0),
		call("migrate_pages of init", unix.SYS_MIGRATE_PAGES, 1, 8, p, p),
		call("kcmp with init", unix.SYS_KCMP, 1, 1, 0, 0, 0),
		call("process_madvise of init", unix.SYS_PROCESS_MADVISE, 1, p, 1, 4, 0),
		call("personality READ_IMPLIES_EXEC", unix.SYS_PERSONALITY, 0x0400000),
		call("personality MMAP_PAGE_ZERO", unix.SYS_PERSONALITY, 0x0100000),
		call("personality ADDR_NO_RANDOMIZE", unix.SYS_PERSONALITY, 0x0040000),
		call("personality ADDR_COMPAT_LAYOUT", unix.SYS_PERSONALITY, 0x0200000),
		call("uselib", unix.SYS_USELIB, text("/bin/busybox")),
		call("vhangup", unix.SYS_VHANGUP),
		call("mount a swap file", unix.SYS_SWAPON, text("/app/swap"), 0),
		{"map page zero", func() error {
			_, _, errno := unix.Syscall6(unix.SYS_MMAP, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_FIXED, ^uintptr(0), 0)
			if errno != 0 {
				return errno
			}
			return nil
		}},
	}
}

// keys asks for the kernel's key rings, which know no containers.
func keys() []try {
	return []try{
		call("keyctl: join a session", unix.SYS_KEYCTL, unix.KEYCTL_JOIN_SESSION_KEYRING, 0),
		call("add_key", unix.SYS_ADD_KEY, text("user"), text("evil"), text("x"), 1, -3),
		call("request_key", unix.SYS_REQUEST_KEY, text("user"), text("evil"), 0, 0),
		call("keyctl: session keyring", unix.SYS_KEYCTL, unix.KEYCTL_GET_KEYRING_ID, -3, 1),
		call("keyctl: user keyring", unix.SYS_KEYCTL, unix.KEYCTL_GET_KEYRING_ID, -4, 1),
		{"see keys", func() error { return readSome("/proc/keys") }},
	}
}

func containsAny(s string, parts ...string) bool {
	for _, p := range parts {
		if strings.Contains(s, p) {
			return true
		}
	}
	return false
}
