package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"paas/platform"
)

// known fails with kind NotFound for a name that no app has, in the trash or not.
func (s *Store) known(ctx context.Context, name platform.AppName) error {
	var one int
	err := s.read.QueryRowContext(ctx, "SELECT 1 FROM apps WHERE name = ?", name).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return noApp(name)
	}
	return err
}

const trashColumns = `t.id, t.kind, t.name, coalesce(t.app_id, 0), coalesce(t.volume_id, 0), t.detail, t.bytes, t.purging, t.actor, t.at`

func scanTrash(r row) (t platform.Trashed, err error) {
	var detail string
	var at int64
	if err := r.Scan(&t.ID, &t.Kind, &t.Name, &t.AppID, &t.VolumeID, &detail, &t.Bytes, &t.Purging, &t.Actor, &at); err != nil {
		return t, err
	}
	t.At = fromMillis(at)
	if err := json.Unmarshal([]byte(detail), &t.Detail); err != nil {
		return t, fmt.Errorf("read %s %s in the trash: %w", t.Kind, t.Name, err)
	}
	return t, nil
}

// Trash implements platform.Bin.
func (s *Store) Trash(ctx context.Context) ([]platform.Trashed, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT "+trashColumns+" FROM trash t ORDER BY t.id")
	return collect(rows, err, scanTrash)
}

// TrashedApps implements platform.Bin.
func (s *Store) TrashedApps(ctx context.Context) ([]platform.App, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT "+appColumns+" FROM apps WHERE trashed_at > 0 ORDER BY name")
	return collect(rows, err, scanApp)
}

// addTrash stores the entry and gives its id. Zero ids are of nothing.
func (s *Store) addTrash(ctx context.Context, tx *sql.Tx, t platform.Trashed) (platform.Trashed, error) {
	detail, err := json.Marshal(t.Detail)
	if err != nil {
		return t, err
	}
	t.At = fromMillis(millis(s.now()))
	err = tx.QueryRowContext(ctx, `INSERT INTO trash (kind, name, app_id, volume_id, detail, bytes, actor, at)
		VALUES (?, ?, nullif(?, 0), nullif(?, 0), ?, ?, ?, ?) RETURNING id`,
		t.Kind, t.Name, t.AppID, t.VolumeID, string(detail), t.Bytes, t.Actor, millis(t.At)).Scan(&t.ID)
	return t, err
}

// Discard implements platform.Bin.
func (s *Store) Discard(ctx context.Context, t platform.Trashed) (platform.Trashed, error) {
	err := s.inTx(ctx, func(tx *sql.Tx) (err error) {
		t, err = s.addTrash(ctx, tx, t)
		return err
	})
	return t, err
}

// TrashApp implements platform.Bin.
func (s *Store) TrashApp(ctx context.Context, name platform.AppName, t platform.Trashed) (platform.Trashed, error) {
	domains, err := s.Domains(ctx, name)
	if err != nil {
		return t, err
	}
	mappings, err := s.Mappings(ctx, name)
	if err != nil {
		return t, err
	}
	t.Detail.Domains, t.Detail.Mappings = domains, mappings
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		if t.AppID, err = appID(ctx, tx, name); err != nil {
			return err
		}
		if t, err = s.addTrash(ctx, tx, t); err != nil {
			return err
		}
		return execAll(ctx, tx, []statement{
			{"UPDATE apps SET name = ?, trashed_at = ?, former_name = name WHERE id = ?", []any{platform.TrashName(name, t.ID), millis(t.At), t.AppID}},
			{"DELETE FROM domains WHERE app_id = ?", []any{t.AppID}},
			{"DELETE FROM port_mappings WHERE app_id = ?", []any{t.AppID}},
			{"DELETE FROM sleeps WHERE app_id = ?", []any{t.AppID}},
			{"DELETE FROM former_names WHERE name = ?", []any{name}},
		})
	})
	return t, err
}

type statement struct {
	text string
	args []any
}

func execAll(ctx context.Context, tx *sql.Tx, list []statement) error {
	for _, s := range list {
		if _, err := tx.ExecContext(ctx, s.text, s.args...); err != nil {
			return err
		}
	}
	return nil
}

// RestoreApp implements platform.Bin.
func (s *Store) RestoreApp(ctx context.Context, t platform.Trashed, as platform.AppName) (lost []string, err error) {
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		lost = nil
		err := one(tx.ExecContext(ctx, "UPDATE apps SET name = ?, trashed_at = 0, former_name = name WHERE id = ? AND trashed_at > 0", as, t.AppID))(noTrash(t.ID))
		if taken(err) {
			return platform.Errorf(platform.Conflict, "the app %q exists already", as)
		}
		if err != nil {
			return err
		}
		if lost, err = giveBack(ctx, tx, t); err != nil {
			return err
		}
		return dropTrash(ctx, tx, t.ID)
	})
	return lost, err
}

// giveBack gives an app the domains and ports that nobody took meanwhile, and names the others.
func giveBack(ctx context.Context, tx *sql.Tx, t platform.Trashed) (lost []string, err error) {
	for _, host := range t.Detail.Domains {
		res, err := tx.ExecContext(ctx, "INSERT INTO domains (host, app_id) VALUES (?, ?) ON CONFLICT DO NOTHING", host, t.AppID)
		if err := one(res, err)(errTaken); errors.Is(err, errTaken) {
			lost = append(lost, "the domain "+host)
		} else if err != nil {
			return lost, err
		}
	}
	for _, m := range t.Detail.Mappings {
		err := addMapping(ctx, tx, t.AppID, m)
		if platform.KindOf(err) == platform.Conflict {
			lost = append(lost, fmt.Sprintf("%s port %d", m.Transport(), m.HostPort))
		} else if err != nil {
			return lost, err
		}
	}
	return lost, nil
}

