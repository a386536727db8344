package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// int80 makes a system call by the entry of 32-bit programs.
func int80(nr uintptr) uintptr

const (
	x32Bit     = 0x40000000 // __X32_SYSCALL_BIT, asm/unistd.h
	getpid32   = 20         // asm/unistd_32.h
	unshare32  = 310
	getpidX32  = x32Bit | 39
	unshareX32 = x32Bit | 272
)

// otherEntries goes around the filter by system calls of other ABIs, which have other numbers.
func otherEntries() []try {
	return []try{
		{"make a 32-bit system call", func() error { return inChild("int80", strconv.Itoa(getpid32)) }},
		{"make a 32-bit unshare", func() error { return inChild("int80", strconv.Itoa(unshare32)) }},
		call("make an x32 system call", getpidX32),
		call("make an x32 unshare", unshareX32, unix.CLONE_NEWUTS),
		call("make a call with garbage above its number", 1<<32|unix.SYS_UNSHARE, unix.CLONE_NEWUTS),
		call("call a number far away", 100_000),
		call("call number -1", -1),
	}
}

// children are the parts of attacks that need a process of their own: it may die, or be changed for good.
func children() map[string]func(words []string) int {
	return map[string]func([]string) int{
		"unshare":         func(w []string) int { return status(unix.Unshare(number(w))) },
		"int80":           func(w []string) int { return status(sign(int80(uintptr(number(w))))) },
		"mount-cgroup":    func([]string) int { return status(unix.Mount("cgroup", "/tmp", "cgroup", 0, "rdma")) },
		"sleep":           func([]string) int { time.Sleep(time.Hour); return 0 },
		"threads":         threads,
		"hoard-terminals": hoardTerminals,
		"hoard-counted":   hoardCounted,
		"limit-init": func(w []string) int {
			return status(unix.Prlimit(1, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(number(w)), Max: uint64(number(w))}, nil))
		},
		"zombies": zombies,
		"signals": signals,
		"drop":    drop,
		"swap": func(w []string) int {
			for { // until it is killed
				_ = unix.Renameat2(unix.AT_FDCWD, w[0], unix.AT_FDCWD, w[1], unix.RENAME_EXCHANGE)
			}
		},
		"whoami": func([]string) int {
			fmt.Println(os.Getuid(), os.Geteuid(), capabilities())
			return 0
		},
	}
}

func number(words []string) int {
	n, _ := strconv.Atoi(words[0])
	return n
}

// sign reads a kernel's return value: small negative numbers are errors.
func sign(ret uintptr) error {
	if n := int32(ret); n < 0 && n > -4096 {
		return unix.Errno(-n)
	}
	return nil
}

// status passes an errno on as an exit status.
func status(err error) int {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return int(errno)
	}
	return 0
}

func inChild(words ...string) error { return result(exec.Command("/proc/self/exe", words...)) }

// inNewUser runs a part as root of a new user, mount and cgroup namespace.
func inNewUser(words ...string) error {
	cmd := exec.Command("/proc/self/exe", words...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
	}
	return result(cmd)
}

func result(cmd *exec.Cmd) error {
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	if w := exit.Sys().(syscall.WaitStatus); w.Signaled() {
		return fmt.Errorf("killed by %s", unix.SignalName(w.Signal()))
	}
	return unix.Errno(exit.ExitCode())
}

// drop gives up the capabilities that could hurt a machine for good, then runs the attack: for tests
// that look whether attacks work where nothing holds them.
func drop(words []string) int {
	for _, c := range []uintptr{unix.CAP_SYS_BOOT, unix.CAP_SYS_MODULE, unix.CAP_SYS_TIME, unix.CAP_MAC_ADMIN} {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
			return usage
		}
	}
	return status(unix.Exec("/proc/self/exe", append([]string{"attack"}, words...), os.Environ()))
}
