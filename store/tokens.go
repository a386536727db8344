package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"paas/platform"
)

const tokenQuery = `SELECT t.id, coalesce(u.name, '` + platform.Root + `'), u.id IS NULL OR u.admin, t.name, t.hash, t.made_with, t.scopes,
	t.limited, coalesce((SELECT group_concat(a.name, ' ') FROM token_apps l JOIN apps a ON a.id = l.app_id WHERE l.token_id = t.id), ''),
	t.expires_at, t.created_at, t.last_used_at, t.last_used_by
FROM tokens t LEFT JOIN users u ON u.id = t.user_id`

func scanToken(r row) (platform.Token, error) {
	var t platform.Token
	var created int64
	var expires, used sql.NullInt64
	var scopes, apps string
	err := r.Scan(&t.ID, &t.User, &t.OfAdmin, &t.Name, &t.Hash, &t.MadeWith, &scopes, &t.Limited, &apps, &expires, &created, &used, &t.UsedBy)
	t.CreatedAt = fromMillis(created)
	for _, scope := range strings.Fields(scopes) {
		t.Scopes = append(t.Scopes, platform.Scope(scope))
	}
	for _, name := range strings.Fields(apps) {
		t.Apps = append(t.Apps, platform.AppName(name))
	}
	if expires.Valid {
		t.ExpiresAt = fromMillis(expires.Int64)
	}
	if used.Valid {
		t.UsedAt = fromMillis(used.Int64)
	}
	return t, err
}

// AddToken implements platform.Tokens.
func (s *Store) AddToken(ctx context.Context, t platform.Token, most int) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		user, err := userID(ctx, tx, t.User)
		if err != nil {
			return err
		}
		var have int
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM tokens WHERE user_id IS ?", user).Scan(&have); err != nil {
			return err
		}
		if have >= most {
			return platform.Errorf(platform.Conflict, "%s has %d tokens, and more are not allowed", t.User, have)
		}
		return insertToken(ctx, tx, user, t, millis(s.now()))
	})
}

func insertToken(ctx context.Context, tx *sql.Tx, user sql.NullInt64, t platform.Token, now int64) error {
	var scopes []string
	for _, scope := range t.Scopes {
		scopes = append(scopes, string(scope))
	}
	res, err := tx.ExecContext(ctx, `INSERT INTO tokens (user_id, name, hash, made_with, scopes, limited, expires_at, created_at, last_used_by)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, '')`, user, t.Name, t.Hash, t.MadeWith, strings.Join(scopes, " "), t.Limited, orNull(t.ExpiresAt), now)
	if taken(err) {
		return platform.Errorf(platform.Conflict, "a token named %q is there already", t.Name)
	}
	if err != nil {
		return err
	}
	id, err := res.LastInsertId()
	for _, name := range t.Apps {
		if err != nil {
			return err
		}
		err = one(tx.ExecContext(ctx, "INSERT OR IGNORE INTO token_apps (token_id, app_id) SELECT ?, id FROM apps WHERE name = ?", id, name))(noApp(name))
	}
	return err
}

// userID is NULL for root, who is no user.
func userID(ctx context.Context, tx *sql.Tx, name string) (id sql.NullInt64, err error) {
	if name == platform.Root {
		return id, nil
	}
	err = tx.QueryRowContext(ctx, "SELECT id FROM users WHERE name = ?", name).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return id, noUser(name)
	}
	return id, err
}

// orNull stores the zero time as NULL.
func orNull(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: millis(t), Valid: !t.IsZero()}
}

// Tokens implements platform.Tokens.
func (s *Store) Tokens(ctx context.Context) ([]platform.Token, error) {
	rows, err := s.read.QueryContext(ctx, tokenQuery+" ORDER BY t.name, t.id")
	return collect(rows, err, scanToken)
}

// RemoveToken implements platform.Tokens.
func (s *Store) RemoveToken(ctx context.Context, id int64) error {
	return one(s.write.ExecContext(ctx, "DELETE FROM tokens WHERE id = ?", id))(
		platform.Errorf(platform.NotFound, "there is no such token"))
}

// TokenByHash implements platform.Tokens.
func (s *Store) TokenByHash(ctx context.Context, hash string) (platform.Token, error) {
	t, err := scanToken(s.read.QueryRowContext(ctx, tokenQuery+" WHERE t.hash = ?", hash))
	if errors.Is(err, sql.ErrNoRows) {
		return t, platform.Errorf(platform.NotFound, "there is no such token")
	}
	return t, err
}

// TokenUsed implements platform.Tokens.
func (s *Store) TokenUsed(ctx context.Context, id int64, at time.Time, by string) error {
	_, err := s.write.ExecContext(ctx, "UPDATE tokens SET last_used_at = ?, last_used_by = ? WHERE id = ?", millis(at), by, id)
	return err
}
