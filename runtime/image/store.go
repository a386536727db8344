// Package image is the ground floor of builds and containers: one content store of layers, the
// mounts made of them, the garbage collector, and OCI image layouts in and out.
//
// A layer is a directory in the form overlayfs reads: a deleted path is a character device 0:0, a
// directory that hides everything below it carries trusted.overlay.opaque=y. Owners on disk are those
// a container sees, never shifted. A layer is complete from the moment it has its name, durable too
// unless it is unsettled, and never changes again.
//
//	DIR/layers/NAME   a layer
//	DIR/drafts/ID/fs  a layer in the making; its maker holds a flock on DIR/drafts/ID
//	DIR/drafts/ID/work  overlayfs scratch beside it
//	DIR/trash/ID      what is being deleted
//	DIR/leases/ID     names of layers that somebody works with; its maker holds a flock on it
//	DIR/notes/NAME    what made the layer; its time is the layer's last use
//	DIR/shifted/BASE/NAME  a layer's copy with shifted owners, on hosts without id-mapped mounts
//	DIR/unsettled/NAME.ID  a layer that the disk may not have yet
//	DIR/lock          held shared to make drafts and leases, alone to sweep and collect
package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Grace is how long a layer outlives its commit and its last use, whatever Collect's caller says: a
// build that is under way has committed it or found it, and no release names it yet.
const Grace = time.Hour

// ErrLayerName is wrapped by every error about a malformed layer name.
var ErrLayerName = errors.New("a layer name is 1 to 64 lower-case letters, digits and inner dashes")

var layerName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$`)

// Store is the one content store. Safe for concurrent use; two processes may have it open at once
// (a daemon and its successor).
type Store struct {
	dir string
	now func() time.Time

	budget, reserve int64
	making          flights // layers that are being imported or copied

	mu     sync.Mutex
	used   map[string]time.Time // layer -> when Has last found it here
	marked map[string]time.Time // layer -> when its note was last touched
	size   map[string]int64     // layer -> bytes; layers never change

	unsettled []*unsettled // that this process has made; guarded by mu

	probe   sync.Once
	probed  error
	reduced string // why owners are shifted by copying; "" where mounts map them
}

// Options are what a store needs beside its directory.
type Options struct {
	Dir     string
	Reserve int64 // bytes of the file system that nobody's work may take; 0: a twentieth, at most 2 GiB
	Budget  int64 // bytes that layers shall not exceed; 0: no bound but the reserve
	Shift   bool  // shift owners by copying, even where mounts could map them
}

// Open opens the store in dir, making it if there is none, and removes the drafts of predecessors
// that crashed. It blocks on the disk while it deletes.
func Open(dir string) (*Store, error) { return OpenWith(Options{Dir: dir}) }

// OpenWith is Open with bounds.
func OpenWith(o Options) (*Store, error) {
	s := &Store{
		now: time.Now, used: map[string]time.Time{}, marked: map[string]time.Time{}, size: map[string]int64{},
		reserve: o.Reserve, budget: o.Budget,
	}
	if o.Shift {
		s.reduced = "the options ask for it"
	}
	if err := s.open(o.Dir); err != nil {
		return nil, fmt.Errorf("open content store %s: %w", o.Dir, err)
	}
	return s, nil
}

func (s *Store) open(dir string) (err error) {
	// Layers hold setuid programs and files with capabilities: nobody else on the host may reach them.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if s.dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if s.dir, err = filepath.EvalSymlinks(s.dir); err != nil {
		return err
	}
	for _, name := range []string{"layers", "drafts", "trash", "leases", "notes", "shifted", unsettledDir} {
		if err := os.MkdirAll(filepath.Join(s.dir, name), 0o700); err != nil {
			return err
		}
	}
	Spread(filepath.Join(s.dir, "drafts"))
	return errors.Join(s.sweepDrafts(), s.sweepUnsettled(), s.sweepShifted(), s.emptyTrash())
}

// Path is the store's own directory.
func (s *Store) Path() string { return s.dir }

// Dir is the directory of a layer, which need not exist. It panics on a malformed name, since the
// result would be a path outside the store.
func (s *Store) Dir(layer string) string {
	if !layerName.MatchString(layer) {
		panic(fmt.Sprintf("layer %q: %v", layer, ErrLayerName))
	}
	return filepath.Join(s.dir, "layers", layer)
}

// Has tells whether the layer is there, and if so keeps Collect away from it for Grace.
func (s *Store) Has(layer string) bool {
	if !layerName.MatchString(layer) {
		return false
	}
	if !s.use(layer) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.used[layer]; now.Sub(s.marked[layer]) > touchEvery {
		s.marked[layer] = now
		s.touch(layer, now)
	}
	return true
}

// use looks for a layer and marks it as used in one step: it is not collected in between.
func (s *Store) use(layer string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := os.Lstat(s.Dir(layer)); err != nil {
		return false
	}
	s.used[layer] = s.now()
	return true
}

// names lists the entries of one of the store's directories.
func (s *Store) names(dir string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, dir))
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

// lock takes the store's lock, how being unix.LOCK_SH or unix.LOCK_EX. Closing the file unlocks.
func (s *Store) lock(how int) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(s.dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock(f, how); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
