package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// attackInit stops, ends, traces and robs the first process. That it lives on is for the test to see;
// here only what the kernel should refuse counts.
func attackInit() []try {
	var tries []try
	for s := unix.Signal(1); s <= 64; s++ {
		switch s {
		case unix.SIGTERM, unix.SIGHUP: // init passes them on: that is how an app is stopped
			continue
		}
		tries = append(tries, try{fmt.Sprintf("end init by signal %d", s), func() error {
			_ = unix.Kill(1, s)
			return initState('T', 't', 'Z', 'X')
		}})
	}
	p := make([]byte, 64)
	local := unix.Iovec{Base: &p[0], Len: 8}
	remote := unix.RemoteIovec{Base: 0x400000, Len: 8}
	return append(tries,
		try{"trace init", func() error { return unix.PtraceAttach(1) }},
		try{"seize init", func() error { return unix.PtraceSeize(1) }},
		try{"read init's memory", func() error {
			_, err := unix.ProcessVMReadv(1, []unix.Iovec{local}, []unix.RemoteIovec{remote}, 0)
			return err
		}},
		try{"write init's memory", func() error {
			_, err := unix.ProcessVMWritev(1, []unix.Iovec{local}, []unix.RemoteIovec{remote}, 0)
			return err
		}},
		try{"take a descriptor of init", func() error { return takeDescriptor(1) }},
		call("lower init's priority", unix.SYS_SETPRIORITY, unix.PRIO_PROCESS, 1, 19),
		call("schedule init", unix.SYS_SCHED_SETSCHEDULER, 1, 5, unsafe.Pointer(&[1]int32{0})),
		call("pin init", unix.SYS_SCHED_SETAFFINITY, 1, 8, unsafe.Pointer(&[1]uint64{1})),
		call("set init's process group", unix.SYS_SETPGID, 1, 1),
		call("map init's robust list", unix.SYS_GET_ROBUST_LIST, 1, p, p[8:]),
	)
}

func initState(bad ...byte) error {
	stat, err := os.ReadFile("/proc/1/stat")
	if err != nil {
		return nil
	}
	state := stat[strings.LastIndexByte(string(stat), ')')+2]
	for _, b := range bad {
		if state == b {
			return nil
		}
	}
	return fmt.Errorf("init is in state %c", state)
}

func takeDescriptor(pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err
	}
	for n := range 16 {
		if _, err = unix.PidfdGetfd(fd, n, 0); err == nil {
			return nil
		}
	}
	return err
}

// moreRights tries to become more than the container's user is.
func moreRights() []try {
	tries := []try{
		{"clear no_new_privs", func() error { return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0) }},
		{"drop the filter", func() error { return unix.Prctl(unix.PR_SET_SECCOMP, 0, 0, 0, 0) }},
		{"set memory descriptors", func() error { return unix.Prctl(unix.PR_SET_MM, unix.PR_SET_MM_EXE_FILE, 0, 0, 0) }},
		{"become subject to nobody's ids", func() error { return uid(1 << 16) }},
		{"become a host's user", func() error { return uid(1 << 28) }},
		{"gain by a set-user-ID program", func() error { return gains("/rights/setuid") }},
		{"gain by a set-group-ID program", func() error { return gains("/rights/setgid") }},
		{"gain by file capabilities", func() error { return gains("/rights/filecaps") }},
		{"gain by file capabilities of root", func() error { return gains("/rights/filecaps3") }},
	}
	for c := 0; c <= unix.CAP_LAST_CAP; c++ {
		if dangerous(c) {
			tries = append(tries,
				try{"raise capability " + strconv.Itoa(c), func() error { return raise(c) }},
				try{"make ambient capability " + strconv.Itoa(c), func() error {
					return unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uintptr(c), 0, 0)
				}},
				try{"have in the bounding set capability " + strconv.Itoa(c), func() error {
					if n, _ := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(c), 0, 0, 0); n == 1 {
						return nil
					}
					return errNothing
				}})
		}
	}
	return tries
}

// dangerous is every capability beyond the eleven that a container's root has.
func dangerous(c int) bool {
	switch c {
	case unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, unix.CAP_FSETID, unix.CAP_KILL, unix.CAP_SETGID, unix.CAP_SETUID,
		unix.CAP_SETPCAP, unix.CAP_NET_BIND_SERVICE, unix.CAP_SYS_CHROOT, unix.CAP_SETFCAP:
		return false
	}
	return true
}

func raise(c int) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	data[c/32].Permitted |= 1 << (c % 32)
	data[c/32].Effective |= 1 << (c % 32)
	return unix.Capset(&header, &data[0])
}

func uid(n int) error {
	cmd := exec.Command("/proc/self/exe", "whoami")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(n), Gid: uint32(n), NoSetGroups: true}}
	return cmd.Run()
}

// gains runs a copy of this program that has a special mode or attribute.
func gains(path string) error {
	out, err := exec.Command(path, "whoami").Output()
	if err != nil {
		return err
	}
	if got, have := string(out), fmt.Sprintln(os.Getuid(), os.Geteuid(), capabilities()); have != got {
		return nil
	}
	return errNothing
}

func capabilities() string {
	text, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(text)) {
		if caps, ok := strings.CutPrefix(line, "CapPrm:"); ok {
			return strings.TrimSpace(caps)
		}
	}
	return "unknown"
}

