package logbook

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"paas/platform"
)

// `make bench-logs` measures the log store beside journald, grep on a plain file and zstdgrep, in one run, and prints a
// line a figure: figure, ours, peer, ratio. Nothing here is an assertion about time.
var (
	peers = flag.Bool("peers", false, "run the benchmarks against peers (make bench-logs)")
	crowd = flag.Int("lines", 5_000_000, "how many lines are searched")
)

// fair is how many lines each peer takes in: journald is too slow for more.
const fair = 200_000

func TestLogPeers(t *testing.T) {
	if !*peers {
		return // `make bench-logs` runs it; a test of the machine's speed has no place among the others
	}
	dir := t.TempDir()
	text := filepath.Join(dir, "lines")
	size := writeLines(t, text, *crowd)
	fmt.Println("figure\tours\tpeer\tratio")
	d := newDesk(t)
	d.SetDefaults(platform.LogBounds{Rate: -1, Bytes: 1 << 40, Age: 24 * time.Hour}, 1<<40)
	rate := d.takeIn(text)
	figure("lines-in-per-s-vs-journald", rate, journald(t, text, dir))
	usage, err := d.Usage("hello")
	check(t, err)
	must(t, "zstd", "-q", "-3", "-k", text)
	packed, err := os.Stat(text + ".zst")
	check(t, err)
	figure("bytes-per-line-vs-plain", float64(usage.Bytes)/float64(*crowd), float64(size)/float64(*crowd))
	figure("bytes-per-line-vs-zstd", float64(usage.Bytes)/float64(*crowd), float64(packed.Size())/float64(*crowd))
	for _, s := range []struct{ name, expression string }{
		{"rare", "needle1234000"}, {"common", "status=500"}, {"nowhere", "there is no such text"}, {"expression", `user=9\d9\d9 .*status=40[34]`},
	} {
		ours := d.search(s.expression)
		figure("grep-"+s.name+"-s-vs-grep", ours, timed(t, "grep", "-cE", perl(s.expression), text))
		figure("grep-"+s.name+"-s-vs-zstdgrep", ours, timed(t, "zstdgrep", "-cE", perl(s.expression), text+".zst"))
	}
	began := time.Now()
	d.numbered(d.read(platform.LogFilter{Last: 100}), *crowd-100, 100)
	figure("tail-100-s-vs-tail", time.Since(began).Seconds(), timed(t, "tail", "-n", "100", text))
}

func figure(name string, ours, peer float64) {
	fmt.Printf("%s\t%.4g\t%.4g\t%.2f\n", name, ours, peer, ours/peer)
}

// perl: grep -E knows no \d.
func perl(expression string) string {
	return regexp.MustCompile(`\\d`).ReplaceAllString(expression, "[0-9]")
}

// writeLines makes lines like those of a web app.
func writeLines(t *testing.T, path string, n int) int64 {
	t.Helper()
	f, err := os.Create(path)
	check(t, err)
	w := bufio.NewWriterSize(f, 1<<20)
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same each time
	for i := range n {
		_, err = fmt.Fprintf(w, "%08d level=info method=%s path=/items/%d user=%d request=%016x status=%d ms=%d", i,
			[]string{"GET", "GET", "POST"}[i%3], r.IntN(5000), r.IntN(100_000), r.Uint64(), []int{200, 200, 200, 304, 404, 500}[r.IntN(6)], r.IntN(900))
		if i%1000 == 0 {
			_, err = fmt.Fprintf(w, " needle%d", i)
		}
		check(t, err)
		check(t, w.WriteByte('\n'))
	}
	check(t, w.Flush())
	info, err := f.Stat()
	check(t, err)
	check(t, f.Close())
	return info.Size()
}

// takeIn has the lines collected from a ring, as an instance's init writes it, and gives lines a second. The ring is as large
// as an instance's, so the writer waits for the collector here, which no instance does.
func (d *desk) takeIn(path string) float64 {
	d.t.Helper()
	f, err := os.Open(path)
	check(d.t, err)
	defer func() { _ = f.Close() }()
	w := d.ring("hello", web(1), 5<<20)
	began, at := time.Now(), time.Now().Add(-time.Hour)
	n, size := 0, 0
	for lines := bufio.NewScanner(f); lines.Scan(); n++ {
		w.Append(record(at.Add(time.Duration(n)*100*time.Microsecond), lines.Text()))
		if size += len(lines.Text()); size > 3<<20 {
			check(d.t, d.Collect("hello"))
			size = 0
		}
	}
	check(d.t, d.Collect("hello"))
	return float64(n) / time.Since(began).Seconds()
}

func (d *desk) search(expression string) float64 {
	d.t.Helper()
	began, n := time.Now(), 0
	check(d.t, d.Read(context.Background(), platform.LogFilter{App: "hello", Last: 1_000_000_000, Grep: regexp.MustCompile(expression)}, func(platform.LogEntry) error {
		n++
		return nil
	}))
	return time.Since(began).Seconds()
}

// journald is Debian's, run on its own journal by systemd-journal-remote, which writes journal files without the daemon.
func journald(t *testing.T, text, dir string) float64 {
	t.Helper()
	remote := "/lib/systemd/systemd-journal-remote"
	if _, err := os.Stat(remote); err != nil {
		t.Fatalf("bench-logs needs systemd-journal-remote: apt-get install systemd-journal-remote (%v)", err)
	}
	export := filepath.Join(dir, "export")
	writeExport(t, text, export)
	began := time.Now()
	must(t, remote, "-o", filepath.Join(dir, "peer.journal"), export)
	return fair / time.Since(began).Seconds()
}

// writeExport writes the first lines in the journal's export format (systemd.io/JOURNAL_EXPORT_FORMATS).
func writeExport(t *testing.T, text, export string) {
	t.Helper()
	in, err := os.Open(text)
	check(t, err)
	defer func() { _ = in.Close() }()
	out, err := os.Create(export)
	check(t, err)
	w, n := bufio.NewWriter(out), 0
	for lines := bufio.NewScanner(in); n < fair && lines.Scan(); n++ {
		_, err = fmt.Fprintf(w, "__REALTIME_TIMESTAMP=%d\n_BOOT_ID=00000000000000000000000000000001\nMESSAGE=%s\n\n", 1_700_000_000_000_000+n, lines.Text())
		check(t, err)
	}
	check(t, w.Flush())
	check(t, out.Close())
}

func must(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// timed runs a command; grep's status 1 is nothing found.
func timed(t *testing.T, name string, args ...string) float64 {
	t.Helper()
	began := time.Now()
	out, err := exec.Command(name, args...).CombinedOutput()
	if _, exited := err.(*exec.ExitError); err != nil && !exited { //nolint:errorlint // as Run returns it
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return time.Since(began).Seconds()
}
