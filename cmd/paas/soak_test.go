package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"paas/platform"
)

var soaksFor = flag.Duration("soak", 20*time.Second, "how long everything happens at once under load (TestSoak)")

// Releases, crashes, sleeps, scaling, domains that come and go, restarts and upgrades of the daemon, all at once and in
// any order, under mixed load of three apps: every answer is whole and its own app's, and none is lost. Afterwards
// the daemon holds no more goroutines, descriptors and memory than before.
func TestSoak(t *testing.T) {
	p, dir := newDoorsPlatform(t)
	for _, app := range []string{"sleeper", "crasher"} {
		p.run(t, p.repository(t, filepath.Join("testdata", "apps", "hello"), app), "git", "push", "paas", "main")
	}
	p.run(t, p.home, "paas", "ps:scale", "crasher", "web=3")
	s := soak{platformUnderTest: p, dir: dir, done: map[string]int{}}
	s.under(t, *soaksFor/2, []disturbance{s.handover, s.sleep, s.release, s.upgrade, s.crash, s.scale, s.domain})
	p.oneDaemon(t)
	before := s.atRest(t)
	s.under(t, *soaksFor/2, []disturbance{s.release, s.sleep, s.crash, s.scale, s.domain})
	t.Logf("%d requests; disturbances: %v", s.asked.done.Load(), s.done)
	after := s.atRest(t)
	t.Logf("the daemon held %+v, then %+v", before, after)
	if after.descriptors > before.descriptors+idleConnections || after.goroutines > before.goroutines+idleConnections || after.memory > before.memory+idleMemory {
		t.Errorf("the daemon holds %+v, and held %+v before the load", after, before)
	}
}

// idleConnections is how many connections to instances may wait for the next request. Of the thousands of requests
// none leaves a descriptor or a goroutine behind.
const (
	idleConnections = 64
	idleMemory      = 96 << 20 // bytes: the collector, and the race detector's notes, give back when they like
)

// held is what the daemon holds.
type held struct{ descriptors, goroutines, memory int }

// atRest is what the daemon holds with the same instances, all awake, and nothing kept: the least of some seconds, since
// what ends takes its time.
func (s *soak) atRest(t *testing.T) held {
	t.Helper()
	for _, words := range [][]string{{"ps:scale", "doors", "web=2"}, {"ps:wake", "sleeper"}, {"releases:set", "doors", "keep-previous", "off"}, {"releases:set", "doors", "keep-previous"}} {
		if err := s.paas(words...); err != nil {
			t.Error(err)
		}
	}
	least := s.held(t)
	for range 10 {
		time.Sleep(500 * time.Millisecond)
		now := s.held(t)
		least = held{min(least.descriptors, now.descriptors), min(least.goroutines, now.goroutines), min(least.memory, now.memory)}
	}
	return least
}

// held asks the daemon how many goroutines it has, and the kernel for the rest.
func (s *soak) held(t *testing.T) held {
	t.Helper()
	h := held{descriptors: openDescriptors(t, s.pid())}
	out, _ := s.try(s.home, "paas", "doctor", "--json") // it fails when it finds something
	if at := strings.Index(out, "It has "); at < 0 {
		t.Fatalf("doctor does not say what the daemon takes: %s", out)
	} else if _, err := fmt.Sscanf(out[at:], "It has %d goroutines", &h.goroutines); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.pid()))
	if err == nil {
		_, err = fmt.Sscan(string(text), new(int), &h.memory)
	}
	if err != nil {
		t.Fatal(err)
	}
	h.memory *= os.Getpagesize()
	return h
}

type soak struct {
	*platformUnderTest
	dir   string
	n     int
	asked load
	done  map[string]int // disturbances by name
}

// disturbance does one thing to the platform and says what.
type disturbance func() (what string, err error)