var errTaken = errors.New("somebody else has it")

func noTrash(id int64) error {
	return platform.Errorf(platform.NotFound, "there is nothing numbered %d in the trash", id)
}

func dropTrash(ctx context.Context, tx *sql.Tx, id int64) error {
	return one(tx.ExecContext(ctx, "DELETE FROM trash WHERE id = ?", id))(noTrash(id))
}

// Undiscard implements platform.Bin.
func (s *Store) Undiscard(ctx context.Context, id int64) error {
	return s.inTx(ctx, func(tx *sql.Tx) error { return dropTrash(ctx, tx, id) })
}

// Purging implements platform.Bin.
func (s *Store) Purging(ctx context.Context, id int64) error {
	return one(s.write.ExecContext(ctx, "UPDATE trash SET purging = 1 WHERE id = ?", id))(noTrash(id))
}

// Purge implements platform.Bin.
func (s *Store) Purge(ctx context.Context, t platform.Trashed) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		if err := dropTrash(ctx, tx, t.ID); err != nil {
			return err
		}
		err := execAll(ctx, tx, []statement{
			{"DELETE FROM volumes WHERE id = ? AND trashed_at > 0", []any{t.VolumeID}},
			{`DELETE FROM volumes WHERE id IN (SELECT volume_id FROM volume_apps WHERE app_id = ?1)
				AND NOT EXISTS (SELECT 1 FROM volume_apps WHERE volume_id = volumes.id AND app_id <> ?1)
				AND EXISTS (SELECT 1 FROM apps WHERE id = ?1 AND trashed_at > 0)`, []any{t.AppID}},
			{"DELETE FROM apps WHERE id = ? AND trashed_at > 0", []any{t.AppID}},
		})
		if err != nil {
			return err
		}
		return dropImages(ctx, tx)
	})
}

// RenameApp implements platform.Bin.
func (s *Store) RenameApp(ctx context.Context, from, to platform.AppName) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		err := one(tx.ExecContext(ctx, "UPDATE apps SET name = ?, former_name = name WHERE name = ? AND trashed_at = 0", to, from))(noApp(from))
		if taken(err) {
			return platform.Errorf(platform.Conflict, "the app %q exists already", to)
		}
		if err != nil {
			return err
		}
		return execAll(ctx, tx, []statement{
			{"UPDATE events SET app = ? WHERE app = ?", []any{to, from}},
			{"UPDATE edge_rules SET value = 'app ' || ?1 || substr(value, length('app ' || ?2) + 1) WHERE kind = ?3 AND value || ' ' LIKE 'app ' || ?2 || ' %'",
				[]any{to, from, platform.PathKind}},
			{"DELETE FROM former_names WHERE name = ?", []any{to}},
			{"INSERT OR REPLACE INTO former_names (name, app_id) SELECT ?, id FROM apps WHERE name = ?", []any{from, to}},
		})
	})
}

// Formerly implements platform.Bin.
func (s *Store) Formerly(ctx context.Context, name platform.AppName) (now platform.AppName, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT a.name FROM former_names f JOIN apps a ON a.id = f.app_id
		WHERE f.name = ? AND a.trashed_at = 0`, name).Scan(&now)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return now, err
}

// Moving implements platform.Bin.
func (s *Store) Moving(ctx context.Context) ([]platform.Move, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT former_name, name FROM apps WHERE former_name <> '' ORDER BY id")
	return collect(rows, err, func(r row) (m platform.Move, err error) { return m, r.Scan(&m.From, &m.To) })
}

// Moved implements platform.Bin.
func (s *Store) Moved(ctx context.Context, m platform.Move) error {
	_, err := s.write.ExecContext(ctx, "UPDATE apps SET former_name = '' WHERE name = ? AND former_name = ?", m.To, m.From)
	return err
}

// Lock implements platform.Bin.
func (s *Store) Lock(ctx context.Context, name platform.AppName) (l platform.Lock, err error) {
	var at int64
	err = s.read.QueryRowContext(ctx, `SELECT l.message, l.actor, l.locked_at FROM app_locks l JOIN apps a ON a.id = l.app_id
		WHERE a.name = ?`, name).Scan(&l.Message, &l.Actor, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return l, nil
	}
	l.At = fromMillis(at)
	return l, err
}

// SetLock implements platform.Bin.
func (s *Store) SetLock(ctx context.Context, name platform.AppName, l platform.Lock) error {
	if !l.Locked() {
		_, err := s.write.ExecContext(ctx, "DELETE FROM app_locks WHERE app_id = (SELECT id FROM apps WHERE name = ?)", name)
		return err
	}
	return one(s.write.ExecContext(ctx, `INSERT INTO app_locks (app_id, message, actor, locked_at) SELECT id, ?, ?, ? FROM apps WHERE name = ?
		ON CONFLICT (app_id) DO UPDATE SET message = excluded.message, actor = excluded.actor, locked_at = excluded.locked_at`,
		l.Message, l.Actor, millis(l.At), name))(noApp(name))
}
