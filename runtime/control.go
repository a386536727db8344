package runtime

import (
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Control files are read and written with plain system calls: os.File would give them to the poller, since
// they can be polled, and might then wait for ever for one that answered EAGAIN.

// writeControl writes a control file, again when a signal came between: memory.limit_in_bytes of v1 says EINTR then,
// and Go's scheduler sends signals to its own threads all the time.
func writeControl(path, value string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	for {
		if _, err = unix.Write(fd, []byte(value)); err != unix.EINTR {
			return err
		}
	}
}

// controlText is what a control file says; "" if it cannot be read.
func controlText(path string) string {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer func() { _ = unix.Close(fd) }()
	var text strings.Builder
	var b [8192]byte
	for {
		n, err := unix.Read(fd, b[:])
		if n <= 0 || err != nil {
			return strings.TrimSpace(text.String())
		}
		text.Write(b[:n])
	}
}

// uncounted is what the host does not count.
const uncounted = -1

// controlNumber reads a file that holds one number. "max", and what v1 says for it, is unlimited.
func controlNumber(path string) int64 {
	text := controlText(path)
	if text == "max" {
		return math.MaxInt64
	}
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil:
		return uncounted
	case n > math.MaxInt64/2: // v1 rounds the largest number down to whole pages
		return math.MaxInt64
	}
	return n
}

// controlField finds "key value" among the lines of a file.
func controlField(path, key string) int64 {
	for line := range strings.Lines(controlText(path)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name != key {
			continue
		}
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			return n
		}
	}
	return uncounted
}

// processesIn lists a group's processes.
func processesIn(dir string) (pids []int) {
	for field := range strings.FieldsSeq(controlText(filepath.Join(dir, "cgroup.procs"))) {
		if pid, err := strconv.Atoi(field); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

func exists(path string) bool { return unix.Access(path, unix.F_OK) == nil }
