package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"paas/platform"
)

// A spec is kept as JSON, but for its links: those are rows, since apps are renamed and destroyed.

func writeSpec(s platform.Spec) (string, error) {
	s.Links = nil
	text, err := json.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("write spec: %w", err)
	}
	return string(text), nil
}

// readSpec puts the links back. They come as a JSON array.
func readSpec(app platform.AppName, text, links string) (s platform.Spec, err error) {
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return s, fmt.Errorf("read spec of %s: %w", app, err)
	}
	if err := json.Unmarshal([]byte(links), &s.Links); err != nil {
		return s, fmt.Errorf("read links of %s: %w", app, err)
	}
	for i := range s.Links {
		s.Links[i].App = app
	}
	return s.Sorted(), nil
}

// addReleaseLinks stores a new release's links; they hold beside those that do. One to an app that is gone is left out.
func addReleaseLinks(ctx context.Context, tx *sql.Tx, app int64, r platform.Release) error {
	for _, l := range r.Spec.Links {
		_, err := tx.ExecContext(ctx, `INSERT INTO release_links (app_id, number, to_id, type, port)
			SELECT ?, ?, id, ?, ? FROM apps WHERE name = ? ON CONFLICT DO NOTHING`, app, r.Number, l.Type, l.Port, l.To)
		if err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO links (app_id, to_id, type, port)
		SELECT app_id, to_id, type, port FROM release_links WHERE app_id = ? AND number = ? ON CONFLICT DO NOTHING`, app, r.Number)
	return err
}

// holdLinks has a release's links hold, and no other of the app's.
func holdLinks(ctx context.Context, tx *sql.Tx, app int64, number int) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM links WHERE app_id = ?", app); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO links (app_id, to_id, type, port)
		SELECT app_id, to_id, type, port FROM release_links WHERE app_id = ? AND number = ?`, app, number)
	return err
}

const currentSpec = `SELECT coalesce(r.spec, a.draft), iif(r.number IS NULL,
	(SELECT json_group_array(json_object('to', b.name, 'type', l.type, 'port', l.port))
		FROM links l JOIN apps b ON b.id = l.to_id WHERE l.app_id = a.id),
	(SELECT json_group_array(json_object('to', b.name, 'type', l.type, 'port', l.port))
		FROM release_links l JOIN apps b ON b.id = l.to_id WHERE l.app_id = a.id AND l.number = r.number))
FROM apps a LEFT JOIN releases r ON r.app_id = a.id AND r.number = a.release WHERE a.name = ?`

// Spec implements platform.Store.
func (s *Store) Spec(ctx context.Context, name platform.AppName) (platform.Spec, error) {
	var spec, links string
	err := s.read.QueryRowContext(ctx, currentSpec, name).Scan(&spec, &links)
	if errors.Is(err, sql.ErrNoRows) {
		return platform.Spec{}, noApp(name)
	}
	if err != nil {
		return platform.Spec{}, err
	}
	return readSpec(name, spec, links)
}

// SetDraft implements platform.Store.
func (s *Store) SetDraft(ctx context.Context, name platform.AppName, c platform.Config, spec platform.Spec) error {
	text, err := writeSpec(spec)
	if err != nil {
		return err
	}
	before, err := s.Spec(ctx, name)
	if err != nil {
		return err
	}
	changes := platform.ReleaseAlterations(platform.Release{App: name, Spec: before}, platform.Release{App: name, Spec: spec})
	return s.inTx(ctx, func(tx *sql.Tx) error {
		id, err := appID(ctx, tx, name)
		if err != nil {
			return err
		}
		if err := addSeen(ctx, tx, changes); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE apps SET draft = ? WHERE id = ?", text, id); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM links WHERE app_id = ?", id); err != nil {
			return err
		}
		for _, l := range spec.Links {
			_, err := tx.ExecContext(ctx, `INSERT INTO links (app_id, to_id, type, port) SELECT ?, id, ?, ? FROM apps WHERE name = ?
				ON CONFLICT DO NOTHING`, id, l.Type, l.Port, l.To)
			if err != nil {
				return err
			}
		}
		return writeConfig(ctx, tx, id, c)
	})
}
