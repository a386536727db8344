package router_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"paas/platform"
	"paas/router"
)

// Requests are answered while the log's disk stands still, and every line is written once it goes on. What waits for
// it has a bound, beyond which requests do not end.
func TestSlowLogHoldsUpNobody(t *testing.T) {
	for _, c := range []struct {
		name           string
		requests, long int
		waits          bool
	}{{"few", 40, 4 << 10, false}, {"many", 150, 8 << 10, true}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			disk := make(chan struct{})
			goOn := sync.OnceFunc(func() { close(disk) })
			var got []string
			r := serveWith(t, router.Options{Access: func(_ platform.AppName, lines []platform.AccessLine) {
				<-disk
				for _, l := range lines {
					got = append(got, pathIn(string(l.Text)))
				}
			}})
			t.Cleanup(goOn)
			r.swap(newInstance(t, says("x")))
			var want []string
			for i := range c.requests {
				path := fmt.Sprintf("/%04d%s", i, strings.Repeat("p", c.long))
				r.get(path, nil)
				want = append(want, path)
			}
			inFlight := func(some bool) func() bool {
				return func() bool { _, n := r.Idle("hello"); return n > 0 == some }
			}
			eventually(t, "requests end", inFlight(c.waits))
			goOn()
			eventually(t, "no request is left", inFlight(false))
			r.Remove("hello") // returns when all is written
			if c.waits {
				slices.Sort(got)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%d lines of %d, or in another order", len(got), len(want))
			}
		})
	}
}

// Lines that are few are written all the same, also those of after a full page.
func TestShortPagesAreWritten(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	r := newServed(t, &log)
	r.swap(newInstance(t, says("x")))
	lines := 0
	for _, n := range []int{1, 1, 20, 1} { // of 4 KiB: a page is full after 16
		for range n {
			r.get("/"+strings.Repeat("p", 4<<10), nil)
		}
		lines += n
		eventually(t, "lines are written", func() bool { return strings.Count(log.String(), "\n") == lines })
	}
}

func pathIn(line string) string {
	_, path, _ := strings.Cut(line, ` path="`)
	path, _, _ = strings.Cut(path, `"`)
	return path
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never happens that %s", what)
		}
	}
}
