package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"paas/platform"
)

const buildQuery = `SELECT a.name, b.number, b.actor, b.commit_id, b.status, b.created_at, b.started_at, b.ended_at, b.detail
FROM builds b JOIN apps a ON a.id = b.app_id`

func scanBuild(r row) (platform.Build, error) {
	var b platform.Build
	var created, started, ended int64
	var detail string
	err := r.Scan(&b.App, &b.Number, &b.Actor, &b.Commit, &b.Status, &created, &started, &ended, &detail)
	if err != nil {
		return b, err
	}
	b.CreatedAt = fromMillis(created)
	if started > 0 {
		b.StartedAt = fromMillis(started)
	}
	if ended > 0 {
		b.EndedAt = fromMillis(ended)
	}
	if err := json.Unmarshal([]byte(detail), &b.BuildDetail); err != nil {
		return b, fmt.Errorf("read build %d of %s: %w", b.Number, b.App, err)
	}
	return b, nil
}

// LastBuild implements platform.Builds.
func (s *Store) LastBuild(ctx context.Context, name platform.AppName) (n int, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT coalesce(max(b.number), 0) FROM builds b JOIN apps a ON a.id = b.app_id WHERE a.name = ?`, name).Scan(&n)
	return n, err
}

// SaveBuild implements platform.Builds.
func (s *Store) SaveBuild(ctx context.Context, b platform.Build, keep int) error {
	detail, err := json.Marshal(b.BuildDetail)
	if err != nil {
		return fmt.Errorf("write build: %w", err)
	}
	return s.inTx(ctx, func(tx *sql.Tx) error {
		id, err := appID(ctx, tx, b.App)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO builds
			(app_id, number, actor, commit_id, status, created_at, started_at, ended_at, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			id, b.Number, b.Actor, b.Commit, b.Status, millis(b.CreatedAt), max(millis(b.StartedAt), 0), max(millis(b.EndedAt), 0), string(detail)); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM builds WHERE app_id = ? AND number <= ? AND status NOT IN ('queued', 'running')", id, b.Number-keep)
		return err
	})
}

// Build implements platform.Builds.
func (s *Store) Build(ctx context.Context, name platform.AppName, number int) (platform.Build, error) {
	b, err := scanBuild(s.read.QueryRowContext(ctx, buildQuery+" WHERE a.name = ? AND b.number = ?", name, number))
	if errors.Is(err, sql.ErrNoRows) {
		return b, platform.Errorf(platform.NotFound, "%s has no build %d", name, number)
	}
	return b, err
}

// Builds implements platform.Builds.
func (s *Store) Builds(ctx context.Context, name platform.AppName, n int) ([]platform.Build, error) {
	rows, err := s.read.QueryContext(ctx, buildQuery+" WHERE ?1 = '' OR a.name = ?1 ORDER BY b.created_at DESC, b.number DESC LIMIT ?2", name, n)
	return collect(rows, err, scanBuild)
}

// InterruptBuilds implements platform.Builds.
func (s *Store) InterruptBuilds(ctx context.Context, cause string) (int, error) {
	res, err := s.write.ExecContext(ctx, `UPDATE builds SET status = ?, ended_at = ?, detail = json_set(detail, '$.cause', ?)
		WHERE status IN ('queued', 'running')`, platform.BuildInterrupted, millis(s.now()), cause)
	if err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	return int(n), err
}

// BuildInputs implements platform.Builds.
func (s *Store) BuildInputs(ctx context.Context, name platform.AppName) (inputs []byte, err error) {
	err = s.read.QueryRowContext(ctx, "SELECT i.inputs FROM build_inputs i JOIN apps a ON a.id = i.app_id WHERE a.name = ?", name).Scan(&inputs)
	return inputs, ignoreNoRows(err)
}

// SaveBuildInputs implements platform.Builds.
func (s *Store) SaveBuildInputs(ctx context.Context, name platform.AppName, inputs []byte) error {
	return one(s.write.ExecContext(ctx, `INSERT OR REPLACE INTO build_inputs (app_id, inputs) SELECT id, ?2 FROM apps WHERE name = ?1`,
		name, inputs))(noApp(name))
}

// GlobalSettings implements platform.Builds.
func (s *Store) GlobalSettings(ctx context.Context) ([]platform.Setting, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT topic, '', key, value FROM global_settings ORDER BY topic, key")
	return collect(rows, err, scanSetting)
}

// ChangeGlobalSettings implements platform.Builds.
func (s *Store) ChangeGlobalSettings(ctx context.Context, list []platform.Setting) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		for _, n := range list {
			query, args := "INSERT OR REPLACE INTO global_settings (topic, key, value) VALUES (?, ?, ?)", []any{n.Topic, n.Key, n.Value}
			if n.Value == "" {
				query, args = "DELETE FROM global_settings WHERE topic = ? AND key = ?", args[:2]
			}
			if _, err := tx.ExecContext(ctx, query, args...); err != nil {
				return err
			}
		}
		return nil
	})
}
