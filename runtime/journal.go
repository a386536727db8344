package runtime

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"paas/platform"
	"paas/runtime/logbook"
	"paas/runtime/ring"
)

// How much is kept of the logs of an app's ended instances.
const (
	keptLogs     = 20       // instances
	keptLogBytes = 20 << 20 // of all of them together
)

// journal is the log of one instance: a ring whose name says all there is to say about it. What is in it becomes part of the
// app's log, which lasts; the ring is for who asks about the instance alone.
type journal = logbook.Ring

func (r *Runtime) logDir(app platform.AppName) string {
	return filepath.Join(r.options.Dir, "logs", string(app))
}

// openLog makes a journal. The caller closes the segments.
func (r *Runtime) openLog(app platform.AppName, j journal) ([2]*os.File, error) {
	dir := r.logDir(app)
	segments, err := ring.Create(filepath.Join(dir, j.Name()))
	if errors.Is(err, os.ErrNotExist) { // the app's first
		if err = os.MkdirAll(dir, 0o700); err == nil {
			segments, err = ring.Create(filepath.Join(dir, j.Name()))
		}
	}
	if err != nil {
		return segments, fmt.Errorf("open log of %s: %w", j.ID, err)
	}
	return segments, nil
}

// journals lists an app's, oldest first.
func (r *Runtime) journals(app platform.AppName) ([]journal, error) {
	entries, err := os.ReadDir(r.logDir(app))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []journal
	for _, e := range entries {
		if j, ok := logbook.ParseRing(e.Name()); ok {
			out = append(out, j)
		}
	}
	slices.SortFunc(out, func(a, b journal) int {
		return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.ID, b.ID))
	})
	return out, nil
}

// pruneRest gathers what ends together: pruning looks at all that is there.
const pruneRest = time.Second

// pruneLater drops old journals of an app whose instance has ended, in the background.
func (r *Runtime) pruneLater(app platform.AppName) {
	r.mu.Lock()
	waits := r.pruning[app]
	r.pruning[app] = true
	r.mu.Unlock()
	if waits {
		return
	}
	r.work.Go(func() {
		select {
		case <-time.After(pruneRest):
		case <-r.life.Done():
		}
		r.mu.Lock()
		delete(r.pruning, app)
		r.mu.Unlock()
		r.janitor.do(func() error { return r.prune(app) })
	})
}

// prune drops the oldest journals beyond the bounds. Those of instances that may still write stay.
func (r *Runtime) prune(app platform.AppName) error {
	if r.options.Logbook != nil {
		if err := r.options.Logbook.Collect(app); err != nil {
			return fmt.Errorf("collect what goes: %w", err)
		}
	}
	journals, err := r.journals(app)
	if err != nil {
		return err
	}
	var bytes int64
	var kept int
	for _, j := range slices.Backward(journals) {
		if r.writes(j.ID) {
			continue
		}
		path := filepath.Join(r.logDir(app), j.Name())
		kept++
		bytes += ringBytes(path)
		if kept > keptLogs || bytes > keptLogBytes {
			err = errors.Join(err, ring.Remove(path))
		}
	}
	return err
}

// writes tells whether an instance may still write its log.
func (r *Runtime) writes(id platform.InstanceID) bool {
	if r.notes.writes(id) || r.accesses.writes(id) {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.containers[id]
	return ok && c.record.Phase != ended
}

func ringBytes(path string) (n int64) {
	for _, end := range ring.Segments {
		if info, err := os.Stat(path + end); err == nil {
			n += info.Size()
		}
	}
	return n
}
