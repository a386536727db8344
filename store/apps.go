package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"paas/platform"
)

const appColumns = "id, name, deploy_branch, stopped, epoch, type_epochs, release, created_at"

type row interface{ Scan(...any) error }

func scanApp(r row) (platform.App, error) {
	var a platform.App
	var created int64
	var epochs string
	err := r.Scan(&a.ID, &a.Name, &a.DeployBranch, &a.Stopped, &a.Epoch, &epochs, &a.Release, &created)
	a.CreatedAt = fromMillis(created)
	if err != nil {
		return a, err
	}
	return a, json.Unmarshal([]byte(epochs), &a.TypeEpochs)
}

// CreateAppFor implements platform.Store.
func (s *Store) CreateAppFor(ctx context.Context, name platform.AppName, owner string) (app platform.App, err error) {
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		app, err = scanApp(tx.QueryRowContext(ctx,
			"INSERT INTO apps (name, created_at) VALUES (?, ?) RETURNING "+appColumns, name, millis(s.now())))
		if taken(err) {
			return platform.Errorf(platform.Conflict, "the app %q exists already", name)
		}
		if err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO roles (app_id, user_id, role, given_by, created_at)
			SELECT ?, id, ?, name, ? FROM users WHERE name = ?`, app.ID, platform.OwnerRole, millis(s.now()), owner)
		return err
	})
	return app, err
}

// App implements platform.Store.
func (s *Store) App(ctx context.Context, name platform.AppName) (platform.App, error) {
	app, err := scanApp(s.read.QueryRowContext(ctx, "SELECT "+appColumns+" FROM apps WHERE name = ? AND trashed_at = 0", name))
	if errors.Is(err, sql.ErrNoRows) {
		return app, noApp(name)
	}
	return app, err
}

// Apps implements platform.Store.
func (s *Store) Apps(ctx context.Context) ([]platform.App, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT "+appColumns+" FROM apps WHERE trashed_at = 0 ORDER BY name")
	return collect(rows, err, scanApp)
}

// DestroyApp implements platform.Store.
func (s *Store) DestroyApp(ctx context.Context, name platform.AppName) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		if err := one(tx.ExecContext(ctx, "DELETE FROM apps WHERE name = ?", name))(noApp(name)); err != nil {
			return err
		}
		return dropImages(ctx, tx)
	})
}

// dropImages forgets images that no release has.
func dropImages(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, "DELETE FROM images WHERE id NOT IN (SELECT image_id FROM releases)")
	return err
}

// SetDeployBranch implements platform.Store.
func (s *Store) SetDeployBranch(ctx context.Context, name platform.AppName, branch string) (string, error) {
	var got string
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx,
			"UPDATE apps SET deploy_branch = iif(deploy_branch = '', ?, deploy_branch) WHERE name = ? RETURNING deploy_branch",
			branch, name).Scan(&got)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return "", noApp(name)
	}
	return got, err
}

// ChangeDeployBranch implements platform.Store.
func (s *Store) ChangeDeployBranch(ctx context.Context, name platform.AppName, branch string) error {
	return one(s.write.ExecContext(ctx, "UPDATE apps SET deploy_branch = ? WHERE name = ?", branch, name))(noApp(name))
}

// SetStopped implements platform.Store.
func (s *Store) SetStopped(ctx context.Context, name platform.AppName, stopped bool) error {
	return one(s.write.ExecContext(ctx, "UPDATE apps SET stopped = ? WHERE name = ?", stopped, name))(noApp(name))
}

// RaiseEpoch implements platform.Store.
func (s *Store) RaiseEpoch(ctx context.Context, name platform.AppName, typ platform.ProcessType) error {
	if typ == "" {
		return one(s.write.ExecContext(ctx, "UPDATE apps SET epoch = epoch + 1 WHERE name = ?", name))(noApp(name))
	}
	path := `$."` + string(typ) + `"`
	return one(s.write.ExecContext(ctx, `UPDATE apps SET type_epochs =
		json_set(type_epochs, ?, coalesce(json_extract(type_epochs, ?), 0) + 1) WHERE name = ?`, path, path, name))(noApp(name))
}

// one passes an error on, and answers missing when the statement changed no row.
func one(res sql.Result, err error) func(missing error) error {
	return func(missing error) error {
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n > 0 {
			return err
		}
		return missing
	}
}

// collect scans every row and closes them.
func collect[T any](rows *sql.Rows, err error, scan func(row) (T, error)) (list []T, _ error) {
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, rows.Err()
}
