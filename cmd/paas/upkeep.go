package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"paas/platform"
)

// nearlyAll of the descriptors the daemon may have is a warning: each connection takes one.
const nearlyAll = 0.8

// daemonFinding tells what the daemon itself takes, so that what only ever grows is seen.
func daemonFinding() platform.Finding {
	f := platform.Finding{Check: "daemon", Grade: platform.Fine}
	open, most := descriptors()
	f.Text = fmt.Sprintf("It has %d goroutines, %d of %d descriptors and %s of memory.", runtime.NumGoroutine(), open, most, platform.Bytes(resident()))
	if float64(open) > nearlyAll*float64(most) {
		f.Grade, f.Fix = platform.Warning, "raise LimitNOFILE= of the service, and restart it"
	}
	return f
}

func descriptors() (open int, most uint64) {
	if list, err := os.ReadDir("/proc/self/fd"); err == nil {
		open = len(list) - 1 // the one it is read by
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err == nil {
		most = limit.Cur
	}
	return open, most
}

// resident is memory in bytes, 0 where /proc does not tell (proc_pid_statm(5)).
func resident() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
