package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

var errNothing = errors.New("nothing came of it")

// doors are the ways that look out of a container: what is behind them must not be the host. words is
// the path of a file on the host that everybody may read.
func doors(words []string) []try {
	var tries []try
	for _, dir := range []string{
		"", "/proc/1/root", "/proc/1/cwd", "/proc/self/root", "/proc/self/cwd", "/proc/thread-self/root",
		"/proc/self/fd/0", "/proc/self/fd/3", "/proc/1/fd/3", "/dev/fd/4", ".", "..", "../../../../../../../..",
		"/proc/self/cwd/../../../..", "/proc/1/task/1/root", "/dev/pts/../..", "/sys/../..", "/proc/self/map_files",
	} {
		tries = append(tries, try{"find the host behind " + dir, func() error { return present(dir + words[0]) }})
	}
	for fd := range 96 {
		path := "/proc/1/fd/" + strconv.Itoa(fd)
		tries = append(tries, try{"open init's " + path, func() error { return follow(path) }})
		for _, up := range []string{"", "/..", "/../..", "/../../../../../../.."} {
			path := fmt.Sprintf("/proc/self/fd/%d%s%s", fd, up, words[0])
			tries = append(tries, try{"find the host behind " + path, func() error { return present(path) }})
		}
	}
	return append(tries,
		try{"see an unreachable working directory", func() error {
			b := make([]byte, unix.PathMax)
			n, err := unix.Getcwd(b)
			if err == nil && n > 0 && b[0] != '/' {
				return nil
			}
			return errNothing
		}},
		try{"open the host's file by an absolute link", func() error {
			link := "/tmp/out"
			_ = os.Symlink(words[0], link)
			return present(link)
		}})
}

func present(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}

// follow opens what a link of /proc leads to in any way.
func follow(path string) error {
	if openAny(path) == nil || present(path) == nil {
		return nil
	}
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err == nil {
		return unix.Close(fd)
	}
	return err
}

func openAny(path string) (err error) {
	for _, flags := range []int{unix.O_RDONLY, unix.O_WRONLY} {
		var fd int
		if fd, err = unix.Open(path, flags|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err == nil {
			return unix.Close(fd)
		}
	}
	return err
}

// descriptors looks for what was inherited beside stdin, stdout and stderr, and for what those three are.
func descriptors() []try {
	var tries []try
	for fd := range 20_000 {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) != nil {
			continue
		}
		link, _ := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
		what := fmt.Sprintf("inherit descriptor %d, %s", fd, link)
		tries = append(tries, try{what, func() error { return harmless(fd, st, link) }})
	}
	return tries
}

// harmless are pipes, the container's own /dev/null and terminal, and what this program's own runtime opened.
func harmless(fd int, st unix.Stat_t, link string) error {
	pipe := st.Mode&unix.S_IFMT == unix.S_IFIFO && strings.HasPrefix(link, "pipe:")
	device := st.Mode&unix.S_IFMT == unix.S_IFCHR && (link == "/dev/null" || strings.HasPrefix(link, "/dev/pts/"))
	if fd <= 2 && (pipe || device) {
		return errors.New("it is harmless")
	}
	if fd > 2 && (strings.HasPrefix(link, "anon_inode:[event")) {
		return errors.New("it is this program's own")
	}
	return nil
}

// programs overwrites what other processes run (CVE-2019-5736). For two seconds it looks for processes
// whose program is not of this container's image; it holds each by O_PATH and writes it as soon as nobody runs it.
func programs() []try {
	own, _ := os.Stat("/proc/self/exe")
	return []try{
		{"write init's program", func() error { return writeProgram("/proc/1/exe") }},
		{"read init's program", func() error { return present("/proc/1/exe") }},
		{"write the program of whoever comes by", func() error {
			held := make(map[string]int)
			for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
				holdForeign(own, held)
				if err := writeHeld(held); err == nil {
					return nil
				}
			}
			return fmt.Errorf("%w: %d programs were held", errNothing, len(held))
		}},
	}
}

func holdForeign(own os.FileInfo, held map[string]int) {
	paths, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil || os.SameFile(info, own) {
			continue
		}
		link, err := os.Readlink(path)
		if err != nil || present(link) == nil { // a program of the image: writing that is no attack
			continue
		}
		key := fmt.Sprint(info.Size(), info.ModTime())
		if _, known := held[key]; known {
			continue
		}
		if fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0); err == nil {
			held[key] = fd
		}
	}
}

func writeHeld(held map[string]int) error {
	for _, fd := range held {
		if err := writeProgram("/proc/self/fd/" + strconv.Itoa(fd)); err == nil {
			return nil
		}
	}
	return errNothing
}

func writeProgram(path string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	_, err = unix.Write(fd, []byte("#!/bin/evil\n"))
	return errors.Join(err, unix.Close(fd))
}

// writableFiles opens everything below dir that is not about a process for writing, and writes nothing.
func writableFiles(dir string) []try {
	var tries []try
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if e.IsDir() && filepath.Dir(path) == "/proc" && isNumber(e.Name()) {
			return fs.SkipDir
		}
		if e.IsDir() {
			tries = append(tries, try{"make a file in " + path, func() error { return makeFile(path + "/x") }})
		}
		if e.Type().IsRegular() {
			tries = append(tries, try{"open for writing " + path, func() error { return openForWriting(path) }})
		}
		return nil
	})
	return tries
}

