package store

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"

	"paas/platform"
)

type pair[V any] struct {
	key   string
	value V
}

func scanPair[V any](r row) (p pair[V], err error) { return p, r.Scan(&p.key, &p.value) }

// Config implements platform.Store.
func (s *Store) Config(ctx context.Context, name platform.AppName) (platform.Config, error) {
	app, err := s.App(ctx, name)
	if err != nil {
		return nil, err
	}
	rows, err := s.read.QueryContext(ctx, "SELECT key, value FROM config WHERE app_id = ?", app.ID)
	pairs, err := collect(rows, err, scanPair[string])
	config := platform.Config{}
	for _, p := range pairs {
		config[p.key] = p.value
	}
	return config, err
}

// SetConfig implements platform.Store.
func (s *Store) SetConfig(ctx context.Context, name platform.AppName, c platform.Config) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		id, err := appID(ctx, tx, name)
		if err != nil {
			return err
		}
		return writeConfig(ctx, tx, id, c)
	})
}

func writeConfig(ctx context.Context, tx *sql.Tx, app int64, c platform.Config) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM config WHERE app_id = ?", app); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(c)) { // the audit tells them in this order
		if _, err := tx.ExecContext(ctx, "INSERT INTO config (app_id, key, value) VALUES (?, ?, ?)", app, key, c[key]); err != nil {
			return err
		}
	}
	return nil
}

// appID looks an app up inside a write transaction, where the read pool would see the state before it.
func appID(ctx context.Context, tx *sql.Tx, name platform.AppName) (id int64, err error) {
	err = tx.QueryRowContext(ctx, "SELECT id FROM apps WHERE name = ?", name).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, noApp(name)
	}
	return id, err
}
