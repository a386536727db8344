package image

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Draft is a layer in the making. It belongs to one goroutine. Whoever makes one defers Discard.
type Draft struct {
	Dir  string        // empty, owned 0:0, mode 0755; fill it by any means, also as an overlay's upper directory
	Work string        // empty, beside Dir: fit to be the overlay's work directory; never part of the layer
	Note string        // what makes the layer, for people; set it before Commit
	Took time.Duration // what making it took; 0: the time from Draft to Commit

	Made string // for what: one word, empty for an app's own layer

	begun time.Time
	store *Store
	home  string   // holds both
	held  *os.File // home, flocked while the draft lives; nil after Commit or Discard

	announced chan error // has what became of the mark; nil without one
	kept      bool       // the mark is the layer's
}

// Draft makes a fresh draft. A crash at any later moment leaves it to the next Open.
func (s *Store) Draft() (*Draft, error) {
	d := &Draft{store: s, begun: s.now(), home: filepath.Join(s.dir, "drafts", newID())}
	d.Dir, d.Work = filepath.Join(d.home, "fs"), filepath.Join(d.home, "work")
	if err := d.make(); err != nil {
		return nil, errors.Join(fmt.Errorf("make layer draft: %w", err), d.Discard())
	}
	return d, nil
}

// make holds the store's lock, since between mkdir and flock the draft looks abandoned.
func (d *Draft) make() error {
	lock, err := d.store.lock(unix.LOCK_SH)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	if err := os.Mkdir(d.home, 0o700); err != nil {
		return err
	}
	if d.held, err = os.Open(d.home); err != nil {
		return err
	}
	if err := flock(d.held, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return err
	}
	return errors.Join(mkdirExact(d.Dir), mkdirExact(d.Work))
}

// mkdirExact is mkdir with mode 0755 and owner 0:0 whatever the umask and a setgid parent say.
func mkdirExact(path string) error {
	if err := os.Mkdir(path, 0o755); err != nil {
		return err
	}
	return errors.Join(os.Chown(path, 0, 0), os.Chmod(path, 0o755))
}

// Commit names the draft: when it returns nil the layer is there, whole and durable, and the draft is
// spent. If another draft was committed under the name first, this one is discarded. It blocks until
// the content is on the disk. Nothing may write to Dir any more; an overlay on it must be unmounted.
func (d *Draft) Commit(layer string) error {
	if err := d.commit(layer, true); err != nil {
		return fmt.Errorf("commit layer %s: %w", layer, err)
	}
	return d.Discard()
}

// commit gives the draft its name, when the disk has all of it or before.
func (d *Draft) commit(layer string, durable bool) error {
	if d.held == nil {
		return errors.New("the draft is spent")
	}
	if !layerName.MatchString(layer) {
		return ErrLayerName
	}
	there, err := exists(d.store.Dir(layer))
	if err != nil || there {
		return err
	}
	took := cmp.Or(d.Took, max(d.store.now().Sub(d.begun), 0))
	if err := d.store.writeNote(layer, note{text: d.Note, took: took, uses: 1, made: d.Made}); err != nil {
		return fmt.Errorf("note: %w", err)
	}
	if durable {
		if err := syncTree(d.Dir); err != nil {
			return fmt.Errorf("sync: %w", err)
		}
	}
	err = unix.Renameat2(unix.AT_FDCWD, d.Dir, unix.AT_FDCWD, d.store.Dir(layer), unix.RENAME_NOREPLACE)
	if err != nil && !errors.Is(err, unix.EEXIST) || !durable {
		return ignoreExisting(err)
	}
	return syncPath(filepath.Dir(d.store.Dir(layer)))
}

// ignoreExisting is for who wants it to be there.
func ignoreExisting(err error) error {
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// Discard removes the draft; after Commit or another Discard it does nothing.
func (d *Draft) Discard() error {
	held := d.held
	d.held = nil
	if held == nil {
		return nil
	}
	return errors.Join(d.dropMark(), d.store.throwAway(d.home), held.Close())
}

// sweepDrafts throws away drafts that no live process holds; emptyTrash deletes them, without the lock.
func (s *Store) sweepDrafts() error {
	lock, err := s.lock(unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	ids, err := s.names("drafts")
	for _, id := range ids {
		err = errors.Join(err, s.sweepDraft(filepath.Join(s.dir, "drafts", id)))
	}
	return err
}

func (s *Store) sweepDraft(home string) error {
	f, err := os.Open(home)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // just discarded
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return s.throwAbandoned(f, home)
}

// throwAbandoned throws an opened draft away if nobody holds it.
func (s *Store) throwAbandoned(f *os.File, home string) error {
	if err := flock(f, unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return nil
	} else if err != nil {
		return err
	}
	return ignoreMissing(os.Rename(home, filepath.Join(s.dir, "trash", newID()))) // discarded in between
}

func newID() string { return rand.Text()[:12] }
