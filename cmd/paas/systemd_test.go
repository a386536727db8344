package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// supervisor is what of systemd matters to a daemon: it starts it again whenever its main process ends, keeps the
// descriptors that it is given (FileDescriptorStoreMax=), and believes the main process alone (NotifyAccess=main).
type supervisor struct {
	p      *platformUnderTest
	notify *net.UnixConn
	path   string
	log    *os.File

	mu    sync.Mutex
	main  int
	store []*os.File
	ready chan struct{} // closed when the main process has said READY
	ended bool
	work  sync.WaitGroup
}

// supervise has the platform's daemon run below a supervisor, until the test's end.
func supervise(t *testing.T, p *platformUnderTest) *supervisor {
	t.Helper()
	p.end(syscall.SIGTERM)
	s := &supervisor{p: p, path: filepath.Join(t.TempDir(), "notify")}
	var err error
	if s.log, err = os.OpenFile(filepath.Join(p.data, "daemon.log"), os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		t.Fatal(err)
	}
	if s.notify, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.path, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	raw, err := s.notify.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1) })
	}
	if err != nil {
		t.Fatal(err)
	}
	s.work.Go(s.hear)
	s.work.Go(s.keep)
	t.Cleanup(func() { s.end(); _ = s.log.Close() })
	s.awaitReady(t)
	return s
}

// keep starts a main process whenever there is none.
func (s *supervisor) keep() {
	for s.begin() {
		for pid := s.pid(); ; pid = s.pid() { // MAINPID may change it
			awaitEnd(pid)
			if pid == s.pid() {
				break
			}
		}
	}
}

func (s *supervisor) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	names := make([]string, len(s.store))
	for i, f := range s.store {
		names[i] = f.Name()
	}
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$@"`, "sh", s.p.binary, "serve", "--data", s.p.data,
		"--http", fmt.Sprintf("127.0.0.1:%d", s.p.http), "--ssh", fmt.Sprintf("127.0.0.1:%d", s.p.ssh), "--domain", "example.test")
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+s.path, "LISTEN_FDS="+strconv.Itoa(len(s.store)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
	cmd.ExtraFiles, cmd.Stdout, cmd.Stderr = s.store, s.log, s.log
	s.ready = make(chan struct{})
	if cmd.Start() != nil {
		return false
	}
	s.main = cmd.Process.Pid
	go func() { _ = cmd.Wait() }()
	return true
}

// hear takes messages until the socket is closed.
func (s *supervisor) hear() {
	text, control := make([]byte, 4096), make([]byte, 4096)
	for {
		n, c, _, _, err := s.notify.ReadMsgUnix(text, control)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		from, files := senderAndFiles(control[:c])
		s.mu.Lock()
		if from == s.main {
			s.obey(strings.Split(string(text[:n]), "\n"), files)
		}
		s.mu.Unlock()
	}
}

func senderAndFiles(control []byte) (pid int, fds []int) {
	messages, _ := unix.ParseSocketControlMessage(control)
	for _, m := range messages {
		if cred, err := unix.ParseUnixCredentials(&m); err == nil {
			pid = int(cred.Pid)
		}
		if rights, err := unix.ParseUnixRights(&m); err == nil {
			fds = rights
		}
	}
	return pid, fds
}

// obey does what sd_notify(3) says. s.mu is held.
func (s *supervisor) obey(lines []string, fds []int) {
	name := ""
	for _, line := range lines {
		if rest, ok := strings.CutPrefix(line, "FDNAME="); ok {
			name = rest
		}
	}
	has := func(word string) bool { return slices.Contains(lines, word) }
	switch {
	case has("FDSTORE=1"):
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			if _, known := s.stored(name); !known {
				s.store = append(s.store, os.NewFile(uintptr(fd), name))
			}
		}
	case has("FDSTOREREMOVE=1"):
		if i, known := s.stored(name); known {
			_ = s.store[i].Close()
			s.store = slices.Delete(s.store, i, i+1)
		}
	case has("READY=1"):
		close(s.ready)
	case strings.HasPrefix(lines[0], "MAINPID="):
		s.main, _ = strconv.Atoi(strings.TrimPrefix(lines[0], "MAINPID="))
		s.ready = make(chan struct{})
	}
}

