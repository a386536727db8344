package sockets_test

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"paas/router/sockets"
)

// TestMain is also the successor that TestSuccessor starts: it answers one connection with its name.
func TestMain(m *testing.M) {
	if os.Getenv("SOCKETS_TEST_CHILD") == "" {
		os.Exit(m.Run())
	}
	files, err := sockets.Inherit(os.Getenv)
	if err != nil {
		panic(err)
	}
	l, err := sockets.NewSet(files, nil).Listen("web", "tcp", os.Getenv("SOCKETS_TEST_CHILD"))
	if err != nil {
		panic(err)
	}
	c, err := l.Accept()
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(c, "successor")
	_ = c.Close()
}

func serveName(t *testing.T, l net.Listener, name string) {
	t.Helper()
	over := make(chan struct{})
	go func() {
		defer close(over)
		for {
			c, err := l.Accept()
			if err != nil {
				if !errors.Is(err, net.ErrClosed) {
					t.Error(err)
				}
				return
			}
			_, _ = io.WriteString(c, name)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-over })
}

func ask(t *testing.T, addr string) string {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	text, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A paused listener refuses nobody: who comes meanwhile is answered later.
func TestPause(t *testing.T) {
	l, err := sockets.NewSet(nil, nil).Listen("web", "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveName(t, l, "one")
	for range 20 {
		l.Pause()
		answer := make(chan string, 1)
		go func() { answer <- ask(t, l.Addr().String()) }()
		time.Sleep(2 * time.Millisecond)
		if err := l.Resume(); err != nil {
			t.Fatal(err)
		}
		if got := <-answer; got != "one" {
			t.Fatalf("got %q", got)
		}
	}
}

// What waits in the queue of a socket is answered by another process when the first one has left.
func TestSuccessor(t *testing.T) {
	set := sockets.NewSet(nil, nil)
	l, err := set.Listen("web", "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Pause()
	answer := make(chan string, 1)
	go func() { answer <- ask(t, addr) }()
	cmd := exec.Command(os.Args[0])
	cmd.ExtraFiles = set.Files()
	cmd.Env = sockets.Bequeath(append(os.Environ(), "SOCKETS_TEST_CHILD="+addr), set.Files())
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	set.Leave()
	if got := <-answer; got != "successor" {
		t.Errorf("got %q", got)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// Handing sockets to a child must not put them into blocking mode here: Close would then wait for a client.
func TestFilesStayNonBlocking(t *testing.T) {
	set := sockets.NewSet(nil, nil)
	l, err := set.Listen("web", "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("true")
	cmd.ExtraFiles = set.Files()
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	flags, err := unix.FcntlInt(set.Files()[0].Fd(), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("flags %#x, error %v", flags, err)
	}
	_ = l.Close()
}

// An inherited socket serves where it fits what is asked for; another one is closed and bound anew.
func TestInheritedAddress(t *testing.T) {
	first := sockets.NewSet(nil, nil)
	l, err := first.Listen("web", "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "s")
	if _, err := first.Listen("local", "unix", path); err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	kept := &keeper{}
	second := sockets.NewSet(first.Files(), kept)
	again, err := second.Listen("web", "tcp", addr) // bound twice it would fail
	if err != nil {
		t.Fatal(err)
	}
	serveName(t, again, "second")
	if got := ask(t, addr); got != "second" {
		t.Errorf("got %q", got)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := second.Listen("local", "unix", path); err != nil { // the old one has no path any more
		t.Fatal(err)
	}
	if got := strings.Join(kept.told, " "); got != "+web -local +local" {
		t.Errorf("the keeper was told %q", got)
	}
}

type keeper struct{ told []string }

func (k *keeper) Keep(name string, _ *os.File) { k.told = append(k.told, "+"+name) }
func (k *keeper) Drop(name string)             { k.told = append(k.told, "-"+name) }

// Descriptors for another process are none of ours, and nonsense is refused.
func TestInherit(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"none": {}, "another's": {"LISTEN_FDS": "1", "LISTEN_PID": "1"}, "empty": {"LISTEN_FDS": "0"},
	} {
		files, err := sockets.Inherit(func(key string) string { return env[key] })
		if err != nil || len(files) != 0 {
			t.Errorf("%s: %v %v", name, files, err)
		}
	}
	for _, count := range []string{"x", "-1", "1000000"} {
		if _, err := sockets.Inherit(func(key string) string { return map[string]string{"LISTEN_FDS": count}[key] }); err == nil {
			t.Errorf("%s descriptors are taken", count)
		}
	}
}

// A client that says nothing is not handed to the server before it has, or a second or so has passed.
func TestSilentClientsAreHeldBack(t *testing.T) {
	t.Parallel()
	l, err := sockets.NewSet(nil, nil).Listen("web", "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.HoldBack(); err != nil {
		t.Fatal(err)
	}
	accepted := make(chan net.Conn, 2)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	t.Cleanup(func() { _ = l.Close() })
	silent, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	select {
	case <-accepted:
		t.Fatal("a silent client was handed over at once")
	case <-time.After(200 * time.Millisecond):
	}
	talking, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = talking.Close() }()
	if _, err := io.WriteString(talking, "hello"); err != nil {
		t.Fatal(err)
	}
	for _, client := range []net.Conn{talking, silent} {
		select {
		case c := <-accepted:
			if c.RemoteAddr().String() != client.LocalAddr().String() {
				t.Errorf("%s came, %s was to come", c.RemoteAddr(), client.LocalAddr())
			}
			_ = c.Close()
		case <-time.After(20 * time.Second):
			t.Fatal("a client was never handed over")
		}
	}
}
