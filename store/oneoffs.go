package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"paas/platform"
)

const oneOffQuery = `SELECT o.id, a.name, o.kind, o.command, o.release, o.actor, o.detached, o.job, o.due, o.status,
	o.started_at, o.ended_at, o.deadline, o.code, o.detail FROM one_offs o JOIN apps a ON a.id = o.app_id`

func scanOneOff(r row) (o platform.OneOff, err error) {
	var due, started, ended, deadline int64
	err = r.Scan(&o.ID, &o.App, &o.Kind, &o.Command, &o.Release, &o.Actor, &o.Detached, &o.Job, &due, &o.Status,
		&started, &ended, &deadline, &o.Code, &o.Detail)
	for to, ms := range map[*time.Time]int64{&o.Due: due, &o.Started: started, &o.Ended: ended, &o.Deadline: deadline} {
		if ms != 0 {
			*to = fromMillis(ms)
		}
	}
	return o, err
}

// millisOr0 is 0 for no time.
func millisOr0(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return millis(t)
}

// AddOneOff implements platform.OneOffs.
func (s *Store) AddOneOff(ctx context.Context, o platform.OneOff, limit int) (platform.OneOff, error) {
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		id, err := appID(ctx, tx, o.App)
		if err != nil {
			return err
		}
		if o.Status == platform.OneOffStarting {
			if err := roomForOneOff(ctx, tx, id, o.App, limit); err != nil {
				return err
			}
		}
		err = tx.QueryRowContext(ctx, `INSERT INTO one_offs
			(app_id, kind, command, release, actor, detached, job, due, status, started_at, ended_at, deadline, code, detail)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`,
			id, o.Kind, o.Command, o.Release, o.Actor, o.Detached, o.Job, millisOr0(o.Due), o.Status, millisOr0(o.Started),
			millisOr0(o.Ended), millisOr0(o.Deadline), o.Code, o.Detail).Scan(&o.ID)
		if taken(err) {
			return platform.ErrRunAlready
		}
		if err != nil || o.Due.IsZero() {
			return err
		}
		_, err = tx.ExecContext(ctx, markUpsert, id, o.Job, millis(o.Due))
		return err
	})
	return o, err
}

const markUpsert = `INSERT INTO cron_marks (app_id, job, mark) VALUES (?, ?, ?)
	ON CONFLICT DO UPDATE SET mark = excluded.mark`

func roomForOneOff(ctx context.Context, tx *sql.Tx, app int64, name platform.AppName, limit int) error {
	var open int
	err := tx.QueryRowContext(ctx, "SELECT count(*) FROM one_offs WHERE app_id = ? AND status IN ('starting', 'running')", app).Scan(&open)
	if err == nil && open >= limit {
		return platform.Errorf(platform.Conflict, "%d one-off commands of %s run already, and no more than %d may", open, name, limit).
			WithHint("see them: ssh paas run:list %s; stop one, or allow more: ssh paas run:set %s limit %d", name, name, 2*limit)
	}
	return err
}

// SetOneOffRunning implements platform.OneOffs.
func (s *Store) SetOneOffRunning(ctx context.Context, id int64) error {
	_, err := s.write.ExecContext(ctx, "UPDATE one_offs SET status = 'running' WHERE id = ? AND status = 'starting'", id)
	return err
}

// EndOneOff implements platform.OneOffs.
func (s *Store) EndOneOff(ctx context.Context, o platform.OneOff) (bool, error) {
	res, err := s.write.ExecContext(ctx, `UPDATE one_offs SET status = ?, ended_at = ?, code = ?, detail = ?
		WHERE id = ? AND status IN ('starting', 'running')`, o.Status, millisOr0(o.Ended), o.Code, o.Detail, o.ID)
	if err != nil {
		return false, fmt.Errorf("end %s of %s: %w", o.Name(), o.App, err)
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// OneOffs implements platform.OneOffs.
func (s *Store) OneOffs(ctx context.Context, q platform.OneOffQuery) ([]platform.OneOff, error) {
	limit := q.Last
	if limit == 0 {
		limit = -1
	}
	open := ""
	if q.Open {
		open = " AND o.status IN ('starting', 'running')"
	}
	rows, err := s.read.QueryContext(ctx, oneOffQuery+` WHERE (?1 = '' OR a.name = ?1) AND (?2 = '' OR o.kind = ?2)
		AND (?3 = '' OR o.job = ?3)`+open+` ORDER BY o.id DESC LIMIT ?4`, q.App, q.Kind, q.Job, limit)
	return collect(rows, err, scanOneOff)
}

// PruneOneOffs implements platform.OneOffs.
func (s *Store) PruneOneOffs(ctx context.Context, app platform.AppName, kind platform.ProcessType, before time.Time, keep int) (int, error) {
	res, err := s.write.ExecContext(ctx, `DELETE FROM one_offs WHERE id IN (
		SELECT id FROM (
			SELECT id, status, ended_at, row_number() OVER (PARTITION BY kind, job ORDER BY id DESC) AS nth
			FROM one_offs WHERE app_id = (SELECT id FROM apps WHERE name = ?1) AND (?2 = '' OR kind = ?2))
		WHERE status NOT IN ('starting', 'running') AND (ended_at < ?3 OR nth > ?4))`, app, kind, millis(before), keep)
	if err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	return int(n), err
}

// CronMarks implements platform.OneOffs.
func (s *Store) CronMarks(ctx context.Context) ([]platform.CronMark, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT name, job, mark FROM cron_marks JOIN apps ON id = app_id ORDER BY name, job")
	return collect(rows, err, func(r row) (m platform.CronMark, err error) {
		var at int64
		err = r.Scan(&m.App, &m.Job, &at)
		m.At = fromMillis(at)
		return m, err
	})
}

// SetCronMark implements platform.OneOffs.
func (s *Store) SetCronMark(ctx context.Context, m platform.CronMark) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		id, err := appID(ctx, tx, m.App)
		if err != nil {
			return err
		}
		if m.At.IsZero() {
			_, err = tx.ExecContext(ctx, "DELETE FROM cron_marks WHERE app_id = ? AND job = ?", id, m.Job)
		} else {
			_, err = tx.ExecContext(ctx, markUpsert, id, m.Job, millis(m.At))
		}
		return err
	})
}
