package store

import (
	"context"
	"database/sql"
	"errors"

	"paas/platform"
)

func scanSetting(r row) (s platform.Setting, err error) {
	return s, r.Scan(&s.Topic, &s.Type, &s.Key, &s.Value)
}

// Settings implements platform.Ledgers.
func (s *Store) Settings(ctx context.Context, name platform.AppName) ([]platform.Setting, error) {
	app, err := s.App(ctx, name)
	if err != nil {
		return nil, err
	}
	rows, err := s.read.QueryContext(ctx,
		"SELECT topic, process_type, key, value FROM settings WHERE app_id = ? ORDER BY topic, process_type, key", app.ID)
	return collect(rows, err, scanSetting)
}

// ChangeSettings implements platform.Ledgers.
func (s *Store) ChangeSettings(ctx context.Context, name platform.AppName, actor string, list []platform.Setting) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		id, err := appID(ctx, tx, name)
		if err != nil {
			return err
		}
		for _, setting := range list {
			if err := s.changeSetting(ctx, tx, id, actor, setting); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) changeSetting(ctx context.Context, tx *sql.Tx, app int64, actor string, n platform.Setting) error {
	var before string
	err := tx.QueryRowContext(ctx, "SELECT value FROM settings WHERE app_id = ? AND topic = ? AND process_type = ? AND key = ?",
		app, n.Topic, n.Type, n.Key).Scan(&before)
	if err != nil && !errors.Is(err, sql.ErrNoRows) || before == n.Value {
		return ignoreNoRows(err)
	}
	if n.Value == "" {
		_, err = tx.ExecContext(ctx, "DELETE FROM settings WHERE app_id = ? AND topic = ? AND process_type = ? AND key = ?",
			app, n.Topic, n.Type, n.Key)
	} else {
		_, err = tx.ExecContext(ctx, `INSERT INTO settings (app_id, topic, process_type, key, value) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET value = excluded.value`, app, n.Topic, n.Type, n.Key, n.Value)
	}
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO setting_changes (app_id, topic, process_type, key, before, after, actor, at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, app, n.Topic, n.Type, n.Key, before, n.Value, actor, millis(s.now()))
	return err
}

func ignoreNoRows(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

func scanSettingChange(r row) (c platform.SettingChange, err error) {
	var at int64
	err = r.Scan(&c.Topic, &c.Type, &c.Key, &c.Before, &c.Value, &c.Actor, &at)
	c.At = fromMillis(at)
	return c, err
}

// SettingChanges implements platform.Ledgers.
func (s *Store) SettingChanges(ctx context.Context, name platform.AppName, topic platform.Topic, n int) ([]platform.SettingChange, error) {
	app, err := s.App(ctx, name)
	if err != nil {
		return nil, err
	}
	rows, err := s.read.QueryContext(ctx, `SELECT topic, process_type, key, before, after, actor, at FROM setting_changes
		WHERE app_id = ? AND topic = ? ORDER BY id DESC LIMIT ?`, app.ID, topic, n)
	return collect(rows, err, scanSettingChange)
}

// CountOOM implements platform.Ledgers.
func (s *Store) CountOOM(ctx context.Context, name platform.AppName, c platform.OOMCount) error {
	return one(s.write.ExecContext(ctx, `INSERT INTO oom_kills (app_id, process_type, kills, last_at, peak, memory_limit)
		SELECT id, ?2, ?3, ?4, ?5, ?6 FROM apps WHERE name = ?1
		ON CONFLICT DO UPDATE SET kills = kills + excluded.kills, last_at = excluded.last_at, peak = excluded.peak,
			memory_limit = excluded.memory_limit`,
		name, c.Type, c.Kills, millis(c.LastAt), c.Peak, c.Limit))(noApp(name))
}

func scanOOMCount(r row) (c platform.OOMCount, err error) {
	var at int64
	err = r.Scan(&c.Type, &c.Kills, &at, &c.Peak, &c.Limit)
	c.LastAt = fromMillis(at)
	return c, err
}

// OOMCounts implements platform.Ledgers.
func (s *Store) OOMCounts(ctx context.Context, name platform.AppName) ([]platform.OOMCount, error) {
	app, err := s.App(ctx, name)
	if err != nil {
		return nil, err
	}
	rows, err := s.read.QueryContext(ctx,
		"SELECT process_type, kills, last_at, peak, memory_limit FROM oom_kills WHERE app_id = ? ORDER BY process_type", app.ID)
	list, err := collect(rows, err, scanOOMCount)
	if list == nil {
		list = []platform.OOMCount{}
	}
	return list, err
}
