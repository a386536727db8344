// Package store keeps the desired state in SQLite. Actual state is never stored: it is asked of the runtime.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/mattn/go-sqlite3"

	"paas/platform"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Store implements platform.Store. SQLite allows one writer at a time, so there is exactly one writing
// connection, and readers have a pool of their own that never waits for it (WAL).
type Store struct {
	write *sql.DB
	read  *sql.DB
	now   func() time.Time
}

const readers = 4

// Open opens or creates the database file and brings its schema up to date.
// synchronous=FULL: with NORMAL a power cut loses transactions that were acknowledged.
func Open(ctx context.Context, path string) (*Store, error) {
	if err := createPrivate(path); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	write, err := open(path, "rw", 1)
	if err != nil {
		return nil, err
	}
	s := &Store{write: write, now: time.Now}
	if err := s.migrate(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("migrate %s: %w", path, err), write.Close())
	}
	if s.read, err = open(path, "ro", readers); err != nil {
		return nil, errors.Join(err, write.Close())
	}
	return s, nil
}

// createPrivate makes sure that the file exists and is its owner's alone: config vars are secrets.
func createPrivate(path string) error {
	f, err := os.OpenFile(filepath.Clean(path), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func open(path, mode string, connections int) (*sql.DB, error) {
	q := url.Values{
		"mode": {mode}, "_txlock": {"immediate"}, "_journal_mode": {"WAL"}, "_synchronous": {"FULL"},
		"_foreign_keys": {"on"}, "_busy_timeout": {"5000"},
	}
	if mode == "ro" {
		q.Del("_journal_mode") // the writer has set it; a reader may not
	}
	db, err := sql.Open("sqlite3", (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// Close closes the database. It waits for transactions that run.
func (s *Store) Close() error { return errors.Join(s.read.Close(), s.write.Close()) }

// migrate runs each migration once, in order of name; user_version counts them.
func (s *Store) migrate(ctx context.Context) error {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	var done int
	if err := s.write.QueryRowContext(ctx, "PRAGMA user_version").Scan(&done); err != nil {
		return err
	}
	if done > len(names) {
		return fmt.Errorf("it was written by a newer paas (schema %d, this one knows %d)", done, len(names))
	}
	for i := done; i < len(names); i++ {
		if err := s.apply(ctx, names[i], i+1); err != nil {
			return fmt.Errorf("%s: %w", names[i], err)
		}
	}
	return nil
}

func (s *Store) apply(ctx context.Context, name string, version int) error {
	script, err := migrations.ReadFile(name)
	if err != nil {
		return err
	}
	return s.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, string(script)); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", version))
		return err
	})
}

// inTx runs f in one write transaction.
func (s *Store) inTx(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := f(tx); err != nil {
		return errors.Join(err, ignoreDone(tx.Rollback()))
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

// taken tells whether err is a violated UNIQUE or PRIMARY KEY.
func taken(err error) bool {
	var e sqlite3.Error
	return errors.As(err, &e) &&
		(e.ExtendedCode == sqlite3.ErrConstraintUnique || e.ExtendedCode == sqlite3.ErrConstraintPrimaryKey)
}

func noApp(name platform.AppName) error {
	return platform.Errorf(platform.NotFound, "there is no app %q", name)
}

func millis(t time.Time) int64      { return t.UnixMilli() }
func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
