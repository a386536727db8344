package store

import (
	"context"

	"paas/platform"
)

func scanSleep(r row) (s platform.Sleep, err error) {
	var since int64
	err = r.Scan(&s.App, &s.Depth, &since, &s.Given)
	s.Since = fromMillis(since)
	return s, err
}

// Sleeps implements platform.Sleeps.
func (s *Store) Sleeps(ctx context.Context) ([]platform.Sleep, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT name, depth, since, given FROM sleeps JOIN apps ON id = app_id ORDER BY name`)
	return collect(rows, err, scanSleep)
}

// SetSleep implements platform.Sleeps.
func (s *Store) SetSleep(ctx context.Context, n platform.Sleep) error {
	if n.Depth == platform.Awake {
		_, err := s.write.ExecContext(ctx, "DELETE FROM sleeps WHERE app_id = (SELECT id FROM apps WHERE name = ?)", n.App)
		return err
	}
	return one(s.write.ExecContext(ctx, `INSERT INTO sleeps (app_id, depth, since, given)
		SELECT id, ?2, ?3, ?4 FROM apps WHERE name = ?1
		ON CONFLICT DO UPDATE SET depth = excluded.depth, since = excluded.since, given = excluded.given`,
		n.App, n.Depth, millis(n.Since), n.Given))(noApp(n.App))
}
