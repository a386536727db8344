package logbook

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"paas/platform"
	"paas/runtime/ring"
)

// desk is a book with rings that the test writes.
type desk struct {
	*Book
	t   *testing.T
	dir string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, dir: t.TempDir()}
	d.open()
	t.Cleanup(func() { d.close() })
	return d
}

func (d *desk) open() {
	d.t.Helper()
	book, err := Open(Options{Dir: filepath.Join(d.dir, "logbook"), Rings: filepath.Join(d.dir, "logs")})
	check(d.t, err)
	d.Book = book
}

func (d *desk) close() {
	if d.Book != nil {
		check(d.t, d.Close())
		d.Book = nil
	}
}

// crash loses everything that is in memory.
func (d *desk) crash() {
	d.close()
	d.open()
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ring begins an instance's.
func (d *desk) ring(app platform.AppName, r Ring, limit int64) *ring.Writer {
	d.t.Helper()
	dir := RingDir(filepath.Join(d.dir, "logs"), app)
	check(d.t, os.MkdirAll(dir, 0o700))
	files, err := ring.Create(filepath.Join(dir, r.Name()))
	check(d.t, err)
	d.t.Cleanup(func() { check(d.t, errors.Join(files[0].Close(), files[1].Close())) })
	return ring.NewWriter(int(files[0].Fd()), int(files[1].Fd()), limit)
}

func (d *desk) read(q platform.LogFilter) (out []platform.LogEntry) {
	d.t.Helper()
	if q.App == "" {
		q.App = "hello"
	}
	check(d.t, d.Read(context.Background(), q, func(e platform.LogEntry) error {
		out = append(out, e)
		return nil
	}))
	return out
}

func texts(list []platform.LogEntry) (out []string) {
	for _, e := range list {
		out = append(out, e.Text)
	}
	return out
}

// await reads until there are so many lines.
func (d *desk) await(n int) []platform.LogEntry {
	d.t.Helper()
	for range 1500 {
		if list := d.read(platform.LogFilter{Last: AllLines}); len(list) >= n {
			return list
		}
		time.Sleep(20 * time.Millisecond)
	}
	d.t.Fatalf("there are %d lines, not %d", len(d.read(platform.LogFilter{Last: AllLines})), n)
	return nil
}

const AllLines = platform.AllLines

func web(n int) Ring {
	return Ring{ID: platform.InstanceID(fmt.Sprint("hello-", n)), Source: fmt.Sprint("web.", n), Started: time.Unix(int64(n), 0), Release: 7}
}

func record(at time.Time, text string) ring.Record {
	return ring.Record{At: at.UnixNano(), Stream: ring.Stdout, Text: []byte(text)}
}

func TestOneTimeLine(t *testing.T) {
	d := newDesk(t)
	now := time.Now().Add(-time.Minute)
	one, two := d.ring("hello", web(1), 1<<20), d.ring("hello", web(2), 1<<20)
	for n := range 20 {
		w := one
		if n%2 == 1 {
			w = two
		}
		w.Append(record(now.Add(time.Duration(n)*time.Millisecond), fmt.Sprint("line ", n)))
	}
	two.Append(ring.Record{At: now.Add(time.Second).UnixNano(), Stream: ring.Stderr, Text: []byte("oops")})
	check(t, d.Append("hello", []platform.LogEntry{{At: now.Add(-time.Second), Source: platform.LogBuild, Process: "build.3", Text: "-----> built"}}))
	list := d.await(22)
	want := []string{"-----> built"}
	for n := range 20 {
		want = append(want, fmt.Sprint("line ", n))
	}
	if got := texts(list); !slices.Equal(got, append(want, "oops")) {
		t.Errorf("got %q", got)
	}
	last := list[21]
	if last.Source != platform.LogApp || last.Process != "web.2" || last.Release != 7 || last.Level != platform.LogError || last.Stream != "stderr" {
		t.Errorf("%+v", last)
	}
	for _, c := range []struct {
		q    platform.LogFilter
		want int
	}{
		{platform.LogFilter{Last: 5}, 5},
		{platform.LogFilter{Last: AllLines, Process: "web.1"}, 10},
		{platform.LogFilter{Last: AllLines, Process: "web"}, 21},
		{platform.LogFilter{Last: AllLines, Level: platform.LogError}, 1},
		{platform.LogFilter{Last: AllLines, Release: 7}, 21},
		{platform.LogFilter{Last: AllLines, Release: 8}, 0},
		{platform.LogFilter{Last: AllLines, Sources: []platform.LogSource{platform.LogBuild}}, 1},
		{platform.LogFilter{Last: AllLines, Since: now.Add(500 * time.Millisecond)}, 1},
		{platform.LogFilter{Last: AllLines, Until: now.Add(3 * time.Millisecond)}, 5},
		{platform.LogFilter{Last: AllLines, Grep: regexp.MustCompile(`line 1\d`)}, 10},
		{platform.LogFilter{Last: 3, Grep: regexp.MustCompile(`(?i)LINE`)}, 3},
	} {
		if got := d.read(c.q); len(got) != c.want {
			t.Errorf("%+v: %q", c.q, texts(got))
		}
	}
}

// fill writes numbered lines, of which each thousandth has a word of its own.
func (d *desk) fill(from, n int, at time.Time) {
	d.t.Helper()
	var list []platform.LogEntry
	for i := from; i < from+n; i++ {
		text := fmt.Sprintf("%08d request %x of somebody took %d ms", i, rand.Uint64(), i%900)
		if i%1000 == 0 {
			text += fmt.Sprint(" needle", i)
		}
		list = append(list, platform.LogEntry{At: at.Add(time.Duration(i) * time.Millisecond), Source: platform.LogApp, Process: "web.1", Release: 1, Text: text})
		if len(list) == 500 {
			check(d.t, d.Append("hello", list))
			list = nil
		}
	}
	check(d.t, d.Append("hello", list))
}

func (d *desk) numbered(list []platform.LogEntry, first, n int) {
	d.t.Helper()
	if len(list) != n {
		d.t.Fatalf("%d lines, not %d", len(list), n)
	}
	for i, e := range list {
		if want := fmt.Sprintf("%08d ", first+i); !strings.HasPrefix(e.Text, want) {
			d.t.Fatalf("line %d is %q, not %s…", i, e.Text, want)
		}
	}
}

func TestBlocks(t *testing.T) {
	d := newDesk(t)
	const n = 30_000
	start := time.Now().Add(-time.Hour)
	d.fill(0, n, start)
	for range 2 { // before and after a restart
		d.numbered(d.read(platform.LogFilter{Last: AllLines}), 0, n)
		d.numbered(d.read(platform.LogFilter{Last: 10}), n-10, 10)
		d.numbered(d.read(platform.LogFilter{Last: 20_000}), n-20_000, 20_000)
		d.numbered(d.read(platform.LogFilter{Last: AllLines, Since: start.Add(5 * time.Second), Until: start.Add(5*time.Second + 9*time.Millisecond)}), 5000, 10)
		got := d.read(platform.LogFilter{Last: AllLines, Grep: regexp.MustCompile(`needle1\d000`)})
		if len(got) != 10 || !strings.Contains(got[3].Text, "needle13000") {
			t.Errorf("grep: %q", texts(got))
		}
		if got := d.read(platform.LogFilter{Last: 1, Grep: regexp.MustCompile(`needle3`)}); len(got) != 1 || !strings.HasSuffix(got[0].Text, "needle3000") {
			t.Errorf("the last of few: %q", texts(got))
		}
		d.crash()
	}
	u, err := d.Usage("hello")
	check(t, err)
	if u.Lines != n || u.Bytes > n*60 || u.Oldest.UnixMicro() != start.UnixMicro() {
		t.Errorf("usage: %+v", u)
	}
}

// Whatever moment the daemon dies at, no line is there twice and none is missing.
func TestCrashAtAnyMoment(t *testing.T) {
	d := newDesk(t)
	w := d.ring("hello", web(1), 64<<20)
	start, n := time.Now().Add(-time.Hour), 0
	write := func(lines int) {
		for range lines {
			w.Append(record(start.Add(time.Duration(n)*time.Millisecond), fmt.Sprintf("%08d %x %s", n, rand.Uint64(), strings.Repeat("x", n%300))))
			n++
		}
	}
	d.SetBounds("hello", platform.LogBounds{Rate: -1})
	dir := filepath.Join(d.dir, "logbook", "hello")
	for round := range 8 {
		write(700)
		d.await(n)
		before := copyDir(t, dir)
		write(900)
		d.await(n)
		d.close()
		mixStates(t, dir, before, round)
		d.open()
		check(t, d.Collect("hello"))
		d.numbered(d.read(platform.LogFilter{Last: AllLines}), 0, n)
	}
}

func copyDir(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	entries, err := os.ReadDir(dir)
	check(t, err)
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		check(t, err)
		out[e.Name()] = b
	}
	return out
}

