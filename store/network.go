package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"paas/platform"
)

// Links implements platform.Store.
func (s *Store) Links(ctx context.Context) ([]platform.Link, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT a.name, b.name, l.type, l.port FROM links l
		JOIN apps a ON a.id = l.app_id JOIN apps b ON b.id = l.to_id
		WHERE a.trashed_at = 0 AND b.trashed_at = 0 ORDER BY a.name, b.name, l.type, l.port`)
	return collect(rows, err, func(r row) (l platform.Link, err error) { return l, r.Scan(&l.App, &l.To, &l.Type, &l.Port) })
}

// EgressList implements platform.Store.
func (s *Store) EgressList(ctx context.Context, name platform.AppName) (list []platform.Egress, limited bool, err error) {
	app, err := s.App(ctx, name)
	if err != nil {
		return nil, false, err
	}
	var text string
	err = s.read.QueryRowContext(ctx, "SELECT destinations FROM egress_lists WHERE app_id = ?", app.ID).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(text), &list)
	}
	if err != nil {
		return nil, true, fmt.Errorf("read the egress list of %s: %w", name, err)
	}
	return list, true, nil
}

// SetEgressList implements platform.Store.
func (s *Store) SetEgressList(ctx context.Context, name platform.AppName, list []platform.Egress, limited bool) error {
	if !limited {
		_, err := s.write.ExecContext(ctx, "DELETE FROM egress_lists WHERE app_id = (SELECT id FROM apps WHERE name = ?)", name)
		return err
	}
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return one(s.write.ExecContext(ctx, `INSERT INTO egress_lists (app_id, destinations) SELECT id, ? FROM apps WHERE name = ?
		ON CONFLICT (app_id) DO UPDATE SET destinations = excluded.destinations`, string(text), name))(noApp(name))
}
