package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// `make bench-wake` measures what a visitor of a sleeping app waits for beyond what one of a running app does.
func TestWakePeers(t *testing.T) {
	if !*peers {
		return // `make bench-wake` runs it; a test of the machine's speed has no place among the others
	}
	b := &wakeBench{t: t, p: newPlainPlatform(t)}
	b.frozen("node", "wake-frozen-ms")
	b.frozen("python", "wake-frozen-python-ms")
	b.frozen("static", "wake-frozen-static-ms")
	b.stopped("node", "wake-stopped-ms")
}

const (
	wakeRounds    = 15
	frozenAllowed = 3.0  // ms beyond a running app's first byte
	startAllowed  = 30.0 // ms beyond the app's own start
	settle        = 50 * time.Millisecond
	tidyWait      = 700 * time.Millisecond // what the kernel and the daemon do about a container that ended
)

type wakeBench struct {
	t *testing.T
	p *platformUnderTest
}

func (b *wakeBench) push(name string) (dir string) {
	dir = b.p.repository(b.t, filepath.Join(examples(), name), name)
	b.p.run(b.t, dir, "git", "push", "paas", "main")
	return dir
}

// frozen compares the first byte of a frozen app with that of the same app awake, in turn. What is allowed is
// 3 ms more.
func (b *wakeBench) frozen(name, title string) {
	b.push(name)
	m := wakesInTurn(b.t, func() float64 {
		b.p.run(b.t, b.p.home, "paas", "ps", name) // so that processors and caches have done the same before
		time.Sleep(settle)
		return b.firstByte(name)
	}, func() float64 {
		b.sleep(name)
		return b.firstByte(name)
	})
	allowed(title, m[1]-m[0], frozenAllowed)
}

// stopped compares the first byte of a stopped app with what the app itself took, from the execution of its command
// to the line in which it says that it listens.
func (b *wakeBench) stopped(name, title string) {
	m := wakesInTurn(b.t, func() float64 {
		b.sleep(name, "--stop")
		b.awaitGone(name)
		time.Sleep(tidyWait)
		took := b.firstByte(name)
		return took - b.ownStart(name)
	})
	allowed(title, m[0], startAllowed)
}

func (b *wakeBench) ownStart(name string) float64 {
	b.t.Helper()
	at := func(line string) time.Time {
		stamp, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		t, err := time.Parse(time.RFC3339Nano, stamp)
		if err != nil {
			b.t.Fatal(err)
		}
		return t
	}
	last := func(verb, word string) time.Time {
		return at(b.p.run(b.t, b.p.home, "sh", "-c", "paas "+verb+" | grep '"+word+"' | tail -n 1"))
	}
	return milliseconds(last("logs -s app -n 20 "+name, "listening on").Sub(last("events -n 20 --app "+name, " started ")))
}

// wakesInTurn times both in turn and returns the medians.
func wakesInTurn(t *testing.T, each ...func() float64) (medians []float64) {
	t.Helper()
	samples := make([][]float64, len(each))
	for range wakeRounds {
		for i, f := range each {
			samples[i] = append(samples[i], f())
		}
	}
	for _, s := range samples {
		slices.Sort(s)
		medians = append(medians, s[len(s)/2])
	}
	return medians
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (b *wakeBench) sleep(name string, flags ...string) {
	b.t.Helper()
	for range 100 {
		_, err := b.p.try(b.p.home, append([]string{"paas", "ps:sleep", name}, flags...)...)
		if err == nil {
			time.Sleep(settle)
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	b.t.Fatalf("%s does not fall asleep", name)
}

// awaitGone waits until the processes of the last sleep have ended, so that they do not take the next start's time.
func (b *wakeBench) awaitGone(name string) {
	b.t.Helper()
	for range 200 {
		if out, err := b.p.try(b.p.home, "paas", "ps:stats", name, "--json"); err != nil || len(out) == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	b.t.Fatalf("%s does not end", name)
}

// firstByte is the time in milliseconds from a new connection to the first byte of a good answer.
func (b *wakeBench) firstByte(name string) float64 {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.p.url("/"), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Host = name + ".example.test"
	begun := time.Now()
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	took := time.Since(begun)
	if err == nil && res.StatusCode != http.StatusOK {
		err = errors.New(res.Status)
	}
	if err != nil {
		b.t.Fatalf("GET / of %s: %v", name, err)
	}
	_, err = io.Copy(io.Discard, res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		b.t.Fatal(err)
	}
	return milliseconds(took)
}
