package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"paas/platform"
)

const releaseQuery = `SELECT a.name, r.number, i.manifest, r.config, r.description, r.actor, r.commit_id, r.status, r.created_at, r.spec, r.globals,
(SELECT json_group_array(json_object('to', b.name, 'type', l.type, 'port', l.port))
	FROM release_links l JOIN apps b ON b.id = l.to_id WHERE l.app_id = r.app_id AND l.number = r.number)
FROM releases r JOIN apps a ON a.id = r.app_id JOIN images i ON i.id = r.image_id WHERE a.name = ?`

func scanRelease(r row) (platform.Release, error) {
	var rel platform.Release
	var image, config, spec, globals, links string
	var created int64
	err := r.Scan(&rel.App, &rel.Number, &image, &config, &rel.Description, &rel.Actor, &rel.Commit, &rel.Status, &created, &spec, &globals, &links)
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
	if rel.Spec, err = readSpec(rel.App, spec, links); err != nil {
		return rel, fmt.Errorf("read %s v%d: %w", rel.App, rel.Number, err)
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
	spec, err := writeSpec(r.Spec)
	if err != nil {
		return r, err
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
		err = tx.QueryRowContext(ctx, `INSERT INTO releases (app_id, number, image_id, config, description, actor, commit_id, status, created_at, spec)
			VALUES (?1, (SELECT coalesce(max(number), 0) + 1 FROM releases WHERE app_id = ?1), ?, ?, ?, ?, ?, ?, ?, ?) RETURNING number`,
			id, r.Image.ID, string(config), r.Description, r.Actor, r.Commit, r.Status, millis(r.CreatedAt), spec).Scan(&r.Number)
		if err != nil {
			return err
		}
		if err := fixGlobals(ctx, tx, id, &r); err != nil {
			return err
		}
		return errors.Join(writeConfig(ctx, tx, id, r.Config), addReleaseLinks(ctx, tx, id, r), forgetReleases(ctx, tx, id, r.Number), passOver(ctx, tx, id))
	})
	return r, err
}

// mostReleases is how many of an app's releases are listed.
const mostReleases = 500

// forgetReleases removes the oldest beyond those, but for what runs.
func forgetReleases(ctx context.Context, tx *sql.Tx, app int64, newest int) error {
	res, err := tx.ExecContext(ctx, `DELETE FROM releases WHERE app_id = ?1 AND number <= ?2
		AND number NOT IN (SELECT release FROM apps WHERE id = ?1 UNION SELECT release FROM canaries WHERE app_id = ?1)`, app, newest-mostReleases)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return err
	}
	_, err = tx.ExecContext(ctx, "DELETE FROM images WHERE id NOT IN (SELECT image_id FROM releases)")
	return err
}

// SetCurrent implements platform.Store.
func (s *Store) SetCurrent(ctx context.Context, name platform.AppName, number int) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		id, err := markRelease(ctx, tx, name, number, platform.Live)
		if err != nil {
			return err
		}
		var before int
		if err := tx.QueryRowContext(ctx, "SELECT release FROM apps WHERE id = ?", id).Scan(&before); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE apps SET release = ? WHERE id = ?", number, id)
		return errors.Join(err, holdLinks(ctx, tx, id, number), noteRelease(ctx, tx, name, before, number))
	})
}

// FailRelease implements platform.Store.
func (s *Store) FailRelease(ctx context.Context, name platform.AppName, number int) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		id, err := markRelease(ctx, tx, name, number, platform.Broken)
		if err != nil {
			return err
		}
		return errors.Join(restoreWanted(ctx, tx, id), passOver(ctx, tx, id))
	})
}

// restoreWanted gives the app config and links of its current release. An app without one keeps what it has.
func restoreWanted(ctx context.Context, tx *sql.Tx, app int64) error {
	var text string
	var number int
	err := tx.QueryRowContext(ctx, `SELECT r.number, r.config FROM releases r JOIN apps a ON a.id = r.app_id AND a.release = r.number
		WHERE a.id = ?`, app).Scan(&number, &text)
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
	return errors.Join(writeConfig(ctx, tx, app, config), holdLinks(ctx, tx, app, number))
}

func markRelease(ctx context.Context, tx *sql.Tx, name platform.AppName, number int, status platform.ReleaseStatus) (app int64, _ error) {
	app, err := appID(ctx, tx, name)
	if err != nil {
		return 0, err
	}
	return app, one(tx.ExecContext(ctx, "UPDATE releases SET status = ? WHERE app_id = ? AND number = ?", status, app, number))(platform.Errorf(platform.NotFound, "%s has no release v%d", name, number))
}

// Release implements platform.Store.
func (s *Store) Release(ctx context.Context, name platform.AppName, number int) (platform.Release, error) {
	rel, err := scanRelease(s.read.QueryRowContext(ctx, releaseQuery+" AND r.number = ?", name, number))
	if !errors.Is(err, sql.ErrNoRows) {
		return rel, err
	}
	all, err := s.Releases(ctx, name)
	if err != nil {
		return rel, err
	}
	return rel, platform.NoRelease(name, number, all)
}

// Releases implements platform.Store.
func (s *Store) Releases(ctx context.Context, name platform.AppName) ([]platform.Release, error) {
	if err := s.known(ctx, name); err != nil {
		return nil, err
	}
	rows, err := s.read.QueryContext(ctx, releaseQuery+" ORDER BY r.number DESC", name)
	return collect(rows, err, scanRelease)
}
