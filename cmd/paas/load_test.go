package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// newTestPlatform starts a platform for one Go test.
func newTestPlatform(t *testing.T) *platformUnderTest {
	t.Helper()
	binary, template := prepared(t)
	return startPlatform(t, binary, template)
}

// newPlainPlatform is one whose daemon is built as for users, without the race detector.
func newPlainPlatform(t *testing.T) *platformUnderTest {
	t.Helper()
	_, template := prepared(t)
	return startPlatform(t, buildBinary(t, t.TempDir()), template)
}

func startPlatform(t *testing.T, binary, template string, flags ...func(*platformUnderTest) []string) *platformUnderTest {
	t.Helper()
	p, err := newPlatform(binary, template, t.TempDir())
	if p != nil {
		t.Cleanup(func() { p.tearDown(t) })
	}
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, f := range flags {
		words = append(words, f(p)...)
	}
	if err := p.start(words...); err != nil {
		t.Fatal(err)
	}
	return p
}

// try runs a command as alice in dir.
func (p *platformUnderTest) try(dir string, words ...string) (string, error) {
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir, cmd.Env = dir, os.Environ()
	for name, value := range p.environ() {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (p *platformUnderTest) run(t *testing.T, dir string, words ...string) string {
	t.Helper()
	out, err := p.try(dir, words...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(words, " "), err, out)
	}
	return out
}

// repository makes a git repository of files in dir with the remote paas:app.
func (p *platformUnderTest) repository(t *testing.T, source, app string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(source)); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"init -q", "add -A", "commit -q -m first", "remote add paas paas:" + app} {
		p.run(t, dir, append([]string{"git"}, strings.Fields(line)...)...)
	}
	return dir
}

// load counts what clients saw.
type load struct {
	done, failed atomic.Int64
	mu           sync.Mutex
	first        error
}

func (l *load) count(err error) {
	l.done.Add(1)
	if err == nil {
		return
	}
	l.failed.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == nil {
		l.first = fmt.Errorf("%w, at %s", err, time.Now().UTC().Format("15:04:05.000"))
	}
}

const releasesUnderLoad = 20

// Twenty releases under mixed load: not one failed request, not one cut response.
func TestDeployUnderLoad(t *testing.T) {
	p := newTestPlatform(t)
	dir := p.repository(t, filepath.Join(examples(), "node"), "node")
	p.run(t, dir, "git", "push", "paas", "main")

	ctx, stop := context.WithCancel(context.Background())
	var l load
	var clients sync.WaitGroup
	start := func(n int, client func(context.Context, *load)) {
		for range n {
			clients.Go(func() { client(ctx, &l) })
		}
	}
	start(6, p.keepAlive)
	start(2, p.newConnections)
	start(3, p.slowRequests)
	start(3, p.webSockets)
	for n := 2; n < 2+releasesUnderLoad; n++ {
		p.run(t, dir, "git", "commit", "-q", "--allow-empty", "-m", fmt.Sprint("release ", n))
		if out := p.run(t, dir, "git", "push", "paas", "main"); !strings.Contains(out, fmt.Sprintf("v%d is live", n)) {
			t.Fatalf("push %d:\n%s", n, out)
		}
	}
	stop()
	clients.Wait()
	t.Logf("%d requests over %d releases", l.done.Load(), releasesUnderLoad)
	if l.failed.Load() > 0 || l.done.Load() < 1000 {
		t.Fatalf("%d of %d requests failed, the first with: %v", l.failed.Load(), l.done.Load(), l.first)
	}
}

func (p *platformUnderTest) url(path string) string {
	return fmt.Sprintf("http://127.0.0.1:%d%s", p.http, path)
}

func (p *platformUnderTest) fetch(client *http.Client, path string) error {
	req, err := http.NewRequest(http.MethodGet, p.url(path), nil)
	if err != nil {
		return err
	}
	req.Host = "node.example.test"
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err == nil && (res.StatusCode != http.StatusOK || len(body) == 0) {
		err = fmt.Errorf("GET %s: %s: %q", path, res.Status, body)
	}
	return err
}

// A transport that never retries by itself: what the router loses must show.
func strict(keepAlive bool) *http.Client {
	return &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{DisableKeepAlives: !keepAlive, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute},
	}
}

func (p *platformUnderTest) keepAlive(ctx context.Context, l *load) {
	for client := strict(true); ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
		l.count(p.fetch(client, "/"))
	}
}

func (p *platformUnderTest) newConnections(ctx context.Context, l *load) {
	for client := strict(false); ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		l.count(p.fetch(client, "/"))
	}
}

func (p *platformUnderTest) slowRequests(ctx context.Context, l *load) {
	for client := strict(true); ctx.Err() == nil; {
		l.count(p.fetch(client, "/slow"))
	}
}

// webSockets opens a WebSocket, exchanges messages for two seconds, closes it properly, and again.
func (p *platformUnderTest) webSockets(ctx context.Context, l *load) {
	for ctx.Err() == nil {
		l.count(p.webSocket())
	}
}

