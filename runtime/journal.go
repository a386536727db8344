package runtime

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"paas/platform"
	"paas/runtime/ring"
)

// How much is kept of the logs of an app's ended instances.
const (
	keptLogs     = 20       // instances
	keptLogBytes = 50 << 20 // of all of them together
)

// journal is the log of one instance: a ring whose name says all there is to say about it. Files are what an
// instance costs on the disk, so there is no other.
type journal struct {
	ID      platform.InstanceID
	Source  string // "web.1"; empty for notes
	Started time.Time
}

// journalParts separates what a journal's name consists of; no name of an app or a process has it.
const journalParts = "@"

func (j journal) name() string {
	return strings.Join([]string{strconv.FormatInt(j.Started.UnixNano(), 10), string(j.ID), j.Source}, journalParts)
}

// journalNamed reads the name of a journal's first segment.
func journalNamed(file string) (j journal, ok bool) {
	name, ok := strings.CutSuffix(file, ring.Segments[0])
	parts := strings.Split(name, journalParts)
	if !ok || len(parts) != 3 {
		return journal{}, false
	}
	started, err := strconv.ParseInt(parts[0], 10, 64)
	return journal{ID: platform.InstanceID(parts[1]), Source: parts[2], Started: time.Unix(0, started)}, err == nil
}

func (r *Runtime) logDir(app platform.AppName) string {
	return filepath.Join(r.options.Dir, "logs", string(app))
}

// openLog makes a journal. The caller closes the segments.
func (r *Runtime) openLog(app platform.AppName, j journal) ([2]*os.File, error) {
	dir := r.logDir(app)
	segments, err := ring.Create(filepath.Join(dir, j.name()))
	if errors.Is(err, os.ErrNotExist) { // the app's first
		if err = os.MkdirAll(dir, 0o700); err == nil {
			segments, err = ring.Create(filepath.Join(dir, j.name()))
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
		if j, ok := journalNamed(e.Name()); ok {
			out = append(out, j)
		}
	}
	slices.SortFunc(out, func(a, b journal) int {
		return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.ID, b.ID))
	})
	return out, nil
}

// pruneLater drops old journals of an app whose instance has ended, in the background.
func (r *Runtime) pruneLater(app platform.AppName) {
	r.mu.Lock()
	waits := r.pruning[app]
	r.pruning[app] = true
	r.mu.Unlock()
	if waits {
		return
	}
	r.janitor.do(func() error {
		r.mu.Lock()
		delete(r.pruning, app)
		r.mu.Unlock()
		return r.prune(app)
	})
}

// prune drops the oldest journals beyond the bounds. Those of instances that may still write stay.
func (r *Runtime) prune(app platform.AppName) error {
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
		path := filepath.Join(r.logDir(app), j.name())
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
