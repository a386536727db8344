package runtime

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"paas/platform"
)

// unknown is what the host does not count.
const unknown = -1

// Stats implements platform.Living. It reads a dozen files of the kernel, and none of them waits.
func (r *Runtime) Stats(_ context.Context, id platform.InstanceID) (platform.Stats, error) {
	c, err := r.alive(id)
	if err != nil {
		return platform.Stats{}, err
	}
	own, err := r.placesOf(c.init.pid)
	if err != nil {
		return platform.Stats{}, platform.Errorf(platform.NotFound, "no instance %s is running", id).Because(err)
	}
	s := platform.Stats{At: r.now(), CPU: unknown, Read: unknown, Written: unknown}
	own.memory(&s)
	own.processes(&s)
	own.cpu(&s)
	own.disk(&s)
	if s.CPU == unknown || s.Read == unknown {
		countProcesses(c.members(), &s)
	}
	countNetwork(c.init.pid, &s)
	return s, nil
}

// memory leaves out of what is used the page cache that was not touched lately, as docker stats does.
func (p places) memory(s *platform.Stats) {
	dir, v1 := p["memory"]
	used, peak, limit, inactive := "memory.usage_in_bytes", "memory.max_usage_in_bytes", "memory.limit_in_bytes", "total_inactive_file"
	if !v1 {
		dir = p[unified]
		used, peak, limit, inactive = "memory.current", "memory.peak", "memory.max", "inactive_file"
	}
	s.Memory, s.MemoryPeak = readNumber(filepath.Join(dir, used)), readNumber(filepath.Join(dir, peak))
	s.MemoryLimit = readLimit(filepath.Join(dir, limit))
	if cache := readField(filepath.Join(dir, "memory.stat"), inactive); s.Memory > 0 && cache > 0 {
		s.Memory = max(s.Memory-cache, 0)
	}
}

func (p places) processes(s *platform.Stats) {
	dir, ok := p["pids"]
	if !ok {
		dir = p[unified]
	}
	s.Processes = int(readNumber(filepath.Join(dir, "pids.current")))
	s.ProcessLimit = int(readLimit(filepath.Join(dir, "pids.max")))
}

// cpu is counted by every v2 group, with controllers or not, and by v1's cpuacct.
func (p places) cpu(s *platform.Stats) {
	if dir, ok := p["cpuacct"]; ok {
		if n := readNumber(filepath.Join(dir, "cpuacct.usage")); n >= 0 {
			s.CPU = time.Duration(n)
			return
		}
	}
	if filepath.Base(filepath.Dir(p[unified])) == freezersGroup {
		return // it counts from the first pause on: too late
	}
	if n := readField(filepath.Join(p[unified], "cpu.stat"), "usage_usec"); n >= 0 {
		s.CPU = time.Duration(n) * time.Microsecond
	}
}

// disk reads "8:0 rbytes=1 wbytes=2 …" on v2 and "8:0 Read 1" on v1 (blkio-controller.rst).
func (p places) disk(s *platform.Stats) {
	if dir, ok := p["blkio"]; ok {
		text := readControl(filepath.Join(dir, "blkio.throttle.io_service_bytes"))
		s.Read, s.Written = sumAfter(text, " Read "), sumAfter(text, " Write ")
		return
	}
	file := filepath.Join(p[unified], "io.stat")
	if _, err := os.Stat(file); err == nil {
		text := readControl(file)
		s.Read, s.Written = sumAfter(text, " rbytes="), sumAfter(text, " wbytes=")
	}
}

// sumAfter adds up the numbers that follow a key.
func sumAfter(text, key string) (sum int64) {
	for {
		_, rest, found := strings.Cut(text, key)
		if !found {
			return sum
		}
		end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
		if end < 0 {
			end = len(rest)
		}
		n, _ := strconv.ParseInt(rest[:end], 10, 64)
		sum, text = sum+n, rest[end:]
	}
}

// ticks is USER_HZ, which the kernel keeps at 100 for every x86 program whatever it uses itself (time(7)).
const ticks = 100

// countProcesses adds up what live processes and the children they waited for have used, where no group
// counts it. What a process that ignores its children has lost with them is missing.
func countProcesses(pids []int, s *platform.Stats) {
	var cpu time.Duration
	var read, written int64
	for _, pid := range pids {
		dir := "/proc/" + strconv.Itoa(pid)
		cpu += processTime(readControl(dir + "/stat"))
		text := "\n" + readControl(dir+"/io")
		read += sumAfter(text, "\nread_bytes: ")
		written += sumAfter(text, "\nwrite_bytes: ")
	}
	if s.CPU == unknown {
		s.CPU = cpu
	}
	if s.Read == unknown {
		s.Read, s.Written = read, written
	}
}

// processTime adds fields 14 to 17 of /proc/<pid>/stat, counted behind the command, which may hold
// anything: user and system time, and those of children that were waited for.
func processTime(stat string) (sum time.Duration) {
	_, after, _ := strings.Cut(stat[max(strings.LastIndexByte(stat, ')'), 0):], ")")
	fields := strings.Fields(after)
	if len(fields) < 15 {
		return 0
	}
	for _, f := range fields[11:15] {
		n, _ := strconv.ParseInt(f, 10, 64)
		sum += time.Duration(n) * time.Second / ticks
	}
	return sum
}

// countNetwork reads /proc/<pid>/net/dev (proc_pid_net(5)): "eth0: received and 7 more, sent and 7 more".
func countNetwork(pid int, s *platform.Stats) {
	text := readControl("/proc/" + strconv.Itoa(pid) + "/net/dev")
	if text == "" {
		s.Received, s.Sent = unknown, unknown
		return
	}
	for line := range strings.Lines(text) {
		name, rest, ok := strings.Cut(line, ":")
		fields := strings.Fields(rest)
		if !ok || len(fields) < 9 || strings.TrimSpace(name) == "lo" {
			continue
		}
		received, _ := strconv.ParseInt(fields[0], 10, 64)
		sent, _ := strconv.ParseInt(fields[8], 10, 64)
		s.Received, s.Sent = s.Received+received, s.Sent+sent
	}
}

// readNumber reads a control file that holds one number.
func readNumber(path string) int64 {
	n, err := strconv.ParseInt(readControl(path), 10, 64)
	if err != nil {
		return unknown
	}
	return n
}

// readLimit is 0 for none: v2 says "max", v1 the largest number of whole pages.
func readLimit(path string) int64 {
	n := readNumber(path)
	if n == unknown || n > math.MaxInt64/2 {
		return 0
	}
	return n
}

// readField finds "key value" among lines.
func readField(path, key string) int64 {
	for line := range strings.Lines(readControl(path)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name != key {
			continue
		}
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			return n
		}
	}
	return unknown
}