// mixStates makes what a crash may leave: the head of before, with the segments of after, whole or torn.
func mixStates(t *testing.T, dir string, before map[string][]byte, round int) {
	t.Helper()
	after := copyDir(t, dir)
	head, torn := before[headFile], after[headFile]
	switch round % 4 {
	case 0: // blocks are there and the head was not written
		check(t, os.WriteFile(filepath.Join(dir, headFile), head, 0o600))
	case 1: // a frame is torn
		_, first := cutFrame(torn) // it is on the disk before the head has its name
		check(t, os.WriteFile(filepath.Join(dir, headFile), torn[:max(len(torn)-7, first)], 0o600))
	case 2: // the last block is torn, and the head older
		check(t, os.WriteFile(filepath.Join(dir, headFile), head, 0o600))
		for name, b := range after {
			if strings.HasSuffix(name, segmentEnd) && len(b) > len(before[name])+10 {
				check(t, os.WriteFile(filepath.Join(dir, name), b[:len(before[name])+(len(b)-len(before[name]))/2], 0o600))
			}
		}
	}
}

// What is damaged in the middle costs its own lines, and no others.
func TestDamage(t *testing.T) {
	d := newDesk(t)
	d.fill(0, 40_000, time.Now().Add(-time.Hour))
	d.close()
	paths, err := filepath.Glob(filepath.Join(d.dir, "logbook", "hello", "*"+segmentEnd))
	check(t, err)
	b, err := os.ReadFile(paths[0])
	check(t, err)
	copy(b[len(b)/3:], "this is no block at all")
	copy(b[len(b)/2:], make([]byte, 5000))
	check(t, os.WriteFile(paths[0], b, 0o600))
	d.open()
	list := d.read(platform.LogFilter{Last: AllLines})
	if len(list) < 20_000 || len(list) == 40_000 || !strings.HasPrefix(list[len(list)-1].Text, "00039999") || !strings.HasPrefix(list[0].Text, "00000000") {
		t.Errorf("%d lines of 40,000 are left", len(list))
	}
}

