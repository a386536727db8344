package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// What a handover is tested with, and the hours' worth of it behind -handovers.
const (
	handoversUnderLoad = 20
	upgradesUnderLoad  = 10
	doorsHost          = "doors.example.test"
)

// newDoorsPlatform runs the doors app on a platform whose program is its own, to be replaced.
func newDoorsPlatform(t *testing.T, flags ...func(*platformUnderTest) []string) (p *platformUnderTest, dir string) {
	t.Helper()
	binary, template := prepared(t)
	own := t.TempDir()
	for _, name := range []string{"paas", "paas-init"} {
		copyProgram(t, filepath.Join(filepath.Dir(binary), name), filepath.Join(own, name))
	}
	p = startPlatform(t, filepath.Join(own, "paas"), template, flags...)
	dir = p.repository(t, filepath.Join(examples(), "..", "cmd", "paas", "testdata", "apps", "doors"), "doors")
	p.run(t, dir, "git", "push", "paas", "main")
	return p, dir
}

func copyProgram(t *testing.T, from, to string) {
	t.Helper()
	if err := replaceProgram(from, to); err != nil {
		t.Fatal(err)
	}
}

// replaceProgram puts another file of the same contents in a program's place, as an installer does.
func replaceProgram(from, to string) error {
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to+".new", text, 0o700)
	}
	return errors.Join(err, os.Rename(to+".new", to))
}

// doorClient is a client that repeats nothing: whatever the router loses shows.
type doorClient struct {
	addr string
	conn net.Conn
	in   *bufio.Reader
}

func (c *doorClient) ask(method, path string, body []byte) error {
	reused, begun := c.conn != nil, time.Now()
	if !reused {
		conn, err := net.DialTimeout("tcp", c.addr, 10*time.Second)
		if err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		c.conn, c.in = conn, bufio.NewReader(conn)
	}
	_ = c.conn.SetDeadline(time.Now().Add(30 * time.Second))
	if err := c.exchange(method, path, body); err != nil {
		c.close()
		return fmt.Errorf("%s %s (reused connection: %t, for %v): %w", method, path, reused, time.Since(begun), err)
	}
	return nil
}

func (c *doorClient) exchange(method, path string, body []byte) error {
	if _, err := fmt.Fprintf(c.conn, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n", method, path, doorsHost, len(body)); err != nil {
		return err
	}
	for part := range chunks(body) { // slowly, so that a handover falls into it
		if _, err := c.conn.Write(part); err != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("after %d bytes: %w", len(text), err)
	}
	if res.StatusCode != http.StatusOK || path != "/stream" && !bytes.Contains(text, fmt.Appendf(nil, " %d %s", len(body), doorsHost)) ||
		path == "/stream" && !bytes.HasSuffix(text, []byte("data: 30\n\n")) {
		return fmt.Errorf("status %d, body %q", res.StatusCode, text)
	}
	if res.Close {
		c.close()
	}
	return nil
}

func chunks(body []byte) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(body) > 0 {
			n := min(len(body), 64<<10)
			if !yield(body[:n]) {
				return
			}
			body = body[n:]
		}
	}
}

func (c *doorClient) close() {
	_ = c.conn.Close()
	c.conn = nil
}

// mixedLoad starts clients of every kind, with so many WebSockets, until stop is called, which waits for them.
func (p *platformUnderTest) mixedLoad(l *load, tunnels int) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	start := func(n int, pause time.Duration, ask func(*doorClient) error) {
		for range n {
			clients.Go(func() {
				for c := (&doorClient{addr: fmt.Sprintf("127.0.0.1:%d", p.http)}); ctx.Err() == nil; time.Sleep(pause) {
					l.count(ask(c))
				}
			})
		}
	}
	upload := bytes.Repeat([]byte("x"), 1<<20)
	start(4, 5*time.Millisecond, func(c *doorClient) error { return c.ask("GET", "/", nil) })
	start(1, 700*time.Millisecond, func(c *doorClient) error { return c.ask("POST", "/idle", nil) })
	start(2, 10*time.Millisecond, func(c *doorClient) error {
		err := c.ask("GET", "/", nil)
		if c.conn != nil {
			c.close()
		}
		return err
	})
	start(2, 0, func(c *doorClient) error { return c.ask("GET", "/slow", nil) })
	start(2, 0, func(c *doorClient) error { return c.ask("POST", "/upload", upload) })
	start(2, 0, func(c *doorClient) error { return c.ask("GET", "/stream", nil) })
	start(tunnels, 0, func(*doorClient) error { return p.tunnel(20) })
	return func() { cancel(); clients.Wait() }
}