// identity changes what the machine is, for all on it: name, clock, parameters.
func identity() []try {
	now := unix.Timeval{Sec: 1}
	second := unix.Timespec{Sec: 1}
	return []try{
		{"set the host name", func() error { return unix.Sethostname([]byte("evil")) }},
		{"set the domain name", func() error { return unix.Setdomainname([]byte("evil")) }},
		{"set the time of day", func() error { return unix.Settimeofday(&now) }},
		call("set the clock", unix.SYS_CLOCK_SETTIME, unix.CLOCK_REALTIME, unsafe.Pointer(&second)),
		{"adjust the clock", func() error { _, err := unix.Adjtimex(&unix.Timex{Modes: 2, Freq: 100}); return err }},
		call("adjust a clock", unix.SYS_CLOCK_ADJTIME, unix.CLOCK_REALTIME, unsafe.Pointer(&unix.Timex{Modes: 2, Freq: 100})),
		{"set core_pattern", func() error { return write("/proc/sys/kernel/core_pattern", "|/bin/evil") }},
		{"set modprobe", func() error { return write("/proc/sys/kernel/modprobe", "/bin/evil") }},
		{"set overcommit", func() error { return write("/proc/sys/vm/overcommit_memory", "2") }},
		{"set domainname by sysctl", func() error { return write("/proc/sys/kernel/domainname", "evil") }},
		{"set forwarding", func() error { return write("/proc/sys/net/ipv4/ip_forward", "1") }},
		{"set uevent_helper", func() error { return write("/sys/kernel/uevent_helper", "/bin/evil") }},
		{"register a binary format", func() error {
			return write("/proc/sys/fs/binfmt_misc/register", ":evil:M::evil::/bin/evil:")
		}},
	}
}

// limits raises what bounds this process and lowers what bounds others.
func limits() []try {
	var tries []try
	for what, resource := range map[string]int{
		"files": unix.RLIMIT_NOFILE, "core": unix.RLIMIT_CORE, "locked memory": unix.RLIMIT_MEMLOCK, "processes": unix.RLIMIT_NPROC,
		"queues": rlimitMsgqueue, "nice": rlimitNice, "real-time priority": rlimitRTPrio,
	} {
		tries = append(tries, try{"raise the limit of " + what, func() error { return raiseLimit(resource) }})
	}
	return append(tries,
		try{"lower oom_score_adj below the daemon's", func() error { return write("/proc/self/oom_score_adj", "-1") }},
		call("raise the priority", unix.SYS_SETPRIORITY, unix.PRIO_PROCESS, 0, -1),
		call("schedule as FIFO", unix.SYS_SCHED_SETSCHEDULER, 0, 1, unsafe.Pointer(&[1]int32{1})),
		call("schedule as RR", unix.SYS_SCHED_SETSCHEDULER, 0, 2, unsafe.Pointer(&[1]int32{1})),
		call("schedule by deadline", unix.SYS_SCHED_SETATTR, 0, unsafe.Pointer(&unix.SchedAttr{
			Size: unix.SizeofSchedAttr, Policy: unix.SCHED_DEADLINE, Runtime: 1e6, Deadline: 2e6, Period: 2e6}), 0),
		call("real-time disk priority", unix.SYS_IOPRIO_SET, 1, 0, 1<<13),
		call("lock all memory", unix.SYS_MLOCKALL, 7, 0),
	)
}

// Numbers of resources that the library lacks (asm-generic/resource.h).
const (
	rlimitMsgqueue = 12
	rlimitNice     = 13
	rlimitRTPrio   = 14
)

func raiseLimit(resource int) error {
	var lim unix.Rlimit
	if err := unix.Getrlimit(resource, &lim); err != nil {
		return err
	}
	if lim.Max == unix.RLIM_INFINITY {
		return fmt.Errorf("%w: it is unlimited", errNothing)
	}
	return unix.Setrlimit(resource, &unix.Rlimit{Cur: lim.Cur, Max: lim.Max + 1})
}

// What a neighbour made with the same names (see "hold").
const (
	sharedKey  = 0x70616173
	socketName = "@paas-hostile-test"
	queueName  = "paas-hostile-test"
)

// neighbourIPC looks for what a neighbour and the host offer by name. words are processes' names to look for.
func neighbourIPC(words []string) []try {
	tries := []try{
		{"attach a foreign shared memory", func() error { _, err := unix.SysvShmGet(sharedKey, 0, 0); return err }},
		call("open a foreign message queue", unix.SYS_MQ_OPEN, text(queueName), unix.O_RDWR, 0, 0),
		call("use a foreign semaphore", unix.SYS_SEMGET, sharedKey, 0, 0),
		call("use a foreign message list", unix.SYS_MSGGET, sharedKey, 0),
		{"find a foreign file in /dev/shm", func() error { return present("/dev/shm/neighbour") }},
		{"find a foreign file in /tmp", func() error { return present("/tmp/neighbour") }},
		{"connect to a foreign abstract socket", func() error { return dialUnix(socketName) }},
		{"connect to the host's abstract socket", func() error { return dialUnix(socketName + "-host") }},
		{"see other processes than the container's", func() error {
			dirs, _ := filepath.Glob("/proc/[0-9]*")
			if len(dirs) > 16 {
				return nil
			}
			return errors.New(strconv.Itoa(len(dirs)) + " processes")
		}},
	}
	for _, w := range words {
		tries = append(tries, try{"see the process " + w, func() error { return runs(w) }})
	}
	return tries
}

func runs(word string) error {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range lines {
		b, _ := os.ReadFile(path)
		if strings.Contains(string(b), word) && !strings.Contains(string(b), "\x00ipc\x00") {
			return nil
		}
	}
	return errNothing
}