func (s *supervisor) stored(name string) (int, bool) {
	i := slices.IndexFunc(s.store, func(f *os.File) bool { return f.Name() == name })
	return i, i >= 0
}

func (s *supervisor) pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.main
}

// awaitReady waits until a main process other than those named serves.
func (s *supervisor) awaitReady(t *testing.T, not ...int) {
	t.Helper()
	for range 1200 {
		s.mu.Lock()
		main, ready := s.main, s.ready
		s.mu.Unlock()
		if main != 0 && !slices.Contains(not, main) {
			select {
			case <-ready:
				return
			default:
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("the daemon is not ready after 60 s")
}

func (s *supervisor) end() {
	s.mu.Lock()
	s.ended = true
	main := s.main
	s.mu.Unlock()
	_ = syscall.Kill(main, syscall.SIGTERM)
	awaitEnd(main)
	_ = s.notify.Close()
	s.work.Wait()
	for _, f := range s.store {
		_ = f.Close()
	}
}

// systemctl restart under mixed load fails nothing; only WebSockets have to be opened again.
func TestRestartUnderLoad(t *testing.T) {
	p, _ := newDoorsPlatform(t)
	s := supervise(t, p)
	var l load
	stop := p.mixedLoad(&l, 0)
	for range 5 {
		old := s.pid()
		_ = syscall.Kill(old, syscall.SIGTERM)
		s.awaitReady(t, old)
		time.Sleep(300 * time.Millisecond)
	}
	stop()
	t.Logf("%d requests over 5 restarts", l.done.Load())
	if l.failed.Load() > 0 || l.done.Load() < 100 {
		t.Errorf("%d of %d requests failed, the first with: %v", l.failed.Load(), l.done.Load(), l.first)
	}
}

// kill -9 of the main process, before and after a handover: whoever connects is served, as soon as there is a
// daemon again, and the one that a handover left is the one that is supervised.
func TestKillUnderSupervision(t *testing.T) {
	p, dir := newDoorsPlatform(t)
	s := supervise(t, p)
	var l load
	var over bool
	var mu sync.Mutex
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			mu.Lock()
			end := over
			mu.Unlock()
			if end {
				return
			}
			c := &doorClient{addr: fmt.Sprintf("127.0.0.1:%d", p.http)}
			err := c.ask("GET", "/", nil)
			if err != nil && !strings.Contains(err.Error(), "connect:") { // it was being answered when the daemon died
				err = nil
			}
			l.count(err)
			if c.conn != nil {
				c.close()
			}
			time.Sleep(2 * time.Millisecond)
		}
	}()
	for n := range 6 {
		old := s.pid()
		if n%2 == 1 {
			if err := p.handOver(); err != nil {
				t.Fatal(err)
			}
			if s.awaitReady(t, old); s.pid() != p.pid() {
				t.Fatalf("process %d is supervised, %d serves", s.pid(), p.pid())
			}
			old = s.pid()
		}
		_ = syscall.Kill(old, syscall.SIGKILL)
		s.awaitReady(t, old)
	}
	p.run(t, dir, filepath.Join(p.home, "bin", "ssh"), "paas", "ps", "doors")
	mu.Lock()
	over = true
	mu.Unlock()
	<-done
	t.Logf("%d connections over 6 kills", l.done.Load())
	if l.failed.Load() > 0 || l.done.Load() < 300 {
		t.Errorf("%d of %d connections failed, the first with: %v", l.failed.Load(), l.done.Load(), l.first)
	}
	p.oneDaemon(t)
}