func TestRateLimit(t *testing.T) {
	d := newDesk(t)
	d.SetBounds("hello", platform.LogBounds{Rate: 100})
	w := d.ring("hello", web(1), 4<<20)
	at := time.Now().Truncate(time.Second).Add(-time.Minute)
	const n = 5000
	for i := range n {
		w.Append(record(at.Add(time.Duration(i)*time.Microsecond), fmt.Sprint("line ", i)))
	}
	list := d.await(501)
	if len(list) != 501 || list[500].Gap != n-500 || list[500].Text != "gap: 4,500 lines dropped" {
		t.Fatalf("%d lines, the last %+v", len(list), list[len(list)-1])
	}
	for i := range 80 { // as slow as it may
		w.Append(record(at.Add(10*time.Second+time.Duration(i)*time.Millisecond), fmt.Sprint("later ", i)))
	}
	if list := d.await(581); len(list) != 581 || list[580].Text != "later 79" {
		t.Errorf("%d lines", len(list))
	}
	u, err := d.Usage("hello")
	check(t, err)
	if u.Dropped != n-500 {
		t.Errorf("dropped: %d", u.Dropped)
	}
}

// Nobody waits for the collector: what it does not read in time is a gap, with the right number.
func TestRingOverrunIsAGap(t *testing.T) {
	d := newDesk(t)
	w := d.ring("hello", web(1), 100_000)
	w.Append(record(time.Now(), "first"))
	d.await(1)
	d.close()
	const n = 50_000
	for i := range n {
		w.Append(record(time.Now(), fmt.Sprint("line ", i)))
	}
	d.open()
	check(t, d.Collect("hello"))
	list := d.read(platform.LogFilter{Last: AllLines})
	gap := list[1]
	if gap.Gap == 0 || len(list)-2+int(gap.Gap) != n || gap.Process != "web.1" {
		t.Errorf("%d lines, the second %+v", len(list), gap)
	}
}

