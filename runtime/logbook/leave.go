package logbook

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"paas/platform"
)

// Forget removes an app's log. Instances must not write any more.
func (b *Book) Forget(app platform.AppName) error {
	s, err := b.shelf(app)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
	s.wake()
	b.mu.Lock()
	delete(b.shelves, app)
	delete(b.own, app)
	aside, err := b.setAside(s.dir)
	b.mu.Unlock()
	if err = errors.Join(err, os.RemoveAll(aside)); err != nil {
		return fmt.Errorf("remove the log of %s: %w", app, err)
	}
	return nil
}

// setAside gives the directory of a log that is to be removed another name: whoever writes under its name the next moment,
// as an instance of an app that is renamed does, has a directory of its own. The caller holds mu.
func (b *Book) setAside(dir string) (aside string, err error) {
	if aside, err = os.MkdirTemp(b.options.Dir, goneDirs+"*"); err != nil {
		return "", err
	}
	return aside, ignoreMissing(os.Rename(dir, filepath.Join(aside, "log")))
}

// goneDirs is how the names of directories begin that are being removed.
const goneDirs = ".gone-"

// clearRest removes what a crash left of logs that were being removed.
func (b *Book) clearRest() error {
	list, err := filepath.Glob(filepath.Join(b.options.Dir, goneDirs+"*"))
	for _, dir := range list {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

// Rename implements platform.Logbook. Lines that the new name has already stay. Who writes under either name meanwhile waits.
func (b *Book) Rename(from, to platform.AppName) error {
	b.moves.Lock()
	defer b.moves.Unlock()
	old, err := b.shelf(from)
	if err != nil {
		return err
	}
	target, err := b.shelf(to)
	if err != nil {
		return err
	}
	old.mu.Lock()
	defer old.mu.Unlock()
	target.mu.Lock()
	defer target.mu.Unlock()
	if err := b.move(old, target); err != nil {
		return fmt.Errorf("rename the log of %s: %w", from, err)
	}
	return nil
}

// move puts a log, and behind its lines those of the other one, where the other one is. The caller holds both shelves' mu.
func (b *Book) move(old, target *shelf) error {
	_, err := os.Stat(old.dir)
	written := err == nil
	if written {
		if err := target.giveTo(b.life, old); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	old.gone, target.moved = true, true // whatever becomes of it: both are loaded anew, from what is on the disk then
	old.wake()
	target.wake()
	delete(b.shelves, old.app)
	delete(b.shelves, target.app)
	if written {
		aside, err := b.setAside(target.dir)
		if err = errors.Join(err, os.Rename(old.dir, target.dir), os.RemoveAll(aside)); err != nil {
			return err
		}
	}
	if err := moveFiles(RingDir(b.options.Rings, old.app), RingDir(b.options.Rings, target.app)); err != nil {
		return err
	}
	if bounds, ok := b.own[old.app]; ok {
		b.own[target.app] = bounds
	}
	delete(b.own, old.app)
	b.watch.rescan()
	return nil
}

// giveTo appends all lines to another log, with how far their rings were read. The caller holds both shelves' mu.
func (s *shelf) giveTo(ctx context.Context, other *shelf) error {
	if err := errors.Join(s.load(), other.load()); err != nil {
		return err
	}
	snap, err := s.snapshot()
	if err != nil {
		return err
	}
	var lines []line
	err = snap.print(ctx, newFilter(platform.LogFilter{App: s.app}, math.MinInt64), platform.AllLines, func(e platform.LogEntry) error {
		lines = append(lines, lineOf(e))
		return nil
	})
	if err != nil || len(lines) == 0 && len(s.positions) == 0 {
		return err
	}
	return other.add(lines, s.positions)
}

// moveFiles moves what is in a directory into another one, which may have files of other names.
func moveFiles(from, to string) error {
	err := os.Rename(from, to)
	if err == nil || errors.Is(err, os.ErrNotExist) {
		return nil
	}
	files, err := os.ReadDir(from)
	for _, f := range files {
		err = errors.Join(err, os.Rename(filepath.Join(from, f.Name()), filepath.Join(to, f.Name())))
	}
	return errors.Join(err, os.Remove(from))
}
