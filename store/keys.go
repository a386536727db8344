package store

import (
	"context"
	"database/sql"
	"errors"

	"paas/platform"
)

const keyColumns = "name, fingerprint, public, admin, created_at"

func scanKey(r row) (platform.Key, error) {
	var k platform.Key
	var created int64
	err := r.Scan(&k.Name, &k.Fingerprint, &k.Public, &k.Admin, &created)
	k.CreatedAt = fromMillis(created)
	return k, err
}

// AddKey implements platform.Store.
func (s *Store) AddKey(ctx context.Context, k platform.Key) error {
	_, err := s.write.ExecContext(ctx, "INSERT INTO keys ("+keyColumns+") VALUES (?, ?, ?, ?, ?)",
		k.Name, k.Fingerprint, k.Public, k.Admin, millis(s.now()))
	if taken(err) {
		return platform.Errorf(platform.Conflict, "a key named %q or with the fingerprint %s is there already", k.Name, k.Fingerprint)
	}
	return err
}

// RemoveKey implements platform.Store.
func (s *Store) RemoveKey(ctx context.Context, name string) error {
	return one(s.write.ExecContext(ctx, "DELETE FROM keys WHERE name = ?", name))(
		platform.Errorf(platform.NotFound, "there is no key named %q", name))
}

// Keys implements platform.Store.
func (s *Store) Keys(ctx context.Context) ([]platform.Key, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT "+keyColumns+" FROM keys ORDER BY name")
	return collect(rows, err, scanKey)
}

// KeyByFingerprint implements platform.Store.
func (s *Store) KeyByFingerprint(ctx context.Context, fingerprint string) (platform.Key, error) {
	k, err := scanKey(s.read.QueryRowContext(ctx, "SELECT "+keyColumns+" FROM keys WHERE fingerprint = ?", fingerprint))
	if errors.Is(err, sql.ErrNoRows) {
		return k, platform.Errorf(platform.NotFound, "there is no key %s", fingerprint)
	}
	return k, err
}
