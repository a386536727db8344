package logbook

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

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

// Rename implements platform.Logbook. Lines that the new name has already stay.
func (b *Book) Rename(from, to platform.AppName) error {
	if _, err := os.Stat(filepath.Join(b.options.Dir, string(from))); errors.Is(err, os.ErrNotExist) {
		return b.move(from, to)
	}
	var err error
	for range mostMoves {
		said, failed := b.makeRoom(to)
		if failed != nil {
			return failed
		}
		if err = b.move(from, to); err == nil && len(said) > 0 {
			return b.Append(to, said)
		}
		if !errors.Is(err, os.ErrExist) {
			break
		}
	}
	return err
}

// mostMoves is how often a move is tried whose place is taken meanwhile, by an instance's first lines.
const mostMoves = 10

// makeRoom removes the log of a name and returns what the platform itself had said there. What instances had is read
// from their rings again.
func (b *Book) makeRoom(app platform.AppName) (said []platform.LogEntry, err error) {
	if _, err := os.Stat(filepath.Join(b.options.Dir, string(app))); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	fromRings := []platform.LogSource{platform.LogApp, platform.LogRun, platform.LogCron}
	err = b.Read(b.life, platform.LogFilter{App: app, Last: platform.AllLines}, func(l platform.LogEntry) error {
		if !slices.Contains(fromRings, l.Source) {
			said = append(said, l)
		}
		return nil
	})
	return said, errors.Join(err, b.Forget(app))
}

func (b *Book) move(from, to platform.AppName) error {
	old, err := b.shelf(from)
	if err != nil {
		return err
	}
	if _, err := b.shelf(to); err != nil { // only its name is looked at
		return err
	}
	old.mu.Lock()
	defer old.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	fresh := filepath.Join(b.options.Dir, string(to))
	err = errors.Join(ignoreMissing(os.Rename(old.dir, fresh)),
		moveFiles(RingDir(b.options.Rings, from), RingDir(b.options.Rings, to)))
	if err != nil {
		return fmt.Errorf("rename the log of %s: %w", from, err)
	}
	old.gone = true
	old.wake()
	if bounds, ok := b.own[from]; ok {
		b.own[to] = bounds
	}
	delete(b.own, from)
	delete(b.shelves, from)
	delete(b.shelves, to) // it is loaded anew
	b.watch.rescan()
	return nil
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