func (p *platformUnderTest) webSocket() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, p.url("/ws"), &websocket.DialOptions{Host: "node.example.test"})
	if err != nil {
		return fmt.Errorf("open a WebSocket: %w", err)
	}
	for n := range 40 {
		message := []byte(fmt.Sprint("message ", n))
		if err := conn.Write(ctx, websocket.MessageText, message); err != nil {
			return fmt.Errorf("write to a WebSocket: %w", err)
		}
		_, echo, err := conn.Read(ctx)
		if err != nil || !bytes.Contains(echo, message) {
			return fmt.Errorf("read %q from a WebSocket: %w", echo, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return ignoreClosed(conn.Close(websocket.StatusNormalClosure, ""))
}

func ignoreClosed(err error) error {
	if websocket.CloseStatus(err) == websocket.StatusNormalClosure || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// kill -9 of the daemon at twenty random moments of a push: afterwards the app serves the old or the
// new release, the repository is whole, and a repeated push works.
func TestKillDuringPush(t *testing.T) {
	p := newTestPlatform(t)
	dir := p.repository(t, filepath.Join(examples(), "..", "cmd", "paas", "testdata", "apps", "hello"), "hello")
	p.run(t, dir, "git", "push", "paas", "main")
	started := time.Now()
	p.change(t, dir, "page 0")
	p.run(t, dir, "git", "push", "paas", "main")
	whole := time.Since(started)
	for n := 1; n <= 20; n++ {
		before, after := fmt.Sprint("page ", n-1), fmt.Sprint("page ", n)
		p.change(t, dir, after)
		at := rand.N(whole)
		p.pushAndKill(dir, at)
		if err := p.start(); err != nil {
			t.Fatalf("killed after %s: %v", at, err)
		}
		if page := p.page(t); page != before && page != after {
			t.Fatalf("killed after %s: serves %q, neither %q nor %q", at, page, before, after)
		}
		p.run(t, "/", "sh", "-c", `git --git-dir="$(echo $DATA/repos/*.git)" fsck --full --strict`)
		p.run(t, dir, "git", "commit", "-q", "--allow-empty", "-m", "again")
		p.run(t, dir, "git", "push", "paas", "main")
		if page := p.page(t); page != after {
			t.Fatalf("killed after %s: the repeated push serves %q, not %q", at, page, after)
		}
	}
}

func (p *platformUnderTest) change(t *testing.T, dir, page string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "page.txt"), []byte(page+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.run(t, dir, "git", "commit", "-qam", page)
}

func (p *platformUnderTest) pushAndKill(dir string, after time.Duration) {
	pushed := make(chan struct{})
	go func() {
		defer close(pushed)
		_, _ = p.try(dir, "git", "push", "paas", "main") // cut or not, both are fine
	}()
	time.Sleep(after)
	p.end(syscall.SIGKILL)
	<-pushed
}

// page waits until the app answers, as it must soon after a start, and returns what it serves.
func (p *platformUnderTest) page(t *testing.T) string {
	t.Helper()
	var status int
	var body []byte
	var err error
	for range 200 {
		if status, body, err = get(p.url("/"), "hello.example.test"); err == nil && status == http.StatusOK {
			return strings.TrimSpace(string(body))
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("the app does not answer: status %d, %v\n%s", status, err, body)
	return ""
}

// What a push may cost: the daemon's peak memory stays below this, however much history and however many
// files come. It is stated in docs/limits.md.
const maxDaemonMemory = 256 << 20

// 1 GiB of history and 100,000 files, by a daemon built without the race detector, whose own memory
// would hide ours.
func TestBigPushesInBoundedMemory(t *testing.T) {
	p := newPlainPlatform(t)
	hello := filepath.Join(examples(), "..", "cmd", "paas", "testdata", "apps", "hello")
	many := p.repository(t, hello, "many")
	for d := range 500 {
		dir := filepath.Join(many, fmt.Sprint("dir", d))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for f := range 200 {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(f)), []byte(fmt.Sprintln(d, f)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	p.run(t, many, "git", "add", "-A")
	p.run(t, many, "git", "commit", "-qm", "many")
	p.run(t, many, "git", "push", "paas", "main")
	big := p.repository(t, hello, "big")
	for _, line := range []string{"core.compression 0", "core.bigFileThreshold 1m", "pack.compression 0"} {
		p.run(t, big, append([]string{"git", "config"}, strings.Fields(line)...)...)
	}
	for n := range 64 {
		p.run(t, big, "sh", "-c", "head -c 16777216 /dev/urandom > noise && git add noise && git commit -qm "+fmt.Sprint(n))
	}
	p.run(t, big, "git", "rm", "-q", "noise")
	p.run(t, big, "git", "commit", "-qm", "without")
	p.run(t, big, "git", "push", "paas", "main")
	p.run(t, t.TempDir(), "git", "clone", "-q", "paas:many", "cloned")
	if peak := p.peakMemory(t); peak > maxDaemonMemory {
		t.Fatalf("the daemon took %d MiB", peak>>20)
	} else {
		t.Logf("the daemon took %d MiB at most", peak>>20)
	}
}

// peakMemory is the daemon's VmHWM in bytes (proc(5)).
func (p *platformUnderTest) peakMemory(t *testing.T) (bytes int64) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.process.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &bytes); n == 1 {
			return bytes << 10
		}
	}
	t.Fatal("no VmHWM in /proc")
	return 0
}
