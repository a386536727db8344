package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"

	"paas/platform"
)

const keyQuery = `SELECT k.name, u.name, k.fingerprint, k.public, u.admin, u.creates, k.created_at
FROM keys k JOIN users u ON u.id = k.user_id`

func scanKey(r row) (platform.Key, error) {
	var k platform.Key
	var created int64
	err := r.Scan(&k.Name, &k.User, &k.Fingerprint, &k.Public, &k.Admin, &k.Creates, &created)
	k.CreatedAt = fromMillis(created)
	return k, err
}

// AddKey implements platform.People.
func (s *Store) AddKey(ctx context.Context, k platform.Key) error {
	user := cmp.Or(k.User, k.Name)
	return s.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO users (name, admin, creates, created_at) VALUES (?, ?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET admin = admin OR excluded.admin, creates = creates OR excluded.creates`,
			user, k.Admin, k.Creates, millis(s.now()))
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO keys (fingerprint, user_id, name, public, created_at)
			SELECT ?, id, ?, ?, ? FROM users WHERE name = ?`, k.Fingerprint, k.Name, k.Public, millis(s.now()), user)
		if taken(err) {
			return platform.Errorf(platform.Conflict, "a key named %q or with the fingerprint %s is there already", k.Name, k.Fingerprint)
		}
		return err
	})
}

// RemoveKey implements platform.People.
func (s *Store) RemoveKey(ctx context.Context, name string) error {
	return s.keepingAdmin(ctx, func(tx *sql.Tx) error {
		var fingerprint string
		err := tx.QueryRowContext(ctx, "DELETE FROM keys WHERE name = ?1 OR fingerprint = ?1 RETURNING fingerprint", name).Scan(&fingerprint)
		if errors.Is(err, sql.ErrNoRows) {
			return platform.Errorf(platform.NotFound, "there is no key named %q", name)
		}
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM tokens WHERE made_with = ?", fingerprint)
		return err
	})
}

// Keys implements platform.People.
func (s *Store) Keys(ctx context.Context) ([]platform.Key, error) {
	rows, err := s.read.QueryContext(ctx, keyQuery+" ORDER BY k.name")
	return collect(rows, err, scanKey)
}

// KeyByFingerprint implements platform.People.
func (s *Store) KeyByFingerprint(ctx context.Context, fingerprint string) (platform.Key, error) {
	k, err := scanKey(s.read.QueryRowContext(ctx, keyQuery+" WHERE k.fingerprint = ?", fingerprint))
	if errors.Is(err, sql.ErrNoRows) {
		return k, platform.Errorf(platform.NotFound, "there is no key %s", fingerprint)
	}
	return k, err
}
