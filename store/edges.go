package store

import (
	"context"
	"database/sql"

	"paas/platform"
)

func scanEdgeRule(r row) (e platform.EdgeRule, err error) {
	return e, r.Scan(&e.Kind, &e.Key, &e.Value)
}

// EdgeRules implements platform.Edges.
func (s *Store) EdgeRules(ctx context.Context, name platform.AppName) ([]platform.EdgeRule, error) {
	app, err := s.App(ctx, name)
	if err != nil {
		return nil, err
	}
	rows, err := s.read.QueryContext(ctx, "SELECT kind, key, value FROM edge_rules WHERE app_id = ? ORDER BY kind, key", app.ID)
	return collect(rows, err, scanEdgeRule)
}

// ChangeEdgeRules implements platform.Edges.
func (s *Store) ChangeEdgeRules(ctx context.Context, name platform.AppName, list []platform.EdgeRule) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		id, err := appID(ctx, tx, name)
		if err != nil {
			return err
		}
		for _, e := range list {
			if e.Value == "" {
				_, err = tx.ExecContext(ctx, "DELETE FROM edge_rules WHERE app_id = ? AND kind = ? AND key = ?", id, e.Kind, e.Key)
			} else {
				_, err = tx.ExecContext(ctx, "INSERT OR REPLACE INTO edge_rules (app_id, kind, key, value) VALUES (?, ?, ?, ?)",
					id, e.Kind, e.Key, e.Value)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Canary implements platform.Edges.
func (s *Store) Canary(ctx context.Context, name platform.AppName) (c platform.CanaryShare, err error) {
	app, err := s.App(ctx, name)
	if err != nil {
		return c, err
	}
	err = s.read.QueryRowContext(ctx, "SELECT release, percent FROM canaries WHERE app_id = ?", app.ID).Scan(&c.Release, &c.Percent)
	return c, ignoreNoRows(err)
}

// SetCanary implements platform.Edges.
func (s *Store) SetCanary(ctx context.Context, name platform.AppName, c platform.CanaryShare) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		id, err := appID(ctx, tx, name)
		if err != nil {
			return err
		}
		if c == (platform.CanaryShare{}) {
			_, err = tx.ExecContext(ctx, "DELETE FROM canaries WHERE app_id = ?", id)
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT OR REPLACE INTO canaries (app_id, release, percent) VALUES (?, ?, ?)", id, c.Release, c.Percent)
		return err
	})
}
