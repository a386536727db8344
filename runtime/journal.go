package runtime

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"paas/platform"
	"paas/runtime/ring"
)

// How much is kept of the logs of an app's ended instances.
const (
	keptLogs     = 20       // instances
	keptLogBytes = 50 << 20 // of all of them together
)

// journal is the log of one instance: a directory with a ring and what it belongs to.
type journal struct {
	dir string
	ID  platform.InstanceID
	// Written once:
	Source  string
	Started time.Time
}

const journalFile = "meta.json"

func (r *Runtime) logDir(app platform.AppName) string {
	return filepath.Join(r.options.Dir, "logs", string(app))
}

// openLog makes an instance's journal. The caller closes the segments.
func (r *Runtime) openLog(rec *record) ([2]*os.File, error) {
	dir := filepath.Join(r.logDir(rec.App), string(rec.ID))
	segments, err := makeJournal(dir, journal{ID: rec.ID, Source: rec.source(), Started: rec.StartedAt})
	if err != nil {
		return segments, fmt.Errorf("open log of %s: %w", rec.ID, err)
	}
	return segments, nil
}

// makeJournal writes meta.json last: a directory without it is not a journal yet.
func makeJournal(dir string, j journal) ([2]*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return [2]*os.File{}, err
	}
	segments, err := ring.Create(dir)
	if err != nil {
		return segments, err
	}
	b, err := json.Marshal(j)
	if err != nil {
		return segments, err
	}
	return segments, overwrite(filepath.Join(dir, journalFile), b)
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
		j := journal{dir: filepath.Join(r.logDir(app), e.Name())}
		b, err := os.ReadFile(filepath.Join(j.dir, journalFile))
		if err == nil && json.Unmarshal(b, &j) == nil {
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
		kept++
		bytes += j.bytes()
		if kept > keptLogs || bytes > keptLogBytes {
			err = errors.Join(err, os.RemoveAll(j.dir))
		}
	}
	return err
}

// writes tells whether an instance may still write its log.
func (r *Runtime) writes(id platform.InstanceID) bool {
	if r.notes.writes(id) {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.containers[id]
	return ok && c.record.Phase != ended
}

func (j journal) bytes() int64 {
	var n int64
	for _, name := range ring.Names {
		if info, err := os.Stat(filepath.Join(j.dir, name)); err == nil {
			n += info.Size()
		}
	}
	return n
}
