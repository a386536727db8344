package image

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// A layer of thousands of files, as package managers write them, takes the disk some tenths of a second. The app can
// start from it meanwhile, since what reads it reads the kernel's memory; only what must outlive a power cut waits:
//
//	draft -> announced: a mark, on the disk -> the layer has its name -> the disk has all of it -> the mark goes
//
// A mark of an earlier boot is of a layer that the disk may have a part of: the layer goes with it. One of this boot is
// left by a process that ended: the kernel still has what that one wrote.
//
//	DIR/unsettled/NAME.ID   the boot in which the draft ID was committed as the layer NAME
const unsettledDir = "unsettled"

// unsettled is a layer that the disk may not have yet.
type unsettled struct {
	store *Store
	layer string

	mu   sync.Mutex
	done bool
}

// Announce prepares CommitSoon with that name, in the background: call it before the draft is filled, so that the disk
// has little to do.
func (d *Draft) Announce(layer string) {
	if !layerName.MatchString(layer) || d.announced != nil {
		return // CommitSoon says so
	}
	mark := d.store.markPath(layer, d.home)
	d.announced = make(chan error, 1)
	go func() { d.announced <- writeMark(mark) }()
}

func (s *Store) markPath(layer, home string) string {
	return filepath.Join(s.dir, unsettledDir, layer+"."+filepath.Base(home))
}

// writeMark returns when the disk has it.
func writeMark(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(bootID())
	return errors.Join(err, f.Sync(), f.Close(), syncPath(filepath.Dir(path)))
}

// bootID names this boot of the host (random(4)); "" where it cannot be read: then every mark is of another one.
func bootID() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// CommitSoon is Commit that does not wait until the content is on the disk: Durable does. Until then a power cut takes
// the layer away, as if it had never been made. Few files are waited for nevertheless. The caller runs settle when
// there is time, maybe in a goroutine of its own; who needs the layer durable earlier does not depend on that.
func (d *Draft) CommitSoon(layer string) (settle func() error, err error) {
	if settle, err = d.commitSoon(layer); err != nil {
		return nil, fmt.Errorf("commit layer %s: %w", layer, err)
	}
	return settle, d.Discard()
}

func (d *Draft) commitSoon(layer string) (settle func() error, err error) {
	_, err = fewPaths(d.Dir)
	if !errors.Is(err, errMany) {
		if err == nil {
			err = d.commit(layer, true)
		}
		return func() error { return nil }, err
	}
	if err := d.mark(layer); err != nil {
		return nil, fmt.Errorf("mark: %w", err)
	}
	u := &unsettled{store: d.store, layer: layer}
	d.store.keepUnsettled(u)
	if err := d.commit(layer, false); err != nil {
		u.forget()
		return nil, err
	}
	d.kept = true
	return u.settle, nil
}

// mark makes sure that the mark is there: another process that was faster with the same layer takes all marks of it.
func (d *Draft) mark(layer string) error {
	d.Announce(layer)
	if d.announced == nil {
		return ErrLayerName
	}
	if err := d.waitMark(); err != nil {
		return err
	}
	path := d.store.markPath(layer, d.home)
	if there, err := exists(path); there || err != nil {
		return err
	}
	return writeMark(path)
}

// waitMark waits for the mark. It may be called again.
func (d *Draft) waitMark() error {
	err := <-d.announced
	d.announced <- err
	return err
}

// dropMark removes the mark of a draft that did not become a layer whose mark counts.
func (d *Draft) dropMark() error {
	if d.announced == nil || d.kept {
		return nil
	}
	_ = d.waitMark()
	marks, err := filepath.Glob(d.store.markPath("*", d.home))
	for _, mark := range marks {
		err = errors.Join(err, ignoreMissing(os.Remove(mark)))
	}
	return err
}

func (s *Store) keepUnsettled(u *unsettled) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsettled = append(s.unsettled, u)
}

// settle puts the layer on the disk. A failure may be tried again.
func (u *unsettled) settle() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.done {
		return nil
	}
	if err := syncFS(filepath.Join(u.store.dir, "layers")); err != nil {
		return fmt.Errorf("put layer %s on the disk: %w", u.layer, err)
	}
	u.done = true
	u.forget()
	marks, err := filepath.Glob(u.store.markPath(u.layer, "*"))
	for _, mark := range marks {
		err = errors.Join(err, ignoreMissing(os.Remove(mark)))
	}
	return err
}

func (u *unsettled) forget() {
	u.store.mu.Lock()
	defer u.store.mu.Unlock()
	u.store.unsettled = slices.DeleteFunc(u.store.unsettled, func(o *unsettled) bool { return o == u })
}

func layerOfMark(path string) string {
	layer, _, _ := strings.Cut(filepath.Base(path), ".")
	return layer
}

// Durable returns when the disk has the layers, so that a power cut takes none of them. It blocks on the disk only
// for those that CommitSoon has made a moment ago, here or in another process.
func (s *Store) Durable(layers []string) error {
	s.mu.Lock()
	own := slices.Clone(s.unsettled)
	s.mu.Unlock()
	for _, u := range own {
		if slices.Contains(layers, u.layer) {
			if err := u.settle(); err != nil {
				return err
			}
		}
	}
	marks, err := s.names(unsettledDir)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(marks, func(mark string) bool { return slices.Contains(layers, layerOfMark(mark)) }) {
		return syncFS(filepath.Join(s.dir, "layers"))
	}
	return nil
}

// sweepUnsettled removes what a power cut has left of layers, and puts those on the disk that a process of this boot
// has left. Drafts that are still under way keep their marks.
func (s *Store) sweepUnsettled() error {
	marks, err := s.names(unsettledDir)
	if err != nil || len(marks) == 0 {
		return err
	}
	var errs []error
	if err := syncFS(s.dir); err != nil { // before the first mark goes
		return err
	}
	for _, mark := range marks {
		errs = append(errs, s.sweepMark(filepath.Join(s.dir, unsettledDir, mark)))
	}
	return errors.Join(errs...)
}

func (s *Store) sweepMark(mark string) error {
	id := strings.TrimPrefix(filepath.Ext(mark), ".")
	if there, err := exists(filepath.Join(s.dir, "drafts", id)); there || err != nil {
		return err
	}
	text, err := os.ReadFile(mark)
	if err != nil {
		return ignoreMissing(err)
	}
	layer := layerOfMark(mark)
	if boot := bootID(); (boot == "" || string(text) != boot) && layerName.MatchString(layer) {
		err := os.Rename(s.Dir(layer), filepath.Join(s.dir, "trash", newID()))
		if err = errors.Join(ignoreMissing(err), syncPath(filepath.Join(s.dir, "layers"))); err != nil {
			return err
		}
	}
	return ignoreMissing(unix.Unlink(mark))
}
