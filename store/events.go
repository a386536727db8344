package store

import (
	"context"
	"database/sql"

	"paas/platform"
)

// keptEvents is how many events are kept, of all apps together; the oldest make room.
const keptEvents = 20_000

const eventColumns = "id, at, kind, app, process, instance, release, actor, text"

func scanEvent(r row) (platform.Event, error) {
	var e platform.Event
	var at int64
	err := r.Scan(&e.ID, &at, &e.Kind, &e.App, &e.Process, &e.Instance, &e.Release, &e.Actor, &e.Text)
	e.At = fromMillis(at)
	return e, err
}

// AddEvents implements platform.Ledger.
func (s *Store) AddEvents(ctx context.Context, events []platform.Event) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		for _, e := range events {
			_, err := tx.ExecContext(ctx, "INSERT INTO events (at, kind, app, process, instance, release, actor, text) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
				millis(e.At), e.Kind, e.App, e.Process, e.Instance, e.Release, e.Actor, e.Text)
			if err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, "DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?", keptEvents)
		return err
	})
}

// Events implements platform.Ledger.
func (s *Store) Events(ctx context.Context, q platform.EventQuery) ([]platform.Event, error) {
	limit := q.Last
	if limit == 0 {
		limit = -1 // SQLite: none
	}
	rows, err := s.read.QueryContext(ctx, `SELECT `+eventColumns+` FROM (SELECT * FROM events
		WHERE id > ?1 AND (?2 = '' OR app = ?2) AND at >= ?3 ORDER BY id DESC LIMIT ?4) ORDER BY id`,
		q.After, q.App, max(millis(q.Since), 0), limit)
	return collect(rows, err, scanEvent)
}

// RestartPolicy implements platform.Ledger.
func (s *Store) RestartPolicy(ctx context.Context, name platform.AppName) (string, error) {
	var policy sql.NullString
	err := s.read.QueryRowContext(ctx, `SELECT max(p.policy) FROM apps a JOIN restart_policies p ON p.app_id = a.id
		WHERE a.name = ?`, name).Scan(&policy)
	return policy.String, err
}

// SetRestartPolicy implements platform.Ledger.
func (s *Store) SetRestartPolicy(ctx context.Context, name platform.AppName, policy string) error {
	return one(s.write.ExecContext(ctx, `INSERT INTO restart_policies (app_id, policy)
		SELECT id, ?2 FROM apps WHERE name = ?1 ON CONFLICT (app_id) DO UPDATE SET policy = excluded.policy`,
		name, policy))(noApp(name))
}
