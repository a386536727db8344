package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"paas/platform"
)

// GlobalConfig implements platform.Globals.
func (s *Store) GlobalConfig(ctx context.Context) (platform.Config, error) {
	return globalConfig(ctx, s.read)
}

type queries interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func globalConfig(ctx context.Context, q queries) (platform.Config, error) {
	rows, err := q.QueryContext(ctx, "SELECT key, value FROM global_config")
	pairs, err := collect(rows, err, scanPair[string])
	config := platform.Config{}
	for _, p := range pairs {
		config[p.key] = p.value
	}
	return config, err
}

// SetGlobalConfig implements platform.Globals.
func (s *Store) SetGlobalConfig(ctx context.Context, c platform.Config, then platform.Spread) (platform.Spread, error) {
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		if err := writeGlobals(ctx, tx, c); err != nil || then == (platform.Spread{}) {
			return err
		}
		return tx.QueryRowContext(ctx, "INSERT INTO spreads (actor, description) VALUES (?, ?) RETURNING id", then.Actor, then.Description).Scan(&then.ID)
	})
	return then, err
}

// Spreads implements platform.Globals.
func (s *Store) Spreads(ctx context.Context) ([]platform.Spread, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT id, actor, description FROM spreads ORDER BY id")
	return collect(rows, err, func(r row) (t platform.Spread, err error) { return t, r.Scan(&t.ID, &t.Actor, &t.Description) })
}

// EndSpread implements platform.Globals.
func (s *Store) EndSpread(ctx context.Context, t platform.Spread) error {
	_, err := s.write.ExecContext(ctx, "DELETE FROM spreads WHERE id = ?", t.ID)
	return err
}

func writeGlobals(ctx context.Context, tx *sql.Tx, c platform.Config) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM global_config"); err != nil {
		return err
	}
	for key, value := range c {
		if _, err := tx.ExecContext(ctx, "INSERT INTO global_config (key, value) VALUES (?, ?)", key, value); err != nil {
			return err
		}
	}
	return nil
}

// fixGlobals gives a new release the global config of now, unless it repeats an earlier one's.
func fixGlobals(ctx context.Context, tx *sql.Tx, app int64, r *platform.Release) (err error) {
	if r.Globals == nil {
		if r.Globals, err = globalConfig(ctx, tx); err != nil {
			return err
		}
	}
	text, err := json.Marshal(r.Globals)
	if err != nil {
		return fmt.Errorf("write global config: %w", err)
	}
	_, err = tx.ExecContext(ctx, "UPDATE releases SET globals = ? WHERE app_id = ? AND number = ?", string(text), app, r.Number)
	return err
}
