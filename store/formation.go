package store

import (
	"context"
	"database/sql"

	"paas/platform"
)

// Formation implements platform.Store.
func (s *Store) Formation(ctx context.Context, name platform.AppName) (platform.Formation, error) {
	app, err := s.App(ctx, name)
	if err != nil {
		return nil, err
	}
	rows, err := s.read.QueryContext(ctx, "SELECT type, quantity FROM formation WHERE app_id = ?", app.ID)
	pairs, err := collect(rows, err, scanPair[int])
	formation := platform.Formation{}
	for _, p := range pairs {
		formation[platform.ProcessType(p.key)] = p.value
	}
	return formation, err
}

// SetFormation implements platform.Store.
func (s *Store) SetFormation(ctx context.Context, name platform.AppName, f platform.Formation) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		id, err := appID(ctx, tx, name)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM formation WHERE app_id = ?", id); err != nil {
			return err
		}
		for typ, quantity := range f {
			if _, err := tx.ExecContext(ctx, "INSERT INTO formation (app_id, type, quantity) VALUES (?, ?, ?)", id, typ, quantity); err != nil {
				return err
			}
		}
		return nil
	})
}
