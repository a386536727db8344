package oci

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestTheLifeOfAContainer(t *testing.T) {
	b := newBench(t)
	b.configure("echo started > /tmp/mark; exec sleep 100", nil)
	pidFile := filepath.Join(t.TempDir(), "pid")
	b.must("create", "--bundle", b.bundle, "--pid-file", pidFile, "a")
	equal(t, "status", b.status("a"), "created")
	text, err := os.ReadFile(pidFile)
	check(t, err)
	equal(t, "pid file", string(text), strconv.Itoa(b.pid("a")))
	if _, err := os.Stat(b.inRoot("tmp/mark")); err == nil {
		t.Error("the process ran before start")
	}
	equal(t, "a second create", b.run("create", "--bundle", b.bundle, "a"), 1)
	contains(t, "a second create", b.output(), "container a exists")
	equal(t, "delete of a created one", b.run("delete", "a"), 1)
	contains(t, "delete of a created one", b.output(), "is created")
	b.must("start", "a")
	equal(t, "status", b.status("a"), "running")
	equal(t, "a second start", b.run("start", "a"), 1)
	contains(t, "list", b.must("list"), "running")
	contains(t, "ps", b.must("ps", "a"), "sleep 100")
	b.must("pause", "a")
	equal(t, "status", b.status("a"), "paused")
	b.must("resume", "a")
	pid := b.pid("a")
	b.must("kill", "a", "KILL")
	b.until("a", "stopped")
	equal(t, "kill of a stopped one", b.run("kill", "a", "TERM"), 1)
	b.must("delete", "a")
	equal(t, "state of a deleted one", b.run("state", "a"), 1)
	equal(t, "delete of a deleted one", b.run("delete", "a"), 1)
	b.must("delete", "--force", "a")
	_, _ = unix.Wait4(pid, nil, 0, nil)
}

// Limits change while a container runs, both down and up.
func TestUpdateOfLimits(t *testing.T) {
	b := newBench(t)
	b.configure("exec sleep 100", nil)
	b.must("create", "--bundle", b.bundle, "a")
	b.must("start", "a")
	h, err := findHierarchies()
	check(t, err)
	groups := h.groups(b.group)
	dir := groups["pids"] + groups[""] // one of them is there
	file := filepath.Join(t.TempDir(), "limits")
	for _, bytes := range []int{32 << 20, 256 << 20, 16 << 20} {
		check(t, os.WriteFile(file, fmt.Appendf(nil, `{"memory": {"limit": %d, "swap": %d}, "pids": {"limit": %d}}`, bytes, bytes, bytes>>20), 0o600))
		b.must("update", "--resources", file, "a")
		text, err := os.ReadFile(filepath.Join(dir, "pids.max"))
		check(t, err)
		equal(t, "processes", strings.TrimSpace(string(text)), strconv.Itoa(bytes>>20))
	}
	check(t, os.WriteFile(file, []byte("much"), 0o600))
	equal(t, "no limits", b.run("update", "--resources", file, "a"), 1)
	contains(t, "no limits", b.output(), "are not JSON")
	b.end("a")
	equal(t, "one that is gone", b.run("update", "--resources", file, "a"), 1)
}

// A container that was paused can be deleted: processes frozen by version 1 do not die.
func TestAPausedContainerIsDeleted(t *testing.T) {
	b := newBench(t)
	b.configure("exec sleep 100", nil)
	b.must("create", "--bundle", b.bundle, "a")
	b.must("start", "a")
	b.must("pause", "a")
	b.end("a")
}

func TestRunPassesTheExitStatusOn(t *testing.T) {
	b := newBench(t)
	b.configure("echo out; echo err >&2; exit 7", nil)
	equal(t, "status", b.run("run", "--bundle", b.bundle, "a"), 7)
	contains(t, "output", b.output(), "out\nerr")
	b.configure("kill -9 $$; sleep 1", func(s *specs.Spec) { s.Linux.Namespaces = withoutPID(s) })
	equal(t, "status after a signal", b.run("run", "--bundle", b.bundle, "a"), 137)
}

func withoutPID(s *specs.Spec) (list []specs.LinuxNamespace) {
	for _, ns := range s.Linux.Namespaces {
		if ns.Type != specs.PIDNamespace {
			list = append(list, ns)
		}
	}
	return list
}

