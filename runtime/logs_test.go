package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"paas/platform"
)

// query gives the lines as "source stream text".
func (b *bench) query(q platform.LogQuery) []string {
	b.t.Helper()
	var out []string
	check(b.t, b.Logs(context.Background(), q, func(l platform.LogLine) error {
		out = append(out, fmt.Sprint(l.Source, " ", l.Stream, " ", l.Text))
		return nil
	}))
	return out
}

func TestLogs(t *testing.T) {
	b := newBench(t)
	web := b.start(`echo one; sleep 0.1; echo two >&2; sleep 0.1; exec sleep 1000`)
	b.awaitLine("two")
	s := spec(`echo three; exec sleep 1000`)
	s.Type, s.Number = "worker", 2
	_, err := b.Start(context.Background(), s)
	check(t, err)
	b.awaitLine("three")
	for _, c := range []struct {
		q    platform.LogQuery
		want []string
	}{
		{platform.LogQuery{Lines: 100}, []string{"web.1 stdout one", "web.1 stderr two", "worker.2 stdout three"}},
		{platform.LogQuery{Lines: 2}, []string{"web.1 stderr two", "worker.2 stdout three"}},
		{platform.LogQuery{Lines: 1, Source: "web"}, []string{"web.1 stderr two"}},
		{platform.LogQuery{Lines: 9, Source: "worker.2"}, []string{"worker.2 stdout three"}},
		{platform.LogQuery{Lines: 9, Source: "we"}, nil},
		{platform.LogQuery{Lines: 9, ID: web.ID}, []string{"web.1 stdout one", "web.1 stderr two"}},
		{platform.LogQuery{Lines: 0}, nil},
	} {
		c.q.App = "hello"
		if got := b.query(c.q); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %q, want %q", c.q, got, c.want)
		}
	}
	equal(t, "lines of another app", len(b.query(platform.LogQuery{App: "other", Lines: 9})), 0)
}

func TestLogsFollow(t *testing.T) {
	b := newBench(t)
	b.start(`echo old; exec sleep 1000`)
	b.awaitLine("old")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var mu sync.Mutex
	var got []string
	ended := make(chan error, 1)
	go func() {
		ended <- b.Logs(ctx, platform.LogQuery{App: "hello", Follow: true}, func(l platform.LogLine) error {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, l.Source+" "+l.Text)
			return nil
		})
	}()
	time.Sleep(200 * time.Millisecond)
	s := spec(`echo a; sleep 0.2; echo b; exit 0`) // an instance that comes later
	s.Number = 2
	_, err := b.Start(context.Background(), s)
	check(t, err)
	_ = b.ends()
	eventually(t, "both lines", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return slices.Equal(got, []string{"web.2 a", "web.2 b"})
	})
	cancel()
	equal(t, "error", errors.Is(<-ended, context.Canceled), true)
}

func TestLogsYieldFails(t *testing.T) {
	b := newBench(t)
	b.start(`echo line; exec sleep 1000`)
	b.awaitLine("line")
	enough := errors.New("enough")
	err := b.Logs(context.Background(), platform.LogQuery{App: "hello", Lines: 5, Follow: true}, func(platform.LogLine) error { return enough })
	equal(t, "error", errors.Is(err, enough), true)
}

func TestLogIsBinarySafeAndBounded(t *testing.T) {
	b := newBench(t)
	b.start(`printf 'a\000b\377\n'; head -c 40000 /dev/zero | tr '\0' x; echo; yes 0123456789abcdef | head -n 900000; echo end; exit 0`)
	_ = b.ends()
	lines := b.query(platform.LogQuery{App: "hello", Lines: 10_000_000})
	equal(t, "last", lines[len(lines)-1], "web.1 stdout end")
	if n := len(lines); n < 150_000 || n > 400_000 { // 5 to 10 MiB of 29 bytes each
		t.Errorf("%d lines are kept", n)
	}
	for _, path := range glob(t, b.dir+"/state/logs/hello/*.[01]") {
		info, err := os.Stat(path)
		check(t, err)
		if info.Size() > segmentBytes {
			t.Errorf("%s has %d bytes", path, info.Size())
		}
	}
}

func TestBinaryLine(t *testing.T) {
	b := newBench(t)
	b.start(`printf 'a\000b\377\n'; head -c 40000 /dev/zero | tr '\0' x; echo; exit 0`)
	_ = b.ends()
	lines := b.lines()
	if len(lines) != 4 || lines[0] != "a\x00b\xff" || strings.Join(lines[1:], "") != strings.Repeat("x", 40000) {
		t.Errorf("%d lines, first %q", len(lines), lines[0])
	}
}

func TestOldLogsAreDropped(t *testing.T) {
	b := newBench(t)
	keeper := b.start(`echo keeper; exec sleep 1000`)
	b.awaitLine("keeper")
	for n := range keptLogs + 4 {
		old := journal{ID: platform.InstanceID(fmt.Sprintf("hello-old%02d", n)), Source: "web.1", Started: time.Unix(int64(n), 0)}
		segments, err := b.openLog("hello", old)
		check(t, err)
		for _, f := range segments {
			check(t, f.Close())
		}
	}
	b.start(`echo new`)
	b.ends()
	eventually(t, "old logs are dropped", func() bool {
		left, err := b.journals("hello")
		check(t, err)
		return len(left) == keptLogs+1
	})
	b.settle()
	left, err := b.journals("hello")
	check(t, err)
	old := slices.DeleteFunc(slices.Clone(left), func(j journal) bool { return !strings.Contains(string(j.ID), "-old") })
	equal(t, "old logs beside the new one", len(old), keptLogs-1)
	equal(t, "the oldest left", old[0].ID, "hello-old05")
	equal(t, "the running one's", slices.ContainsFunc(left, func(j journal) bool { return j.ID == keeper.ID }), true)
	equal(t, "files", len(glob(t, b.logDir("hello")+"/*")), 2*len(left))
}