func TestRetention(t *testing.T) {
	d := newDesk(t)
	d.SetBounds("hello", platform.LogBounds{Bytes: 256 << 10})
	for i := range 5 {
		d.fill(i*8_000, 8_000, time.Now().Add(-time.Hour))
	}
	eventually(t, "the oldest lines are gone", func() bool {
		u, err := d.Usage("hello")
		check(t, err)
		return u.Bytes <= 3*leastSegment
	})
	list := d.read(platform.LogFilter{Last: AllLines})
	d.numbered(list, 40_000-len(list), len(list))
	entries, missed, err := d.After("hello", 10, 5)
	check(t, err)
	if missed != 40_000-uint64(len(list))-10 || len(entries) != 5 {
		t.Errorf("after 10 come %d lines, %d are missed", len(entries), missed)
	}
	d.SetBounds("hello", platform.LogBounds{Age: time.Minute})
	if left := d.read(platform.LogFilter{Last: AllLines}); len(left) > 0 && left[0].At.Before(time.Now().Add(-time.Minute)) {
		t.Errorf("%d old lines are shown", len(left))
	}
	d.SetDefaults(platform.LogBounds{}, 100<<10)
	eventually(t, "the budget holds", func() bool {
		u, err := d.Usage("hello")
		check(t, err)
		return u.Bytes <= 100<<10+blockBytes
	})
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for range 1500 {
		if f() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

func TestFollow(t *testing.T) {
	d := newDesk(t)
	w := d.ring("hello", web(1), 1<<20)
	w.Append(record(time.Now(), "old"))
	d.await(1)
	ctx, cancel := context.WithCancel(context.Background())
	lines, ended := make(chan string, 10), make(chan error, 1)
	go func() {
		ended <- d.Read(ctx, platform.LogFilter{App: "hello", Last: 1, Follow: true, Process: "web"}, func(e platform.LogEntry) error {
			lines <- e.Text
			return nil
		})
	}()
	if got := <-lines; got != "old" {
		t.Errorf("got %q", got)
	}
	began := time.Now()
	w.Append(record(time.Now(), "new"))
	if got := <-lines; got != "new" || time.Since(began) > time.Second {
		t.Errorf("got %q after %v", got, time.Since(began))
	}
	check(t, d.Append("hello", []platform.LogEntry{{Source: platform.LogPlatform, Process: "worker.1", Text: "not this one"}}))
	d.ring("hello", web(2), 1<<20).Append(record(time.Now(), "of one that came later"))
	if got := <-lines; got != "of one that came later" {
		t.Errorf("got %q", got)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestForgetAndRename(t *testing.T) {
	d := newDesk(t)
	w := d.ring("hello", web(1), 1<<20)
	w.Append(record(time.Now(), "one"))
	d.await(1)
	check(t, d.Rename("hello", "bye"))
	w.Append(record(time.Now(), "two"))
	eventually(t, "lines under the new name", func() bool {
		return slices.Equal(texts(d.read(platform.LogFilter{App: "bye", Last: AllLines})), []string{"one", "two"})
	})
	if got := d.read(platform.LogFilter{Last: AllLines}); len(got) != 0 {
		t.Errorf("under the old name: %q", texts(got))
	}
	check(t, os.RemoveAll(filepath.Join(d.dir, "logs", "bye")))
	check(t, d.Forget("bye"))
	if got := d.read(platform.LogFilter{App: "bye", Last: AllLines}); len(got) != 0 {
		t.Errorf("after forget: %q", texts(got))
	}
	if _, err := os.Stat(filepath.Join(d.dir, "logbook", "bye")); !errors.Is(err, os.ErrNotExist) {
		t.Error("its directory is still there")
	}
}

// An instance is started under the new name before its app is called so.
func TestRenameToANameWithLines(t *testing.T) {
	d := newDesk(t)
	d.ring("hello", web(1), 1<<20).Append(record(time.Now(), "one"))
	d.await(1)
	d.ring("bye", web(2), 1<<20).Append(record(time.Now(), "two"))
	check(t, d.Append("bye", []platform.LogEntry{{Source: platform.LogPlatform, Text: "started"}}))
	sorted := func() []string {
		list := texts(d.read(platform.LogFilter{App: "bye", Last: AllLines}))
		slices.Sort(list)
		return list
	}
	eventually(t, "the new name's own lines", func() bool { return slices.Equal(sorted(), []string{"started", "two"}) })
	rings := func(app string) string { return filepath.Join(d.dir, "logs", app) }
	files, err := os.ReadDir(rings("hello"))
	check(t, err)
	for _, f := range files { // the runtime moves them
		check(t, os.Rename(filepath.Join(rings("hello"), f.Name()), filepath.Join(rings("bye"), f.Name())))
	}
	check(t, os.Remove(rings("hello")))
	check(t, d.Rename("hello", "bye"))
	eventually(t, "all lines, each once", func() bool { return slices.Equal(sorted(), []string{"one", "started", "two"}) })
}

// Whoever writes under the new name at the moment of the rename takes nothing of the log away, and loses no line of his own.
func TestRenameWhileOthersWrite(t *testing.T) {
	d := newDesk(t)
	say := func(app platform.AppName, text string) {
		check(t, d.Append(app, []platform.LogEntry{{Source: platform.LogPlatform, Text: text}}))
	}
	for round := range 50 {
		from, to := platform.AppName(fmt.Sprint("from", round)), platform.AppName(fmt.Sprint("to", round))
		say(from, "long ago")
		var writers sync.WaitGroup
		for n := range 4 {
			writers.Go(func() {
				for i := range 8 {
					say(to, fmt.Sprint(n, " ", i))
				}
			})
		}
		check(t, d.Rename(from, to))
		writers.Wait()
		got := texts(d.read(platform.LogFilter{App: to, Last: AllLines}))
		if len(got) != 33 || !slices.Contains(got, "long ago") {
			t.Fatalf("round %d: %q", round, got)
		}
	}
}

// A log is removed while others write under its name, and what a crash left of one goes, too.
func TestForgetWhileOthersWrite(t *testing.T) {
	d := newDesk(t)
	var writers sync.WaitGroup
	over := make(chan struct{})
	writers.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-over:
				return
			default:
				_ = d.Append("hello", []platform.LogEntry{{Source: platform.LogPlatform, Text: strconv.Itoa(n)}}) // or it is gone
			}
		}
	})
	var err error
	for n := 0; n < 100 && err == nil; n++ {
		err = d.Forget("hello")
	}
	close(over)
	writers.Wait()
	check(t, err)
	left := filepath.Join(d.dir, "logbook", goneDirs+"1")
	check(t, os.MkdirAll(left, 0o700))
	check(t, d.clearRest())
	if rest, err := filepath.Glob(filepath.Join(d.dir, "logbook", goneDirs+"*")); err != nil || len(rest) > 0 {
		t.Errorf("left: %q, %v", rest, err)
	}
}

