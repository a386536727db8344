package store

import (
	"context"
	"database/sql"
	"strings"

	"paas/platform"
)

const drainColumns = "d.id, a.name, d.url, d.private, d.insecure, d.ca, d.headers, d.actor, d.created_at"

func scanDrain(r row) (d platform.LogDrain, err error) {
	var headers string
	var at int64
	err = r.Scan(&d.ID, &d.App, &d.URL, &d.Private, &d.Insecure, &d.CA, &headers, &d.Actor, &at)
	if headers != "" {
		d.Headers = strings.Split(headers, "\n")
	}
	d.CreatedAt = fromMillis(at)
	return d, err
}

// AddDrain implements platform.Drains.
func (s *Store) AddDrain(ctx context.Context, d platform.LogDrain) (platform.LogDrain, error) {
	d.CreatedAt = fromMillis(millis(s.now()))
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		id, err := appID(ctx, tx, d.App)
		if err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, `INSERT INTO log_drains (app_id, url, private, insecure, ca, headers, actor, created_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, id, d.URL, d.Private, d.Insecure, d.CA, strings.Join(d.Headers, "\n"), d.Actor, millis(d.CreatedAt))
		if taken(err) {
			return platform.Errorf(platform.Conflict, "the log of %s is drained there already", d.App)
		}
		if err == nil {
			d.ID, err = res.LastInsertId()
		}
		return err
	})
	return d, err
}

// RemoveDrain implements platform.Drains.
func (s *Store) RemoveDrain(ctx context.Context, id int64) error {
	return one(s.write.ExecContext(ctx, "DELETE FROM log_drains WHERE id = ?", id))(
		platform.Errorf(platform.NotFound, "there is no drain %d", id))
}

// LogDrains implements platform.Drains.
func (s *Store) LogDrains(ctx context.Context, name platform.AppName) ([]platform.LogDrain, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT "+drainColumns+` FROM log_drains d JOIN apps a ON a.id = d.app_id
		WHERE ?1 = '' OR a.name = ?1 ORDER BY d.id`, name)
	return collect(rows, err, scanDrain)
}
