package runtime

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"paas/platform"
	"paas/runtime/script"
)

// signalOf knows the signals that a client may send (RFC 4254, section 6.9), and a break.
func signalOf(name platform.Signal) (unix.Signal, bool) {
	switch name {
	case platform.Break:
		return unix.SIGINT, true
	case "ABRT", "ALRM", "FPE", "HUP", "ILL", "INT", "KILL", "PIPE", "QUIT", "SEGV", "TERM", "USR1", "USR2":
		return unix.SignalNum("SIG" + string(name)), true
	}
	return 0, false
}

// relay delivers a caller's signals until the command has ended. Those that nobody knows are passed over.
func relay(signals <-chan platform.Signal, ended <-chan struct{}, deliver func(unix.Signal)) {
	for {
		select {
		case <-ended:
			return
		case name, open := <-signals:
			if !open {
				return
			}
			if s, known := signalOf(name); known {
				deliver(s)
			}
		}
	}
}

// deliver gives a job a signal: on a terminal to what runs in the foreground, else to its process group.
func (c *container) deliver(s unix.Signal) {
	if !signalForeground(c.master, s) {
		_ = c.shell.conn.Signal(s) // fails when it has just ended
	}
}

func (e *entry) deliver(init *script.Conn) func(unix.Signal) {
	return func(s unix.Signal) {
		if !signalForeground(e.master, s) {
			_ = init.Signal(s)
		}
	}
}

// signalForeground signals the process group in the foreground of a PTY, whose number the kernel translates for
// whoever asks through the master (ioctl_tty(2)). It is false if there is none.
func signalForeground(master *os.File, s unix.Signal) bool {
	group := terminalNumber(master, unix.TIOCGPGRP)
	return group > 1 && unix.Kill(-group, s) == nil
}

// hangUpForeground tells what runs in the foreground that the line dropped, and waits until it has ended: the shell
// behind it would not, and what it leaves ends with it.
func hangUpForeground(master *os.File, ended <-chan struct{}, late context.Context) {
	group := terminalNumber(master, unix.TIOCGPGRP)
	if group <= 1 || unix.Kill(-group, unix.SIGHUP) != nil {
		return
	}
	for unix.Kill(-group, 0) == nil {
		select {
		case <-ended:
			return
		case <-late.Done():
			return
		case <-time.After(sessionPause):
		}
	}
}

// terminalNumber asks a PTY's master for its foreground group (TIOCGPGRP) or session (TIOCGSID); 0 for none.
func terminalNumber(master *os.File, request uint) (n int) {
	if master == nil {
		return 0
	}
	raw, err := master.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) {
		if got, err := unix.IoctlGetInt(int(fd), request); err == nil {
			n = got
		}
	})
	return n
}

// leave is for a caller who went away: SIGHUP to the command and to what runs in the foreground of its terminal, and
// SIGKILL after a while to all of its session.
func (e *entry) leave(c *container, init *script.Conn, ended <-chan struct{}) {
	session := terminalNumber(e.master, unix.TIOCGSID)
	late, cancel := context.WithTimeout(context.Background(), hangUpGrace)
	defer cancel()
	hangUpForeground(e.master, ended, late)
	_ = init.Signal(unix.SIGHUP)
	select {
	case <-ended:
	case <-late.Done():
	}
	for left := c.inSession(session); len(left) > 0; left = c.inSession(session) {
		select {
		case <-time.After(sessionPause):
			continue
		case <-late.Done():
		}
		for _, pid := range left {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		return
	}
}

const sessionPause = 50 * time.Millisecond // between looks at what is left of a session

// inSession lists the container's processes of a session, by the host's numbers.
func (c *container) inSession(session int) []int {
	if session <= 1 {
		return nil
	}
	return slices.DeleteFunc(c.members(), func(pid int) bool { return sessionOf(pid) != session })
}

// sessionOf is field 6 of /proc/<pid>/stat, counted behind the command, which may hold anything.
func sessionOf(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(fields) < 4 {
		return 0
	}
	n, _ := strconv.Atoi(fields[3])
	return n
}