// What cannot be started fails the create, so that engines tell about it, and leaves nothing.
func TestFailuresLeaveNothing(t *testing.T) {
	b := newBench(t)
	for want, change := range map[string]func(*specs.Spec){
		"execute /none: no such file": func(s *specs.Spec) { s.Process.Args = []string{"/none"} },
		"execute none: no such file":  func(s *specs.Spec) { s.Process.Args = []string{"none"} },
		"permission denied":           func(s *specs.Spec) { s.Process.Args = []string{"/etc/plain"} },
		"open file system nofs":       func(s *specs.Spec) { s.Mounts = append(s.Mounts, specs.Mount{Destination: "/x", Type: "nofs"}) },
		"clone mount /nothere": func(s *specs.Spec) {
			s.Mounts = append(s.Mounts, specs.Mount{Destination: "/x", Type: "bind", Source: "/nothere"})
		},
		"is not a net": func(s *specs.Spec) {
			s.Linux.Namespaces[1] = specs.LinuxNamespace{Type: "network", Path: "/proc/self/ns/uts"}
		},
		"no such controller": func(s *specs.Spec) { s.Linux.Resources.HugepageLimits = []specs.LinuxHugepageLimit{{Pagesize: "3KB"}} },
		"hook /bin/false":    func(s *specs.Spec) { s.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/false"}}} },
	} {
		check(t, os.WriteFile(b.inRoot("etc/plain"), nil, 0o644))
		b.configure("true", change)
		if code := b.run("create", "--bundle", b.bundle, "a"); code != 1 {
			t.Errorf("%s: %d", want, code)
		}
		out := b.output()
		if want == "no such controller" {
			want = "set "
		}
		contains(t, "failure", out, want)
		equal(t, "state", b.run("state", "a"), 1)
		_ = b.output()
	}
}

func TestHooks(t *testing.T) {
	b := newBench(t)
	log := filepath.Join(t.TempDir(), "log")
	hook := func(name string) []specs.Hook {
		script := `s=$(cat); echo "` + name + ` $(echo "$s" | grep -o '"status":"[a-z]*"')" >> ` + log
		return []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: []string{"PATH=/bin:/usr/bin"}}}
	}
	inside := func(name string) []specs.Hook {
		script := "cat > /tmp/" + name + "; hostname >> /tmp/" + name
		return []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: []string{"PATH=/bin"}}}
	}
	b.configure("exit 0", func(s *specs.Spec) {
		s.Hooks = &specs.Hooks{
			Prestart: hook("prestart"), CreateRuntime: hook("createRuntime"), StartContainer: inside("startContainer"),
			Poststart: append([]specs.Hook{{Path: "/bin/false"}}, hook("poststart")...), Poststop: hook("poststop"),
			CreateContainer: []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "readlink /proc/self/ns/uts >> " + log}}},
		}
	})
	b.must("create", "--bundle", b.bundle, "a")
	uts, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/uts", b.pid("a")))
	check(t, err)
	pid := b.pid("a")
	contains(t, "warning", b.must("start", "a"), "hook /bin/false")
	_, _ = unix.Wait4(pid, nil, 0, nil)
	b.must("delete", "a")
	text, err := os.ReadFile(log)
	check(t, err)
	want := `prestart "status":"created"
createRuntime "status":"creating"
` + uts + `
poststart "status":"running"
poststop "status":"stopped"
`
	equal(t, "hooks", string(text), want)
	text, err = os.ReadFile(b.inRoot("tmp/startContainer"))
	check(t, err)
	contains(t, "startContainer", string(text), `"status":"created"`)
	contains(t, "startContainer", string(text), "paas")
}

// A hook may ask for the state of the container that is being made.
func TestAHookMayAskForTheState(t *testing.T) {
	b := newBench(t)
	b.configure("true", func(s *specs.Spec) {
		timeout := 20
		s.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/sleep", Args: []string{"sleep", "1"}, Timeout: &timeout}}}
	})
	done := make(chan int, 1)
	go func() { done <- b.run("create", "--bundle", b.bundle, "a") }()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(b.state, "a", recordName)); err == nil {
			break
		}
	}
	store, err := Open(b.state)
	check(t, err)
	begin := time.Now()
	_, err = (&Runtime{Store: store}).State("a")
	check(t, err)
	if time.Since(begin) > 500*time.Millisecond {
		t.Error("state waited for create")
	}
	equal(t, "create", <-done, 0)
	b.end("a")
}

func TestAHookIsEndedInTime(t *testing.T) {
	b := newBench(t)
	one := 1
	slow := []specs.Hook{{Path: "/bin/sleep", Args: []string{"sleep", "60"}, Timeout: &one}}
	for _, hooks := range []specs.Hooks{{CreateRuntime: slow}, {CreateContainer: slow}} {
		b.configure("true", func(s *specs.Spec) { s.Hooks = &hooks })
		begin := time.Now()
		equal(t, "create", b.run("create", "--bundle", b.bundle, "a"), 1)
		if time.Since(begin) > 10*time.Second {
			t.Error("the hook was not ended")
		}
		contains(t, "error", b.output(), "deadline")
	}
}

