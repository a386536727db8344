package gitreceive

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

// These tests do not run beside others: they measure the memory of the process, which is the daemon's,
// since git and ssh are processes of their own.

// heap watches the live heap, measured after each collection.
type heap struct {
	before uint64
	peak   chan uint64
	stop   chan struct{}
}

func liveHeap() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

func watchHeap() *heap {
	debug.FreeOSMemory()
	h := &heap{before: liveHeap(), peak: make(chan uint64), stop: make(chan struct{})}
	go func() {
		var peak uint64
		for {
			select {
			case <-h.stop:
				h.peak <- peak
				return
			case <-time.After(50 * time.Millisecond):
				runtime.GC()
				peak = max(peak, liveHeap())
			}
		}
	}()
	return h
}

// grew is by how many bytes the live heap was bigger at its peak.
func (h *heap) grew() int64 {
	close(h.stop)
	return int64(<-h.peak) - int64(h.before)
}

func within64MiBAnd(objects int) int64 { return 64<<20 + 250*int64(objects) }

// importer feeds git fast-import, which makes big histories in seconds.
type importer struct {
	*bufio.Writer
	random *rand.ChaCha8
}

func (w *work) fastImport(write func(*importer)) {
	w.t.Helper()
	cmd := w.command("-c", "core.compression=1", "-c", "fastimport.unpackLimit=0", "fast-import", "--quiet")
	in, err := cmd.StdinPipe()
	must(w.t, err)
	must(w.t, cmd.Start())
	i := &importer{bufio.NewWriterSize(in, 1<<20), rand.NewChaCha8([32]byte{1})}
	write(i)
	must(w.t, i.Flush())
	must(w.t, in.Close())
	must(w.t, cmd.Wait())
}

func (i *importer) commit(n int) {
	_, _ = fmt.Fprintf(i, "commit refs/heads/main\ncommitter a <a@b.c> %d +0000\ndata 1\n.\n", 1e9+n)
}

func (i *importer) file(path string, size int, bytes io.Reader) {
	_, _ = fmt.Fprintf(i, "M 100644 inline %s\ndata %d\n", path, size)
	_, _ = io.CopyN(i, bytes, int64(size))
	_, _ = io.WriteString(i, "\n")
}

func TestHundredThousandFiles(t *testing.T) {
	d := newDoor(t)
	w := d.work("hello")
	w.fastImport(func(i *importer) {
		i.commit(0)
		for n := range 100_000 {
			_, _ = fmt.Fprintf(i, "M 100644 inline d%d/e%d/file%d\ndata <<E\nthis is file %d of many\nE\n", n%100, n/100%50, n, n)
		}
	})
	h := watchHeap()
	start := time.Now()
	w.git("push", "paas", "main")
	grew := h.grew()
	t.Logf("pushed and read in %v, heap grew by %d MiB", time.Since(start), grew>>20)
	if w.platform.files != 100_000 {
		t.Errorf("%d files were built", w.platform.files)
	}
	if limit := within64MiBAnd(105_000 + 100_000 /* files of the commit */); grew > limit {
		t.Errorf("the heap grew by %d bytes, more than %d", grew, limit)
	}
	h = watchHeap()
	start = time.Now()
	c := d.clone("hello", "--bare")
	grew = h.grew()
	t.Logf("cloned in %v, heap grew by %d MiB", time.Since(start), grew>>20)
	if limit := within64MiBAnd(105_000); grew > limit {
		t.Errorf("the heap grew by %d bytes, more than %d", grew, limit)
	}
	c.git("fsck")
}

// bigHistory is commits that change one big file a little, bring a new big one, and touch a small one.
func (w *work) bigHistory(commits, size int) {
	w.t.Helper()
	w.fastImport(func(i *importer) {
		for n := range commits {
			i.commit(n)
			i.file(fmt.Sprintf("big%d", n%5), size, i.random)
			for range 20 {
				i.file(fmt.Sprintf("src/f%d", i.random.Uint64()%500), 2000, i.random)
			}
		}
	})
}

func TestBigHistory(t *testing.T) {
	commits := 1000 // 1 GB, which takes a minute or two
	if testing.Short() || raced {
		commits = 100
	}
	d := newDoor(t)
	w := d.work("hello")
	w.bigHistory(commits, 1<<20)
	h := watchHeap()
	start := time.Now()
	w.git("-c", "core.compression=0", "-c", "pack.window=0", "push", "paas", "main")
	grew := h.grew()
	t.Logf("pushed %d MB in %v, heap grew by %d MiB", commits, time.Since(start), grew>>20)
	if limit := within64MiBAnd(30 * commits); grew > limit {
		t.Errorf("the heap grew by %d bytes, more than %d", grew, limit)
	}
	h = watchHeap()
	start = time.Now()
	d.clone("hello", "--bare")
	grew = h.grew()
	t.Logf("cloned in %v, heap grew by %d MiB", time.Since(start), grew>>20)
	if limit := within64MiBAnd(30 * commits); grew > limit {
		t.Errorf("the heap grew by %d bytes, more than %d", grew, limit)
	}
}

// TestBigFiles pushes files that are much bigger than the memory they may take, one a delta of another.
func TestBigFiles(t *testing.T) {
	d := newDoor(t)
	w := d.work("hello")
	const size = 60 << 20
	w.fastImport(func(i *importer) {
		i.commit(0)
		i.file("first", size, rand.NewChaCha8([32]byte{2}))
		i.commit(1)
		i.file("second", size, io.MultiReader(io.LimitReader(rand.NewChaCha8([32]byte{2}), size/2), i.random))
	})
	w.git("-c", "pack.window=2", "-c", "core.bigFileThreshold=1g", "-c", "pack.windowMemory=1g", "-c", "core.compression=1", "repack", "-adfq")
	h := watchHeap()
	start := time.Now()
	w.git("push", "paas", "main")
	grew := h.grew()
	t.Logf("pushed and read in %v, heap grew by %d MiB", time.Since(start), grew>>20)
	if limit := within64MiBAnd(10); grew > limit {
		t.Errorf("the heap grew by %d bytes, more than %d", grew, limit)
	}
	w.sound("hello")
}
