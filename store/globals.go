package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

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
func (s *Store) SetGlobalConfig(ctx context.Context, c platform.Config) error {
	return s.inTx(ctx, func(tx *sql.Tx) error { return writeGlobals(ctx, tx, c) })
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

// KeepCleared implements platform.Globals.
func (s *Store) KeepCleared(ctx context.Context, name platform.AppName, vars platform.Config, oldest time.Time) error {
	text, err := json.Marshal(vars)
	if err != nil {
		return fmt.Errorf("write config: %w", err)
	}
	return s.inTx(ctx, func(tx *sql.Tx) error {
		id, err := scopeID(ctx, tx, name)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM cleared_config WHERE at < ?", millis(oldest)); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT OR REPLACE INTO cleared_config (app_id, at, vars) VALUES (?, ?, ?)", id, millis(s.now()), string(text))
		return err
	})
}

// Cleared implements platform.Globals.
func (s *Store) Cleared(ctx context.Context, name platform.AppName, oldest time.Time) (vars platform.Config, at time.Time, err error) {
	var id, ms int64
	if name != "" {
		app, err := s.App(ctx, name)
		if err != nil {
			return nil, at, err
		}
		id = app.ID
	}
	var text string
	err = s.read.QueryRowContext(ctx, "SELECT at, vars FROM cleared_config WHERE app_id = ? AND at >= ? ORDER BY at DESC LIMIT 1", id, millis(oldest)).
		Scan(&ms, &text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, at, platform.Errorf(platform.NotFound, "no config vars were cleared that are still kept")
	}
	if err != nil {
		return nil, at, err
	}
	return vars, fromMillis(ms), json.Unmarshal([]byte(text), &vars)
}

// scopeID is the app's number, or 0 for all apps.
func scopeID(ctx context.Context, tx *sql.Tx, name platform.AppName) (int64, error) {
	if name == "" {
		return 0, nil
	}
	return appID(ctx, tx, name)
}
