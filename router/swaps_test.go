package router_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"paas/platform"
	"paas/router"
)

var swapRounds = flag.Int("swaps", 50, "how many releases the test of swaps makes")

// load is clients that work until told to stop. Every answer's body is checked, nothing is tried twice.
type load struct {
	r       *served
	ctx     context.Context
	clients sync.WaitGroup
	done    atomic.Int64
	failed  atomic.Int64
}

// worker repeats one kind of request.
func (l *load) worker(name string, once func(*http.Transport) error, keepAlive bool) {
	l.clients.Go(func() {
		transport := &http.Transport{DisableKeepAlives: !keepAlive}
		defer transport.CloseIdleConnections()
		for l.ctx.Err() == nil {
			l.done.Add(1)
			if err := once(transport); err != nil {
				if l.failed.Add(1) < 10 {
					l.r.t.Errorf("%s: %v", name, err)
				}
			}
		}
	})
}

// send makes a request and returns the body of its answer. A body makes it one that Go's client does not repeat.
func (l *load) send(transport *http.Transport, method, host, path string, body []byte) (string, error) {
	req, err := http.NewRequest(method, l.r.url+path, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Host, req.GetBody = host, nil
	res, err := transport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %.100s", res.Status, text)
	}
	return string(text), err
}

func (l *load) echo(method, host string) func(*http.Transport) error {
	return func(transport *http.Transport) error {
		path := fmt.Sprintf("/echo/%x", rand.Uint64()>>(rand.IntN(8)*8))
		got, err := l.send(transport, method, host, path, []byte("x"))
		if err == nil && got != strings.Repeat(path+"\n", 50) {
			err = fmt.Errorf("somebody else's answer: %.60q", got)
		}
		return err
	}
}

func (l *load) upload(size int) func(*http.Transport) error {
	return func(transport *http.Transport) error {
		body := pattern(size + rand.IntN(1000))
		sum := sha256.Sum256(body)
		got, err := l.send(transport, http.MethodPost, "hello.test", "/sum", body)
		if err == nil && got != hex.EncodeToString(sum[:]) {
			err = fmt.Errorf("another sum: %s", got)
		}
		return err
	}
}

func (l *load) events(transport *http.Transport) error {
	got, err := l.send(transport, http.MethodGet, "hello.test", "/events", nil)
	if err == nil && strings.Count(got, "data: ") != eventCount {
		err = fmt.Errorf("%d events of %d", strings.Count(got, "data: "), eventCount)
	}
	return err
}

func (l *load) webSocket(*http.Transport) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, l.r.url+"/ws", &websocket.DialOptions{Host: "hello.test"})
	if err != nil {
		return err
	}
	for n := range 10 {
		message := fmt.Appendf(nil, "message %d", n)
		if err := conn.Write(ctx, websocket.MessageText, message); err != nil {
			return err
		}
		if _, got, err := conn.Read(ctx); err != nil || !bytes.Equal(got, message) {
			return errors.Join(err, fmt.Errorf("%q", got))
		}
		time.Sleep(5 * time.Millisecond)
	}
	return conn.Close(websocket.StatusNormalClosure, "")
}