func isNumber(s string) bool {
	_, err := strconv.Atoi(s)
	return err == nil
}

func makeFile(path string) error {
	fd, err := unix.Open(path, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// openForWriting does not count the null device, which hides files.
func openForWriting(path string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == unix.Mkdev(1, 3) {
		return fmt.Errorf("%w: it is the null device", errNothing)
	}
	return nil
}

// ownFiles are the files about a process that would give it more than it has, with what is written.
func ownFiles() []try {
	var tries []try
	for _, w := range [][2]string{
		{"/proc/self/uid_map", "0 0 4294967295"}, {"/proc/self/gid_map", "0 0 4294967295"},
		{"/proc/self/oom_score_adj", "-1000"}, {"/proc/self/oom_score_adj", "-1"},
		{"/proc/self/attr/current", "unconfined"}, {"/proc/self/attr/exec", "unconfined"},
		{"/proc/1/attr/current", "unconfined"}, {"/proc/1/mem", "x"}, {"/proc/1/uid_map", "0 0 1"},
		{"/proc/1/timerslack_ns", "1"}, {"/proc/1/coredump_filter", "ff"},
		{"/proc/self/timens_offsets", "monotonic 1000 0"},
		{"/proc/sysrq-trigger", "h"}, {"/proc/1/setgroups", "deny"},
		{"/proc/1/loginuid", "0"},
	} {
		tries = append(tries, try{"write " + w[1] + " to " + w[0], func() error { return write(w[0], w[1]) }})
	}
	return tries
}

func write(path, text string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	_, err = unix.Write(fd, []byte(text))
	return errors.Join(err, unix.Close(fd))
}

// hostSecrets are files of the kernel that tell about the host's memory, keys or log.
func hostSecrets() []try {
	var tries []try
	for _, path := range []string{
		"/proc/kcore", "/proc/keys", "/proc/sched_debug", "/proc/timer_list", "/proc/latency_stats", "/proc/kmsg",
		"/proc/slabinfo", "/proc/vmallocinfo", "/proc/kpagecount", "/proc/kpageflags", "/proc/kpagecgroup", "/proc/pagetypeinfo",
		"/proc/interrupts", "/proc/1/environ", "/proc/1/mem", "/proc/1/maps", "/proc/1/stack", "/proc/1/auxv", "/proc/1/syscall",
		"/proc/1/io", "/proc/1/pagemap", "/proc/1/personality", "/proc/1/smaps", "/sys/firmware/dmi/tables/DMI",
		"/sys/kernel/debug/x", "/sys/kernel/tracing/trace", "/sys/kernel/security/lockdown",
		"/sys/kernel/notes.x", "/sys/fs/cgroup/../../fs/pstore/x", "/dev/mem", "/dev/kmem", "/dev/kmsg", "/dev/port", "/etc/shadow",
		"/sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "/sys/devices/virtual/powercap/x",
	} {
		tries = append(tries, try{"read " + path, func() error { return readSome(path) }})
	}
	for path, field := range map[string]int{"/proc/kallsyms": 0, "/proc/modules": 5, "/proc/iomem": 0, "/proc/ioports": 0} {
		tries = append(tries, try{"learn addresses from " + path, func() error { return showsAddresses(path, field) }})
	}
	return append(tries,
		try{"read the kernel's log", func() error {
			b := make([]byte, 4096)
			n, err := unix.Klogctl(unix.SYSLOG_ACTION_READ_ALL, b)
			if err == nil && n > 0 {
				return nil
			}
			return fmt.Errorf("%d bytes: %w", n, errors.Join(err, errNothing))
		}},
		try{"clear the kernel's log", func() error { _, err := unix.Klogctl(unix.SYSLOG_ACTION_CONSOLE_OFF, nil); return err }},
		try{"see a process of the host", foreignProcess},
		try{"see where the layers are on the host", func() error { return mountSource("/state/", "/layers/", "/images/", "/instances/") }},
	)
}

// readSome is nil if there is anything in the file.
func readSome(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if unix.SetNonblock(int(f.Fd()), true) != nil {
		return errNothing
	}
	n, err := io.ReadFull(f, make([]byte, 1))
	if n == 0 {
		return errors.Join(err, errNothing)
	}
	return nil
}

func showsAddresses(path string, field int) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) > field && strings.Trim(words[field], "0x-") != "" {
			return nil
		}
	}
	return errNothing
}

// foreignProcess looks for kernel threads, which only the host has.
func foreignProcess() error {
	comms, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, path := range comms {
		text, _ := os.ReadFile(path)
		if bytes.HasPrefix(text, []byte("kthreadd")) || bytes.HasPrefix(text, []byte("systemd")) {
			return nil
		}
	}
	return errNothing
}

func mountSource(tells ...string) error {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for _, tell := range tells {
		if strings.Contains(string(text), tell) {
			return nil
		}
	}
	return errNothing
}
