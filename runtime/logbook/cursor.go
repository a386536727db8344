package logbook

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"paas/platform"
)

const cursorFile = "cursor-"

// Cursor is the number of the last line that a reader which survives the daemon has dealt with. ok is false for one that has
// never been kept.
func (b *Book) Cursor(app platform.AppName, name string) (number uint64, ok bool, err error) {
	err = b.locked(app, func(s *shelf) error {
		text, err := os.ReadFile(filepath.Join(s.dir, cursorFile+name))
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read a cursor of the log of %s: %w", app, err)
		}
		number, err = strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
		ok = err == nil && number < s.next // one of another log of that name is none of this
		return nil
	})
	return number, ok, err
}

// KeepCursor keeps one. It survives the daemon; after a power cut an older one may be there.
func (b *Book) KeepCursor(app platform.AppName, name string, number uint64) error {
	return b.locked(app, func(s *shelf) error {
		path := filepath.Join(s.dir, cursorFile+name)
		err := os.MkdirAll(s.dir, 0o700)
		if err == nil {
			err = os.WriteFile(path+".new", []byte(strconv.FormatUint(number, 10)+"\n"), 0o600)
		}
		if err == nil {
			err = os.Rename(path+".new", path)
		}
		if err != nil {
			return fmt.Errorf("keep a cursor of the log of %s: %w", app, err)
		}
		return nil
	})
}

// DropCursor forgets one. One that is not there is no error.
func (b *Book) DropCursor(app platform.AppName, name string) error {
	return b.locked(app, func(s *shelf) error {
		return ignoreMissing(os.Remove(filepath.Join(s.dir, cursorFile+name)))
	})
}

// Gap is a line that stands for so many others.
func Gap(n uint64, at time.Time) platform.LogEntry {
	return gapLine(n, at.UnixMicro(), origin{}).entry()
}