func TestExec(t *testing.T) {
	b := newBench(t)
	b.configure("exec sleep 100", func(s *specs.Spec) { s.Process.Env = append(s.Process.Env, "COLOR=blue") })
	b.must("create", "--bundle", b.bundle, "a")
	defer b.end("a")
	b.must("start", "a")
	out := b.must("exec", "--cwd", "/tmp", "--env", "SIZE=3", "a", "sh", "-c", "echo $COLOR $SIZE $PWD; cat /proc/self/cgroup; readlink /proc/self/ns/pid /proc/1/ns/pid; grep -E 'NoNew|CapBnd' /proc/self/status")
	contains(t, "exec", out, "blue 3 /tmp")
	contains(t, "exec", out, "NoNewPrivs:\t1")
	contains(t, "exec", out, "CapBnd:\t0000000020000420")
	equal(t, "exit status", b.run("exec", "a", "sh", "-c", "exit 9"), 9)
	contains(t, "user", b.must("exec", "--user", "5:6", "a", "id"), "uid=5 gid=6")
	equal(t, "no such program", b.run("exec", "a", "/none"), 1)
	contains(t, "no such program", b.output(), "execute /none: no such file or directory")
	process, err := json.Marshal(specs.Process{Args: []string{"pwd"}, Cwd: "/etc", Env: []string{"PATH=/bin"}})
	check(t, err)
	file := filepath.Join(t.TempDir(), "process.json")
	check(t, os.WriteFile(file, process, 0o600))
	contains(t, "described", b.must("exec", "--process", file, "a"), "/etc")
	pidFile := filepath.Join(t.TempDir(), "pid")
	b.must("exec", "--detach", "--pid-file", pidFile, "a", "sleep", "99")
	contains(t, "ps", b.must("ps", "a"), "sleep 99")
	text, err := os.ReadFile(pidFile)
	check(t, err)
	pid, err := strconv.Atoi(string(text))
	check(t, err)
	check(t, unix.Kill(pid, unix.SIGKILL)) // a child of this process: nobody else reaps it
	_, _ = unix.Wait4(pid, nil, 0, nil)
}

// A terminal comes over the console socket, and is the process's own.
func TestTerminal(t *testing.T) {
	b := newBench(t)
	socket := filepath.Join(t.TempDir(), "console")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket})
	check(t, err)
	defer func() { _ = l.Close() }()
	b.configure("tty; stat -c %t:%T /dev/console; cat", func(s *specs.Spec) {
		s.Process.Terminal, s.Process.ConsoleSize = true, &specs.Box{Height: 7, Width: 40}
	})
	equal(t, "create without a socket", b.run("create", "--bundle", b.bundle, "a"), 1)
	_ = b.output()
	b.must("create", "--bundle", b.bundle, "--console-socket", socket, "a")
	defer b.end("a")
	master := receiveTerminal(t, l)
	defer func() { _ = master.Close() }()
	size, err := unix.IoctlGetWinsize(int(master.Fd()), unix.TIOCGWINSZ)
	check(t, err)
	equal(t, "columns", size.Col, 40)
	b.must("start", "a")
	seen := readUntil(t, master, "\n88:0")
	contains(t, "tty", seen, "/dev/pts/0")
	_, err = master.WriteString("hello\n")
	check(t, err)
	readUntil(t, master, "hello\r\nhello")
	_, err = master.Write([]byte{4}) // the end of its input
	check(t, err)
	b.until("a", "stopped")
}

func receiveTerminal(t *testing.T, l *net.UnixListener) *os.File {
	t.Helper()
	check(t, l.SetDeadline(time.Now().Add(10*time.Second)))
	conn, err := l.AcceptUnix()
	check(t, err)
	defer func() { _ = conn.Close() }()
	text, oob := make([]byte, 100), make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := conn.ReadMsgUnix(text, oob)
	check(t, err)
	if n == 0 {
		t.Error("the terminal has no name")
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	check(t, err)
	fds, err := unix.ParseUnixRights(&messages[0])
	check(t, err)
	return os.NewFile(uintptr(fds[0]), "master")
}

func readUntil(t *testing.T, f *os.File, want string) string {
	t.Helper()
	var seen strings.Builder
	buffer := make([]byte, 1000)
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(seen.String(), want); {
		polled := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLIN}}
		_, _ = unix.Poll(polled, 100)
		if polled[0].Revents != 0 {
			n, err := f.Read(buffer)
			seen.Write(buffer[:n])
			if err != nil {
				t.Fatalf("%v after %q", err, seen.String())
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%q lacks %q", seen.String(), want)
		}
	}
	return seen.String()
}

func TestPreservedDescriptors(t *testing.T) {
	b := newBench(t)
	b.configure("cat <&3; ls /proc/self/fd", nil)
	r, w, err := os.Pipe()
	check(t, err)
	defer func() { _ = r.Close() }()
	_, err = w.WriteString("through 3\n")
	check(t, err)
	check(t, w.Close())
	// Descriptor 3 of this process is the test's own: for the while it is the pipe.
	saved, err := unix.FcntlInt(3, unix.F_DUPFD_CLOEXEC, 50)
	check(t, err)
	check(t, unix.Dup3(int(r.Fd()), 3, unix.O_CLOEXEC))
	out := b.must("run", "--bundle", b.bundle, "--preserve-fds", "1", "a")
	check(t, unix.Dup3(saved, 3, unix.O_CLOEXEC))
	check(t, unix.Close(saved))
	contains(t, "descriptor 3", out, "through 3")
}