// under makes trouble for so long while clients ask.
func (s *soak) under(t *testing.T, d time.Duration, troubles []disturbance) {
	t.Helper()
	stopDoors := s.mixedLoad(&s.asked, 1)
	ctx, cancel := context.WithCancel(context.Background())
	var visitors sync.WaitGroup
	for _, app := range []string{"sleeper", "crasher", "crasher"} {
		visitors.Go(func() { s.visits(ctx, app+".example.test") })
	}
	for n, end := 0, time.Now().Add(d); time.Now().Before(end); n++ {
		trouble := troubles[rand.IntN(len(troubles))]
		if n < len(troubles) { // each once, as far as there is time: a busy machine has it for a few
			trouble = troubles[n]
		}
		what, err := trouble()
		if s.done[what]++; err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	cancel()
	visitors.Wait()
	stopDoors()
	if s.asked.failed.Load() > 0 || s.asked.done.Load() < 100 {
		t.Fatalf("%d of %d requests failed, the first with: %v", s.asked.failed.Load(), s.asked.done.Load(), s.asked.first)
	}
}

// visits asks for a page again and again, at times over a connection that was used before, and repeats nothing.
func (s *soak) visits(ctx context.Context, host string) {
	var conn net.Conn
	var in *bufio.Reader
	for ctx.Err() == nil {
		var err error
		if conn == nil || rand.IntN(4) == 0 {
			if conn != nil {
				_ = conn.Close()
			}
			if conn, err = net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", s.http), 10*time.Second); err != nil {
				s.asked.count(err)
				continue
			}
			in = bufio.NewReader(conn)
		}
		closed, err := visit(conn, in, host)
		if s.asked.count(err); err != nil || closed {
			_ = conn.Close()
			conn = nil
		}
		time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
	}
	if conn != nil {
		_ = conn.Close()
	}
}

func visit(conn net.Conn, in *bufio.Reader, host string) (closed bool, err error) {
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", host); err != nil {
		return true, fmt.Errorf("ask %s: %w", host, err)
	}
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		return true, fmt.Errorf("answer of %s: %w", host, err)
	}
	text, err := io.ReadAll(res.Body)
	if err == nil && (res.StatusCode != http.StatusOK || string(text) != "Hello\n") {
		err = fmt.Errorf("status %d, body %q", res.StatusCode, text)
	}
	if err != nil {
		err = fmt.Errorf("answer of %s: %w", host, err)
	}
	return res.Close, err
}

func (s *soak) paas(words ...string) error {
	if out, err := s.try(s.home, append([]string{"paas"}, words...)...); err != nil {
		return fmt.Errorf("paas %s: %w\n%s", strings.Join(words, " "), err, out)
	}
	return nil
}

func (s *soak) release() (string, error) {
	s.n++
	out, err := s.try(s.dir, "git", "commit", "-q", "--allow-empty", "-m", fmt.Sprint("release ", s.n))
	if err == nil {
		out, err = s.try(s.dir, "git", "push", "paas", "main")
	}
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, out)
	}
	return "release", err
}

// sleep: that the app is wanted at this moment is no failure.
func (s *soak) sleep() (string, error) {
	_, _ = s.try(s.home, "paas", "ps:sleep", "sleeper")
	return "sleep", nil
}

// crash kills one of three instances, and waits until another one is in its place: a request must find one that lives.
// That there are three is not enough: the daemon may not have learned yet that one has died.
func (s *soak) crash() (string, error) {
	before, _, err := s.crashers()
	if err != nil {
		return "crash", err
	}
	_, _ = s.try(s.home, "curl", "-s", "-m", "10", "-X", "POST", "-H", "Host: crasher.example.test", s.url("/crash"))
	for end := time.Now().Add(crashWait); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		now, up, err := s.crashers()
		if err != nil {
			return "crash", err
		}
		if up >= 3 && now != before {
			return "crash", nil
		}
	}
	return "crash", fmt.Errorf("not three instances after a crash; before it there were %s", before)
}

// crashWait is longer than the longest pause before a process that keeps ending is started again.
const crashWait = 6 * time.Minute

// crashers says which instances there are, and how many are up.
func (s *soak) crashers() (which string, up int, err error) {
	out, err := s.try(s.home, "paas", "ps", "crasher", "--json")
	if err != nil {
		return "", 0, fmt.Errorf("%w\n%s", err, out)
	}
	var list []platform.ProcessView
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return "", 0, err
	}
	for _, p := range list {
		which += fmt.Sprint(p.Name, " ", p.StartedAt, "; ")
		if p.Status == "up" {
			up++
		}
	}
	return which, up, nil
}

func (s *soak) scale() (string, error) {
	s.n++
	return "scale", s.paas("ps:scale", "doors", fmt.Sprintf("web=%d", 1+s.n%3))
}

func (s *soak) domain() (string, error) {
	name := fmt.Sprintf("other%d.example.org", s.n)
	if err := s.paas("domains:add", "sleeper", name); err != nil {
		return "domain", err
	}
	return "domain", s.paas("domains:remove", "sleeper", name)
}

func (s *soak) handover() (string, error) { return "handover", s.handOver() }

func (s *soak) upgrade() (string, error) {
	if err := replaceProgram(s.binary, s.binary); err != nil {
		return "upgrade", err
	}
	return "upgrade", s.handOver()
}

func openDescriptors(t *testing.T, pid int) int {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