func TestLevels(t *testing.T) {
	for text, want := range map[string]string{
		`{"level":"warn","msg":"x"}`: "warn", `{"time":1,"severity": "ERROR"}`: "error", `{"level":50,"msg":"pino"}`: "error",
		`time=2026 level=debug msg="an error occurred"`: "debug", "[ERROR] it broke": "error", "2026-01-02 15:04:05,123 WARNING root: hm": "warn",
		"ERROR:root:python": "error", "I0102 15:04:05.000000 klog": "info", "E0102 15:04:05.000000 klog": "error",
		"an error in a sentence": "", "errors: 5": "", "": "", "FATAL: database": "fatal", "at=error method=GET": "error", "Error: node says": "error",
		"npm ERR! code": "error", "level": "", "level=": "", `{"sublevel":"error"}`: "",
	} {
		got := ""
		if l, ok := levelOf([]byte(text)); ok {
			got = l.String()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestNeedles(t *testing.T) {
	for expression, want := range map[string]string{
		"needle": "needle", "nee+dle": "dle", "(abc|def)": "", "x(abcd)y*": "abcd", "(?i)Timeout": "timeout", "(?i)disk": "di", "^a.*longer$": "longer", "a{3}": "a", "[": "",
	} {
		if got := needleOf(expression).text; got != want {
			t.Errorf("%q: %q, want %q", expression, got, want)
		}
	}
}
