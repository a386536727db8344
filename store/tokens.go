package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"paas/platform"
)

const tokenQuery = `SELECT t.name, t.hash, coalesce(a.name, ''), t.read_only, t.expires_at, t.created_at
FROM tokens t LEFT JOIN apps a ON a.id = t.app_id`

func scanToken(r row) (platform.Token, error) {
	var t platform.Token
	var created int64
	var expires sql.NullInt64
	err := r.Scan(&t.Name, &t.Hash, &t.App, &t.ReadOnly, &expires, &created)
	t.CreatedAt = fromMillis(created)
	if expires.Valid {
		t.ExpiresAt = fromMillis(expires.Int64)
	}
	return t, err
}

// AddToken implements platform.Tokens. A token of an app goes with it.
func (s *Store) AddToken(ctx context.Context, t platform.Token) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		var app sql.NullInt64
		if t.App != "" {
			id, err := appID(ctx, tx, t.App)
			if err != nil {
				return err
			}
			app = sql.NullInt64{Int64: id, Valid: true}
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO tokens (name, hash, app_id, read_only, expires_at, created_at) VALUES (?, ?, ?, ?, ?, ?)",
			t.Name, t.Hash, app, t.ReadOnly, orNull(t.ExpiresAt), millis(s.now()))
		if taken(err) {
			return platform.Errorf(platform.Conflict, "a token named %q is there already", t.Name)
		}
		return err
	})
}

// orNull stores the zero time as NULL.
func orNull(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: millis(t), Valid: !t.IsZero()}
}

// Tokens implements platform.Tokens.
func (s *Store) Tokens(ctx context.Context) ([]platform.Token, error) {
	rows, err := s.read.QueryContext(ctx, tokenQuery+" ORDER BY t.name")
	return collect(rows, err, scanToken)
}

// RemoveToken implements platform.Tokens.
func (s *Store) RemoveToken(ctx context.Context, name string) error {
	return one(s.write.ExecContext(ctx, "DELETE FROM tokens WHERE name = ?", name))(
		platform.Errorf(platform.NotFound, "there is no token named %q", name))
}

// TokenByHash implements platform.Tokens.
func (s *Store) TokenByHash(ctx context.Context, hash string) (platform.Token, error) {
	t, err := scanToken(s.read.QueryRowContext(ctx, tokenQuery+" WHERE t.hash = ?", hash))
	if errors.Is(err, sql.ErrNoRows) {
		return t, platform.Errorf(platform.NotFound, "there is no such token")
	}
	return t, err
}
