package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"paas/platform"
)

const releaseQuery = `SELECT a.name, r.number, i.manifest, r.config, r.description, r.actor, r.commit_id, r.status, r.created_at, r.globals
FROM releases r JOIN apps a ON a.id = r.app_id JOIN images i ON i.id = r.image_id WHERE a.name = ?`

func scanRelease(r row) (platform.Release, error) {
	var rel platform.Release
	var image, config, globals string
	var created int64
	err := r.Scan(&rel.App, &rel.Number, &image, &config, &rel.Description, &rel.Actor, &rel.Commit, &rel.Status, &created, &globals)
	if err != nil {
		return rel, err
	}
	rel.CreatedAt = fromMillis(created)
	if err := json.Unmarshal([]byte(image), &rel.Image); err != nil {
		return rel, fmt.Errorf("read image of %s v%d: %w", rel.App, rel.Number, err)
	}
	if err := json.Unmarshal([]byte(config), &rel.Config); err != nil {
		return rel, fmt.Errorf("read config of %s v%d: %w", rel.App, rel.Number, err)
	}
	if err := json.Unmarshal([]byte(globals), &rel.Globals); err != nil {
		return rel, fmt.Errorf("read global config of %s v%d: %w", rel.App, rel.Number, err)
	}
	return rel, nil
}

// AddRelease implements platform.Store.
func (s *Store) AddRelease(ctx context.Context, r platform.Release) (platform.Release, error) {
	image, err := json.Marshal(r.Image)
	if err != nil {
		return r, fmt.Errorf("write image: %w", err)
	}
	if r.Config == nil {
		r.Config = platform.Config{}
	}
	config, err := json.Marshal(r.Config)
	if err != nil {
		return r, fmt.Errorf("write config: %w", err)
	}
	r.Status, r.CreatedAt = platform.Pending, fromMillis(millis(s.now()))
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		id, err := appID(ctx, tx, r.App)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO images (id, manifest) VALUES (?, ?) ON CONFLICT DO NOTHING", r.Image.ID, string(image)); err != nil {
			return err
		}
		err = tx.QueryRowContext(ctx, `INSERT INTO releases (app_id, number, image_id, config, description, actor, commit_id, status, created_at)
			VALUES (?1, (SELECT coalesce(max(number), 0) + 1 FROM releases WHERE app_id = ?1), ?, ?, ?, ?, ?, ?, ?) RETURNING number`,
			id, r.Image.ID, string(config), r.Description, r.Actor, r.Commit, r.Status, millis(r.CreatedAt)).Scan(&r.Number)
		if err != nil {
			return err
		}
		if err := fixGlobals(ctx, tx, id, &r); err != nil {
			return err
		}
		return writeConfig(ctx, tx, id, r.Config)
	})
	return r, err
}

// SetCurrent implements platform.Store.
func (s *Store) SetCurrent(ctx context.Context, name platform.AppName, number int) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		id, err := markRelease(ctx, tx, name, number, platform.Live)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE apps SET release = ? WHERE id = ?", number, id)
		return err
	})
}

// FailRelease implements platform.Store.
func (s *Store) FailRelease(ctx context.Context, name platform.AppName, number int) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		id, err := markRelease(ctx, tx, name, number, platform.Broken)
		if err != nil {
			return err
		}
		return restoreConfig(ctx, tx, id)
	})
}

// restoreConfig gives the app the config of its current release. An app without one keeps what it has.
func restoreConfig(ctx context.Context, tx *sql.Tx, app int64) error {
	var text string
	err := tx.QueryRowContext(ctx, `SELECT r.config FROM releases r JOIN apps a ON a.id = r.app_id AND a.release = r.number
		WHERE a.id = ?`, app).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	var config platform.Config
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		return err
	}
	return writeConfig(ctx, tx, app, config)
}

func markRelease(ctx context.Context, tx *sql.Tx, name platform.AppName, number int, status platform.ReleaseStatus) (app int64, _ error) {
	app, err := appID(ctx, tx, name)
	if err != nil {
		return 0, err
	}
	return app, one(tx.ExecContext(ctx, "UPDATE releases SET status = ? WHERE app_id = ? AND number = ?", status, app, number))(noRelease(name, number))
}

// Release implements platform.Store.
func (s *Store) Release(ctx context.Context, name platform.AppName, number int) (platform.Release, error) {
	rel, err := scanRelease(s.read.QueryRowContext(ctx, releaseQuery+" AND r.number = ?", name, number))
	if errors.Is(err, sql.ErrNoRows) {
		return rel, noRelease(name, number)
	}
	return rel, err
}

// Releases implements platform.Store.
func (s *Store) Releases(ctx context.Context, name platform.AppName) ([]platform.Release, error) {
	if _, err := s.App(ctx, name); err != nil {
		return nil, err
	}
	rows, err := s.read.QueryContext(ctx, releaseQuery+" ORDER BY r.number DESC", name)
	return collect(rows, err, scanRelease)
}

func noRelease(name platform.AppName, number int) error {
	return platform.Errorf(platform.NotFound, "%s has no release v%d", name, number)
}