// Fifty releases under mixed load. The old instance is killed the moment it is drained; beside it the instances of
// another app are killed at any moment, and the hostnames of others come and go. Nothing fails.
func TestReleasesLoseNothing(t *testing.T) {
	r := serveWith(t, router.Options{Access: func(platform.AppName, []platform.AccessLine) {}})
	current := startProcess(t)
	publish := func(app platform.AppName, list ...*process) func(context.Context) {
		to := platform.Route{App: app, Hosts: []string{string(app) + ".test"}, Traffic: platform.Traffic{SlowStart: -1}}
		for _, p := range list {
			to.Backends = append(to.Backends, p.Backend)
		}
		return r.Swap(to)
	}
	publish("hello", current)
	ctx, stop := context.WithCancel(context.Background())
	l := &load{r: r, ctx: ctx}
	l.worker("keep-alive", l.echo(http.MethodPost, "hello.test"), true)
	l.worker("keep-alive", l.echo(http.MethodGet, "hello.test"), true)
	l.worker("new connection", l.echo(http.MethodPost, "hello.test"), false)
	l.worker("small upload", l.upload(500), true)
	l.worker("upload", l.upload(300_000), true)
	l.worker("events", l.events, true)
	l.worker("WebSocket", l.webSocket, true)
	l.clients.Go(func() { crashes(ctx, t, publish) })
	l.clients.Go(func() { neighbours(ctx, r) })
	for n := range *swapRounds {
		if n == 2 { // the crashing app is there by now
			l.worker("beside crashes", l.echo(http.MethodPut, "crashing.test"), true)
			l.worker("beside crashes", l.echo(http.MethodGet, "crashing.test"), false)
		}
		next := startProcess(t)
		limited, cancel := context.WithTimeout(ctx, 5*time.Second)
		publish("hello", next)(limited)
		if limited.Err() != nil {
			t.Error("not drained in time")
		}
		cancel()
		current.kill()
		current = next
	}
	stop()
	l.clients.Wait()
	t.Logf("%d requests, %d failed", l.done.Load(), l.failed.Load())
}

// crashes kills one of three instances again and again, whatever it is doing, and puts another in its place later.
func crashes(ctx context.Context, t *testing.T, publish func(platform.AppName, ...*process) func(context.Context)) {
	list := []*process{startProcess(t), startProcess(t), startProcess(t)}
	drained := publish("crashing", list...)
	for ctx.Err() == nil {
		list[0].kill()
		list = append(list[1:], startProcess(t))
		drained(ctx)
		drained = publish("crashing", list...)
		time.Sleep(50 * time.Millisecond)
	}
}

func neighbours(ctx context.Context, r *served) {
	for n := 0; ctx.Err() == nil; n++ {
		app := platform.AppName(fmt.Sprint("other", n%10))
		r.Swap(platform.Route{App: app, Hosts: []string{fmt.Sprintf("%d.other.test", n)}})(ctx)
		if n%3 == 0 {
			r.Remove(app)
		}
		time.Sleep(time.Millisecond)
	}
}

// After much traffic of all kinds goroutines, descriptors and memory are where they were.
func TestASoakLeavesNothing(t *testing.T) {
	warm := newInstance(t, nil)
	warm.die()
	runtime.GC()
	before, files, heap := runtime.NumGoroutine(), openFiles(t), heapOf()
	t.Run("soak", soak)
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if runtime.NumGoroutine() <= before && openFiles(t) <= files {
			break
		}
	}
	if n := runtime.NumGoroutine(); n > before {
		buf := make([]byte, 1<<20)
		t.Errorf("%d goroutines, before %d\n%s", n, before, buf[:runtime.Stack(buf, true)])
	}
	if n := openFiles(t); n > files {
		t.Errorf("%d open files, before %d", n, files)
	}
	if n := heapOf(); n > heap+4<<20 {
		t.Errorf("%d bytes of heap, before %d", n, heap)
	}
}

func heapOf() uint64 {
	runtime.GC()
	runtime.GC() // pools are emptied by the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func openFiles(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func soak(t *testing.T) {
	r := serveWith(t, router.Options{Access: func(platform.AppName, []platform.AccessLine) {}})
	p := startProcess(t)
	r.Swap(platform.Route{App: "hello", Hosts: []string{"hello.test"}, Backends: []platform.Backend{p.Backend}})
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	l := &load{r: r, ctx: ctx}
	for range 4 {
		l.worker("get", l.echo(http.MethodGet, "hello.test"), true)
		l.worker("upload", l.upload(100_000), false)
		l.worker("events", l.events, true)
		l.worker("WebSocket", l.webSocket, true)
		l.worker("leaving", l.leave, false)
	}
	l.clients.Wait()
}

// leave asks for events and goes away in the middle.
func (l *load) leave(*http.Transport) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, l.r.url+"/events", nil)
	req.Host = "hello.test"
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	_, err = bufio.NewReader(res.Body).ReadString('\n')
	cancel()
	return errors.Join(err, res.Body.Close())
}
