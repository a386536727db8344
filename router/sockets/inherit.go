package sockets

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// How descriptors are handed to a program: sd_listen_fds(3). They begin at 3; names are joined with colons.
const (
	firstDescriptor = 3
	countVariable   = "LISTEN_FDS"
	namesVariable   = "LISTEN_FDNAMES"
	pidVariable     = "LISTEN_PID"

	mostDescriptors = 4096
)

// Inherit finds the descriptors that this process was started with; what is for another process is not ours.
// A predecessor cannot know our process id beforehand, so it leaves that variable empty.
func Inherit(get func(string) string) ([]*os.File, error) {
	count := get(countVariable)
	if pid := get(pidVariable); count == "" || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > mostDescriptors {
		return nil, fmt.Errorf("%s is %q, which is no number of descriptors", countVariable, count)
	}
	names := strings.Split(get(namesVariable), ":")
	var list []*os.File
	for i := range n {
		fd := firstDescriptor + i
		unix.CloseOnExec(fd) // what we start gets none of it by accident
		name := "unknown"
		if i < len(names) && names[i] != "" {
			name = names[i]
		}
		list = append(list, os.NewFile(uintptr(fd), name))
	}
	return list, nil
}

// Bequeath says in the environment what files, which the process is started with from descriptor 3 on, are.
func Bequeath(environment []string, files []*os.File) []string {
	out := without(environment)
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = f.Name()
	}
	return append(out, countVariable+"="+strconv.Itoa(len(files)), namesVariable+"="+strings.Join(names, ":"))
}

// Variables are the names of what says it in the environment.
func Variables() []string { return []string{countVariable, namesVariable, pidVariable} }

// without takes those variables away.
func without(environment []string) (out []string) {
	for _, v := range environment {
		name, _, _ := strings.Cut(v, "=")
		if !slices.Contains(Variables(), name) {
			out = append(out, v)
		}
	}
	return out
}

// Systemd is the store of descriptors of the unit that the process runs as (sd_pid_notify_with_fds(3), file
// descriptor store). What is in it comes back as Inherit's after a crash and after a restart. Path is
// NOTIFY_SOCKET; without one nothing is stored.
type Systemd struct{ Path string }

// Keep implements Keeper. A socket that is in the store already is not stored twice: systemd compares.
func (s Systemd) Keep(name string, f *os.File) {
	// FDPOLL=0: an error on a UDP socket, which any stranger may cause, must not take it out of the store.
	_ = s.send("FDSTORE=1\nFDPOLL=0\nFDNAME="+name, unix.UnixRights(int(f.Fd())))
}

// Drop implements Keeper.
func (s Systemd) Drop(name string) { _ = s.send("FDSTOREREMOVE=1\nFDNAME="+name, nil) }

// Say tells the state, such as "READY=1" (sd_notify(3)).
func (s Systemd) Say(state string) error { return s.send(state, nil) }

func (s Systemd) send(state string, rights []byte) error {
	if s.Path == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: s.Path, Net: "unixgram"}) // a leading @ is an abstract address
	if err != nil {
		return fmt.Errorf("tell systemd: %w", err)
	}
	defer func() { _ = conn.Close() }()
	raw, err := conn.SyscallConn()
	if err != nil {
		return fmt.Errorf("tell systemd: %w", err)
	}
	var failed error // package net sends no descriptors over a connected datagram socket
	err = raw.Control(func(fd uintptr) { failed = unix.Sendmsg(int(fd), []byte(state), rights, nil, 0) })
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("tell systemd: %w", err)
	}
	return nil
}
