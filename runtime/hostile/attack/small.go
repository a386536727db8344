package main

import (
	"bytes"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// smallFloods use things up of which one is next to nothing.
func smallFloods() map[string]func(words []string) map[string]int64 {
	return map[string]func([]string) map[string]int64{
		"lines":    func(w []string) map[string]int64 { return lineFlood(duration(w)) },
		"dentries": func(w []string) map[string]int64 { return dentryFlood(duration(w)) },
		"epolls":   func([]string) map[string]int64 { return epollFlood() },
		"queues":   func([]string) map[string]int64 { return queueFlood() },
	}
}

// lineFlood writes lines of one byte: each costs its reader a time and an address, which are longer.
func lineFlood(d time.Duration) map[string]int64 {
	block := bytes.Repeat([]byte("x\n"), 8<<10)
	var lines int64
	for end := time.Now().Add(d); time.Now().Before(end); {
		n, err := unix.Write(1, block)
		if err != nil {
			break
		}
		lines += int64(n / 2)
	}
	return map[string]int64{"lines": lines}
}

// dentryFlood asks for names that are not there; the kernel remembers each that it did not find.
func dentryFlood(d time.Duration) map[string]int64 {
	var names int64
	var st unix.Stat_t
	for end := time.Now().Add(d); time.Now().Before(end); names++ {
		_ = unix.Lstat("/tmp/nothing-of-a-long-name-that-the-kernel-keeps-"+strconv.FormatInt(names, 10), &st)
	}
	return map[string]int64{"names": names}
}

// epollFlood has every epoll watch all that came before it.
func epollFlood() map[string]int64 {
	var instances, watches int64
	var all []int
	for len(all) < 2000 {
		fd, err := unix.EpollCreate1(0)
		if err != nil {
			break
		}
		instances++
		for _, other := range all {
			if unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, other, &unix.EpollEvent{Events: unix.EPOLLIN}) != nil {
				break // nested too deeply, or too many
			}
			watches++
		}
		all = append(all, fd)
	}
	return map[string]int64{"instances": instances, "watches": watches}
}

// queueFlood fills System V message queues.
func queueFlood() map[string]int64 {
	message := make([]byte, 8+4096)
	message[0] = 1 // its type
	var queues, bytes int64
	for queues < 4096 {
		id, _, errno := unix.Syscall(unix.SYS_MSGGET, unix.IPC_PRIVATE, 0o600, 0)
		if errno != 0 {
			break
		}
		queues++
		const noWait = 0o4000 // IPC_NOWAIT, linux/ipc.h
		for call("", unix.SYS_MSGSND, int(id), message, 4096, noWait).do() == nil {
			bytes += 4096
		}
	}
	return map[string]int64{"queues": queues, "bytes": bytes}
}
