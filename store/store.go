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
	write writer
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
	if err := migrate(ctx, path); err != nil {
		return nil, fmt.Errorf("migrate %s: %w", path, err)
	}
	write := pool(sql.OpenDB(watcher{address(path, "rw")}), 1)
	read, err := sql.Open("sqlite3", address(path, "ro"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), write.Close())
	}
	return &Store{write: writer{write}, read: pool(read, readers), now: time.Now}, nil
}

// createPrivate makes sure that the file exists and is its owner's alone: config vars are secrets.
func createPrivate(path string) error {
	f, err := os.OpenFile(filepath.Clean(path), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func address(path, mode string) string {
	q := url.Values{
		"mode": {mode}, "_txlock": {"immediate"}, "_journal_mode": {"WAL"}, "_synchronous": {"FULL"},
		"_foreign_keys": {"on"}, "_busy_timeout": {"5000"},
	}
	if mode == "ro" {
		q.Del("_journal_mode") // the writer has set it; a reader may not
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}

func pool(db *sql.DB, connections int) *sql.DB {
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db
}

// Close closes the database. It waits for transactions that run.
func (s *Store) Close() error { return errors.Join(s.read.Close(), s.write.db.Close()) }

// migrate runs each migration once, in order of name; user_version counts them. Nobody watches what they change.
func migrate(ctx context.Context, path string) error {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	db, err := sql.Open("sqlite3", address(path, "rw"))
	if err != nil {
		return err
	}
	defer func() { _ = pool(db, 1).Close() }()
	var done int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&done); err != nil {
		return err
	}
	if done > len(names) {
		return fmt.Errorf("it was written by a newer paas (schema %d, this one knows %d)", done, len(names))
	}
	for i := done; i < len(names); i++ {
		if err := apply(ctx, db, names[i], i+1); err != nil {
			return fmt.Errorf("%s: %w", names[i], err)
		}
	}
	return nil
}

func apply(ctx context.Context, db *sql.DB, name string, version int) error {
	script, err := migrations.ReadFile(name)
	if err != nil {
		return err
	}
	return within(ctx, db, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, string(script)); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", version))
		return err
	})
}

// inTx runs f in one write transaction. What it changes is noted with the command that ctx belongs to.
func (s *Store) inTx(ctx context.Context, f func(*sql.Tx) error) error { return s.write.inTx(ctx, f) }

// writer is the writing connection.
type writer struct{ db *sql.DB }

func (w writer) inTx(ctx context.Context, f func(*sql.Tx) error) error {
	return within(ctx, w.db, func(tx *sql.Tx) error {
		if err := f(tx); err != nil {
			return err
		}
		return noteSeen(ctx, tx)
	})
}

// ExecContext runs one statement in a transaction of its own.
func (w writer) ExecContext(ctx context.Context, query string, args ...any) (res sql.Result, err error) {
	err = w.inTx(ctx, func(tx *sql.Tx) (err error) {
		res, err = tx.ExecContext(ctx, query, args...)
		return err
	})
	return res, err
}

func within(ctx context.Context, db *sql.DB, f func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
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
