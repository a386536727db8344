package main

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// floods use things up. Each says how far it came.
func floods() map[string]func(words []string) map[string]int64 {
	return map[string]func([]string) map[string]int64{
		"forkbomb":    func(w []string) map[string]int64 { return forkBomb(duration(w)) },
		"threadbomb":  func(w []string) map[string]int64 { return threadBomb(duration(w)) },
		"files":       func([]string) map[string]int64 { return filesFlood() },
		"terminals":   func([]string) map[string]int64 { return terminalFlood() },
		"memory":      func([]string) map[string]int64 { return memoryFlood() },
		"memory-tree": func(w []string) map[string]int64 { return memoryTree(duration(w)) },
		"tmpfs":       func(w []string) map[string]int64 { return fill(w[0]) },
		"memfd":       func([]string) map[string]int64 { return memfdFlood() },
		"sysv":        func([]string) map[string]int64 { return sysvFlood() },
		"pipes":       func([]string) map[string]int64 { return pipeFlood() },
		"socketbuf":   func([]string) map[string]int64 { return socketFlood() },
		"connections": func([]string) map[string]int64 { return connectionFlood() },
		"pagecache":   func(w []string) map[string]int64 { return pageCache(w[0]) },
		"inodes":      func(w []string) map[string]int64 { return inodes(w[0], number(w[1:])) },
		"watches":     func([]string) map[string]int64 { return watchFlood() },
		"spin":        func(w []string) map[string]int64 { return spin(duration(w)) },
		"log":         func(w []string) map[string]int64 { return logFlood(duration(w)) },
		"longline":    func([]string) map[string]int64 { return longLine() },
		"flows":       func(w []string) map[string]int64 { return flowFlood(w[0], number(w[1:])) },
		"counted":     func([]string) map[string]int64 { return takeCounted() },
		"hold":        func([]string) map[string]int64 { hold(); return nil },
	}
}

func duration(words []string) time.Duration {
	d, err := time.ParseDuration(words[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(usage)
	}
	return d
}

// forkBomb forks without end, every child too, until the time is up and it was refused once. On a slow processor its
// children keep it from that for a while.
func forkBomb(d time.Duration) map[string]int64 {
	var forked, refused int64
	for begin := time.Now(); time.Since(begin) < d || refused == 0 && time.Since(begin) < time.Minute; {
		pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
		switch {
		case errno != 0:
			refused++
		case pid == 0:
			for { // the child's whole life
				_, _, _ = unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
			}
		default:
			forked++
		}
	}
	return map[string]int64{"forked": forked, "refused": refused}
}

func threadBomb(d time.Duration) map[string]int64 {
	// This program's own runtime dies when it cannot have a thread, so that must be a child's fate.
	cmd := exec.Command("/proc/self/exe", "threads")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return map[string]int64{"failed": 1}
	}
	most := 0
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		tasks, _ := os.ReadDir("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/task")
		most = max(most, len(tasks))
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	return map[string]int64{"threads": int64(most)}
}

// threads makes OS threads until that fails.
func threads([]string) int {
	for {
		go func() {
			runtime.LockOSThread()
			_, _, _ = syscall.Syscall(syscall.SYS_PAUSE, 0, 0, 0)
		}()
		time.Sleep(50 * time.Microsecond)
	}
}

func filesFlood() map[string]int64 {
	var n int64
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); n++ {
		if _, err := unix.Open("/dev/null", unix.O_RDONLY, 0); err != nil {
			break
		}
	}
	return map[string]int64{"files": n}
}

func terminalFlood() map[string]int64 {
	var n int64
	for n < 20_000 {
		if _, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY, 0); err != nil {
			break
		}
		n++
	}
	return map[string]int64{"terminals": n}
}

// hoardTerminals keeps them.
func hoardTerminals([]string) int {
	fmt.Println("held", terminalFlood()["terminals"])
	time.Sleep(time.Hour)
	return 0
}

// zombies never waits for its children.
func zombies([]string) int {
	for {
		pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
		if errno != 0 {
			time.Sleep(time.Hour)
		}
		if pid == 0 {
			_, _, _ = unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
	}
}

// signals sends init those that it cares for, as fast as it can.
func signals([]string) int {
	for {
		for _, s := range []unix.Signal{unix.SIGCHLD, unix.SIGHUP, unix.SIGWINCH, unix.SIGUSR1, unix.Signal(34), unix.SIGPIPE} {
			_ = unix.Kill(1, s)
		}
	}
}

const mebibyte = 1 << 20

// memoryFlood takes memory until it is killed.
func memoryFlood() map[string]int64 {
	var hoard [][]byte
	for {
		b := bytes.Repeat([]byte{1}, 8*mebibyte)
		hoard = append(hoard, b)
		if len(hoard) > 10_000 {
			return map[string]int64{"mebibytes": int64(8 * len(hoard))}
		}
	}
}

// memoryTree has many children do it, over and over, so that killing one does not help.
func memoryTree(d time.Duration) map[string]int64 {
	var killed int64
	for end := time.Now().Add(d); time.Now().Before(end); {
		var batch []*exec.Cmd
		for range 4 {
			cmd := exec.Command("/proc/self/exe", "memory")
			if cmd.Start() == nil {
				batch = append(batch, cmd)
			}
		}
		for _, cmd := range batch {
			if cmd.Wait() != nil {
				killed++
			}
		}
	}
	return map[string]int64{"killed": killed}
}

// fill writes a file until there is no room.
func fill(path string) map[string]int64 {
	fd, err := unix.Open(path, unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return map[string]int64{"failed": 1}
	}
	chunk := bytes.Repeat([]byte{1}, mebibyte)
	var written int64
	for written < 16<<30 {
		n, err := unix.Write(fd, chunk)
		if err != nil {
			break
		}
		written += int64(n)
	}
	return map[string]int64{"bytes": written}
}

func memfdFlood() map[string]int64 {
	fd, err := unix.MemfdCreate("flood", 0)
	if err != nil {
		return map[string]int64{"failed": 1}
	}
	return fill("/proc/self/fd/" + strconv.Itoa(fd))
}

func sysvFlood() map[string]int64 {
	var taken int64
	for range 1000 {
		id, err := unix.SysvShmGet(unix.IPC_PRIVATE, 16*mebibyte, unix.IPC_CREAT|0o600)
		if err != nil {
			break
		}
		b, err := unix.SysvShmAttach(id, 0, 0)
		if err != nil {
			break
		}
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		taken += int64(len(b))
	}
	return map[string]int64{"bytes": taken}
}

func pipeFlood() map[string]int64 {
	chunk := make([]byte, mebibyte)
	var taken int64
	for {
		var p [2]int
		if unix.Pipe2(p[:], unix.O_NONBLOCK) != nil {
			return map[string]int64{"bytes": taken}
		}
		_, _ = unix.FcntlInt(uintptr(p[1]), unix.F_SETPIPE_SZ, mebibyte)
		n, _ := unix.Write(p[1], chunk)
		taken += int64(max(n, 0))
	}
}

func socketFlood() map[string]int64 {
	chunk := make([]byte, 200<<10)
	var taken int64
	for {
		p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return map[string]int64{"bytes": taken}
		}
		n, _ := unix.Write(p[0], chunk)
		taken += int64(max(n, 0))
	}
}

