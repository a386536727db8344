package store

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"strings"
	"time"
)

// Vault keeps secrets under keys that look like paths, with locks. More than one process may use it.
type Vault struct{ s *Store }

// Vault is the part of the store for keys and certificates.
func (s *Store) Vault() Vault { return Vault{s} }

// Put stores a value.
func (v Vault) Put(ctx context.Context, key string, value []byte) error {
	if value == nil {
		value = []byte{} // nil would be NULL
	}
	_, err := v.s.write.ExecContext(ctx, `INSERT INTO vault (key, value, modified_at) VALUES (?, ?, ?)
		ON CONFLICT DO UPDATE SET value = excluded.value, modified_at = excluded.modified_at`, key, value, millis(v.s.now()))
	return err
}

// Fetch returns a value and when it was stored, or fs.ErrNotExist.
func (v Vault) Fetch(ctx context.Context, key string) (value []byte, at time.Time, err error) {
	var ms int64
	err = v.s.read.QueryRowContext(ctx, "SELECT value, modified_at FROM vault WHERE key = ?", key).Scan(&value, &ms)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, at, fs.ErrNotExist
	}
	return value, fromMillis(ms), err
}

// Drop removes a key and everything below it.
func (v Vault) Drop(ctx context.Context, key string) error {
	from, to := below(key)
	_, err := v.s.write.ExecContext(ctx, "DELETE FROM vault WHERE key = ? OR key >= ? AND key < ?", key, from, to)
	return err
}

// Keys lists the keys below a path.
func (v Vault) Keys(ctx context.Context, path string) ([]string, error) {
	from, to := below(path)
	rows, err := v.s.read.QueryContext(ctx, "SELECT key FROM vault WHERE key >= ? AND key < ? ORDER BY key", from, to)
	return collect(rows, err, func(r row) (key string, err error) { return key, r.Scan(&key) })
}

// below are the bounds of all keys under a path: "0" is the character after "/", and no key is behind U+10FFFF.
func below(path string) (from, to string) {
	path = strings.TrimSuffix(path, "/")
	if path == "" {
		return "", "\U0010FFFF"
	}
	return path + "/", path + "0"
}

// Claim takes a lock, or prolongs it, unless another holder has it.
func (v Vault) Claim(ctx context.Context, lock, holder string, lease time.Duration) (bool, error) {
	now := v.s.now()
	res, err := v.s.write.ExecContext(ctx, `INSERT INTO vault_locks (name, holder, expires_at) VALUES (?1, ?2, ?3)
		ON CONFLICT DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
		WHERE holder = ?2 OR expires_at <= ?4`, lock, holder, millis(now.Add(lease)), millis(now))
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// Release gives a lock back.
func (v Vault) Release(ctx context.Context, lock, holder string) error {
	_, err := v.s.write.ExecContext(ctx, "DELETE FROM vault_locks WHERE name = ? AND holder = ?", lock, holder)
	return err
}