// tunnel opens a WebSocket and echoes ten times a second.
func (p *platformUnderTest) tunnel(times int) error {
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.http))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Duration(times)*100*time.Millisecond + 20*time.Second))
	_, err = fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", doorsHost)
	in := bufio.NewReader(conn)
	if err != nil {
		return err
	}
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("open a WebSocket: %v %w", res, err)
	}
	for n := range times {
		message := fmt.Sprintf("message %d\n", n)
		if _, err := io.WriteString(conn, message); err != nil {
			return fmt.Errorf("write to a WebSocket: %w", err)
		}
		if echo, err := in.ReadString('\n'); err != nil || echo != message {
			return fmt.Errorf("read %q from a WebSocket: %w", echo, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil
}

// Twenty restarts and ten upgrades under mixed load: not one refused connection, not one failed request, and at
// the end one process.
func TestHandoverUnderLoad(t *testing.T) {
	p, _ := newDoorsPlatform(t)
	var l load
	stop := p.mixedLoad(&l, 2)
	for n := range handoversUnderLoad + upgradesUnderLoad {
		if n%3 == 2 {
			copyProgram(t, p.binary, p.binary)
		}
		if err := p.handOver(); err != nil {
			t.Error(err)
			break
		}
	}
	stop()
	t.Logf("%d requests over %d handovers", l.done.Load(), handoversUnderLoad+upgradesUnderLoad)
	if l.failed.Load() > 0 || l.done.Load() < 1000 {
		t.Errorf("%d of %d requests failed, the first with: %v", l.failed.Load(), l.done.Load(), l.first)
	}
	p.oneDaemon(t)
}

// oneDaemon waits until those that drain have ended.
func (p *platformUnderTest) oneDaemon(t *testing.T) {
	t.Helper()
	var running []string
	for range 400 {
		running = nil
		found, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, path := range found {
			if text, err := os.ReadFile(path); err == nil && bytes.Contains(text, []byte("serve\x00--data\x00"+p.data+"\x00")) {
				running = append(running, filepath.Base(filepath.Dir(path)))
			}
		}
		if len(running) == 1 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("the processes %s serve", strings.Join(running, ", "))
}

// What takes longer than a handover goes on in the old process: a WebSocket, and a push before it.
func TestHandoverWaits(t *testing.T) {
	p, dir := newDoorsPlatform(t)
	tunnel := make(chan error, 1)
	go func() { tunnel <- p.tunnel(150) }()
	p.run(t, dir, "git", "commit", "-q", "--allow-empty", "-m", "again")
	pushed := make(chan string, 1)
	go func() { out, err := p.try(dir, "git", "push", "paas", "main"); pushed <- fmt.Sprint(out, err) }()
	time.Sleep(300 * time.Millisecond)
	if err := p.handOver(); err != nil {
		t.Fatal(err)
	}
	if out := <-pushed; !strings.Contains(out, "v2 is live") {
		t.Errorf("a push during a handover: %s", out)
	}
	p.run(t, dir, filepath.Join(p.home, "bin", "ssh"), "paas", "ps", "doors")
	p.run(t, dir, "git", "commit", "-q", "--allow-empty", "-m", "third")
	if out := p.run(t, dir, "git", "push", "paas", "main"); !strings.Contains(out, "v3 is live") {
		t.Error(out)
	}
	if err := <-tunnel; err != nil {
		t.Errorf("a WebSocket over a push, a handover and a push: %v", err)
	}
	p.oneDaemon(t)
}

// kill -9 of either process at any moment of a handover: the other serves on, or it does after a plain start.
func TestKillDuringHandover(t *testing.T) {
	p, dir := newDoorsPlatform(t)
	for n := range 8 {
		old := p.pid()
		asked := make(chan error, 1)
		go func() { asked <- p.handOver() }()
		time.Sleep(time.Duration(n) * 120 * time.Millisecond)
		victim := old
		if children := childrenOf(old, "serve"); n%2 == 0 && len(children) > 0 {
			victim = children[0]
		}
		_ = syscall.Kill(victim, syscall.SIGKILL)
		err := <-asked
		p.findDaemon(t)
		t.Logf("killed %d of %d: %v; %d serves", victim, old, err, p.pid())
		c := &doorClient{addr: fmt.Sprintf("127.0.0.1:%d", p.http)}
		if err := c.ask("GET", "/", nil); err != nil {
			t.Fatalf("round %d: %v", n, err)
		}
		c.close()
	}
	p.run(t, dir, filepath.Join(p.home, "bin", "ssh"), "paas", "ps", "doors")
	p.oneDaemon(t)
}

func (p *platformUnderTest) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.heir != 0 {
		return p.heir
	}
	return p.process.Process.Pid
}

// childrenOf lists the children of a process with a word in their command line.
func childrenOf(pid int, word string) (list []int) {
	found, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range found {
		var child, parent int
		text, _ := os.ReadFile(path)
		_, after, _ := strings.Cut(string(text), ") ")
		_, _ = fmt.Sscanf(string(text), "%d", &child)
		_, _ = fmt.Sscanf(after, "%*s %d", &parent)
		var state string
		_, _ = fmt.Sscanf(after, "%s %d", &state, &parent)
		command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", child))
		if parent == pid && bytes.Contains(command, []byte("\x00"+word+"\x00")) {
			list = append(list, child)
		}
	}
	return list
}

// findDaemon learns which process serves, and starts one if none does.
func (p *platformUnderTest) findDaemon(t *testing.T) {
	t.Helper()
	for range 200 {
		text, _ := os.ReadFile(filepath.Join(p.data, "paas.pid"))
		var pid int
		_, _ = fmt.Sscan(string(text), &pid)
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); pid != 0 && err == nil && p.answers() {
			p.mu.Lock()
			p.heir = pid
			p.mu.Unlock()
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	p.end(syscall.SIGKILL)
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
}

// answers tells whether somebody takes calls from root.
func (p *platformUnderTest) answers() bool {
	_, err := p.try("/", p.binary, "version")
	return err == nil
}