// pageCache reads back more of a file than the container may have in memory.
func pageCache(path string) map[string]int64 {
	const size = 128 * mebibyte
	fd, err := unix.Open(path, unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return map[string]int64{"failed": 1}
	}
	chunk := make([]byte, mebibyte)
	var done int64
	for done < size {
		n, err := unix.Write(fd, chunk)
		if err != nil {
			break
		}
		done += int64(n)
	}
	_, _ = unix.Seek(fd, 0, 0)
	for n, err := unix.Read(fd, chunk); n > 0 && err == nil; n, err = unix.Read(fd, chunk) {
		continue
	}
	return map[string]int64{"bytes": done}
}

func inodes(dir string, most int) map[string]int64 {
	var n int64
	for n < int64(most) {
		if makeFile(dir+"/i"+strconv.FormatInt(n, 10)) != nil {
			break
		}
		n++
	}
	return map[string]int64{"inodes": n}
}

func watchFlood() map[string]int64 {
	var instances, watches int64
	for {
		fd, err := unix.InotifyInit()
		if err != nil {
			return map[string]int64{"instances": instances, "watches": watches}
		}
		instances++
		if _, err := unix.InotifyAddWatch(fd, "/tmp", unix.IN_ALL_EVENTS); err == nil {
			watches++
		}
	}
}

func spin(d time.Duration) map[string]int64 {
	for range 4 * runtime.NumCPU() {
		go func() {
			for n := 0; ; n++ { //nolint:revive // burning time is the purpose
				_ = n
			}
		}()
	}
	time.Sleep(d)
	return map[string]int64{"spinners": int64(4 * runtime.NumCPU())}
}

// logFlood writes lines to stdout and stderr as fast as they are taken.
func logFlood(d time.Duration) map[string]int64 {
	block := bytes.Repeat([]byte("flood flood flood flood flood flood flood flood flood flood\n"), 1000)
	var written int64
	for end := time.Now().Add(d); time.Now().Before(end); {
		for _, to := range []int{1, 2} {
			n, err := unix.Write(to, block)
			if err != nil {
				return map[string]int64{"failed": 1}
			}
			written += int64(n)
		}
	}
	return map[string]int64{"bytes": written}
}

// longLine is a line without end.
func longLine() map[string]int64 {
	block := bytes.Repeat([]byte("x"), mebibyte)
	var written int64
	for range 64 {
		n, err := unix.Write(1, block)
		if err != nil {
			break
		}
		written += int64(n)
	}
	return map[string]int64{"bytes": written}
}

// flowFlood sends a datagram to every port of many addresses, so that the host has a connection to track for each.
func flowFlood(prefix string, most int) map[string]int64 {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return map[string]int64{"failed": 1}
	}
	first := netip.MustParseAddr(prefix).As4()
	var sent int64
	for sent < int64(most) {
		to := &unix.SockaddrInet4{Addr: first, Port: 1 + int(sent%60_000)}
		to.Addr[3] += byte(sent / 60_000)
		_ = unix.Sendto(fd, []byte{0}, 0, to)
		sent++
	}
	return map[string]int64{"sent": sent}
}

// hold offers by name what a neighbour must not find, says "ready", and stays.
func hold() {
	_, _ = unix.SysvShmGet(sharedKey, 4096, unix.IPC_CREAT|0o666)
	_ = call("", unix.SYS_SEMGET, sharedKey, 1, unix.IPC_CREAT|0o666).do()
	_ = call("", unix.SYS_MSGGET, sharedKey, unix.IPC_CREAT|0o666).do()
	_ = call("", unix.SYS_MQ_OPEN, text(queueName), unix.O_CREAT|unix.O_RDWR, 0o666, 0).do()
	for _, path := range []string{"/dev/shm/neighbour", "/tmp/neighbour"} {
		_ = os.WriteFile(path, nil, 0o666)
	}
	l, err := net.Listen("unix", socketName)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(usage)
	}
	fmt.Println("ready")
	for {
		c, err := l.Accept()
		if err != nil {
			os.Exit(usage)
		}
		_ = c.Close()
	}
}
