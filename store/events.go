package store

import (
	"context"
	"database/sql"
	"encoding/json"

	"paas/platform"
)

// How many events of each class are kept, of all apps together; the oldest make room. What instances do by themselves,
// and what strangers try, pushes nothing out of the audit.
func keptEvents() map[platform.EventClass]int {
	return map[platform.EventClass]int{platform.ByItself: 20_000, platform.Deed: 100_000, platform.Refusal: 10_000}
}

// trimEvery is after how many events room is made: classes hold at most as many more.
const trimEvery = 64

const eventColumns = "id, at, kind, app, process, instance, release, actor, text, class, key, door, remote, request, outcome, changes"

func scanEvent(r row) (platform.Event, error) {
	var e platform.Event
	var at int64
	var changes string
	err := r.Scan(&e.ID, &at, &e.Kind, &e.App, &e.Process, &e.Instance, &e.Release, &e.Actor, &e.Text,
		&e.Class, &e.Key, &e.Door, &e.Remote, &e.Request, &e.Outcome, &changes)
	e.At = fromMillis(at)
	if err == nil && changes != "" {
		err = json.Unmarshal([]byte(changes), &e.Changes)
	}
	return e, err
}

// AddEvents implements platform.Ledger.
func (s *Store) AddEvents(ctx context.Context, events []platform.Event) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		trim := false
		for _, e := range events {
			id, err := insertEvent(ctx, tx, e)
			if err != nil {
				return err
			}
			trim = trim || id%trimEvery == 0
		}
		if !trim {
			return nil
		}
		return trimEvents(ctx, tx)
	})
}

func insertEvent(ctx context.Context, tx *sql.Tx, e platform.Event) (int64, error) {
	if e.Class == platform.ByItself && e.Actor != "" {
		e.Class = platform.Deed
	}
	if e.Kind == platform.EventCommand {
		if err := endCommand(ctx, tx, &e); err != nil {
			return 0, err
		}
	}
	changes, err := writeChanges(e.Changes)
	if err != nil {
		return 0, err
	}
	res, err := tx.ExecContext(ctx, `INSERT INTO events (at, kind, app, process, instance, release, actor, text, class, key, door, remote, request, outcome, changes)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		millis(e.At), e.Kind, e.App, e.Process, e.Instance, e.Release, e.Actor, e.Text, e.Class, e.Key, e.Door, e.Remote, e.Request, e.Outcome, changes)
	if err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

func trimEvents(ctx context.Context, tx *sql.Tx) error {
	for class, kept := range keptEvents() {
		_, err := tx.ExecContext(ctx, `DELETE FROM events WHERE class = ?1 AND id <=
			(SELECT id FROM events WHERE class = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)`, class, kept)
		if err != nil {
			return err
		}
	}
	return nil
}

// Events implements platform.Ledger.
func (s *Store) Events(ctx context.Context, q platform.EventQuery) ([]platform.Event, error) {
	limit := q.Last
	if limit == 0 {
		limit = -1 // SQLite: none
	}
	apps, err := json.Marshal(q.Apps)
	if err != nil {
		return nil, err
	}
	rows, err := s.read.QueryContext(ctx, `SELECT `+eventColumns+` FROM (SELECT * FROM events
		WHERE id > ?1 AND (?2 = '' OR app = ?2) AND at >= ?3 AND (?4 = '' OR actor = ?4) AND (?5 = '' OR kind = ?5)
		AND (?9 = '' OR request = ?9) AND (?10 <= 0 OR at < ?10)
		AND (?11 = '' OR door = ?11) AND (?12 = '' OR outcome = ?12)
		AND (NOT ?6 OR app IN (SELECT value FROM json_each(?7)) AND at >= (SELECT created_at FROM apps WHERE name = app)) ORDER BY id DESC LIMIT ?8) ORDER BY id`,
		q.After, q.App, max(millis(q.Since), 0), q.Actor, q.Kind, q.Limited, string(apps), limit, q.Request, max(millis(q.Until), 0), q.Door, q.Outcome)
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
