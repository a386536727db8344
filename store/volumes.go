package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"paas/platform"
)

const volumeQuery = `SELECT v.id, v.name, v.size, v.trashed_at > 0, v.created_at,
	(SELECT json_group_array(a.name) FROM (SELECT a.name FROM volume_apps m JOIN apps a ON a.id = m.app_id
		WHERE m.volume_id = v.id ORDER BY a.name) a)
FROM volumes v`

func scanVolume(r row) (v platform.Volume, err error) {
	var created int64
	var apps string
	if err := r.Scan(&v.ID, &v.Name, &v.Size, &v.Trashed, &created, &apps); err != nil {
		return v, err
	}
	v.CreatedAt = fromMillis(created)
	return v, json.Unmarshal([]byte(apps), &v.Apps)
}

func noVolume(name platform.VolumeName) error {
	return platform.Errorf(platform.NotFound, "there is no volume %q", name)
}

// Volumes implements platform.VolumeStore.
func (s *Store) Volumes(ctx context.Context) ([]platform.Volume, error) {
	rows, err := s.read.QueryContext(ctx, volumeQuery+" ORDER BY v.name")
	return collect(rows, err, scanVolume)
}

// Volume implements platform.VolumeStore.
func (s *Store) Volume(ctx context.Context, name platform.VolumeName) (platform.Volume, error) {
	v, err := scanVolume(s.read.QueryRowContext(ctx, volumeQuery+" WHERE v.name = ? AND v.trashed_at = 0", name))
	if errors.Is(err, sql.ErrNoRows) {
		return v, noVolume(name)
	}
	return v, err
}

// CreateVolume implements platform.VolumeStore.
func (s *Store) CreateVolume(ctx context.Context, name platform.VolumeName, size int64) (v platform.Volume, err error) {
	v = platform.Volume{Name: name, Size: size, Apps: []platform.AppName{}}
	at := millis(s.now())
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, "INSERT INTO volumes (name, size, created_at) VALUES (?, ?, ?) RETURNING id", name, size, at).Scan(&v.ID)
	})
	v.CreatedAt = fromMillis(at)
	if taken(err) {
		return v, platform.Errorf(platform.Conflict, "the volume %q exists already", name)
	}
	return v, err
}

// ResizeVolume implements platform.VolumeStore.
func (s *Store) ResizeVolume(ctx context.Context, name platform.VolumeName, size int64) error {
	return one(s.write.ExecContext(ctx, "UPDATE volumes SET size = ? WHERE name = ? AND trashed_at = 0", size, name))(noVolume(name))
}

// ShareVolume implements platform.VolumeStore.
func (s *Store) ShareVolume(ctx context.Context, name platform.VolumeName, app platform.AppName, may bool) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		id, err := appID(ctx, tx, app)
		if err != nil {
			return err
		}
		var volume int64
		err = tx.QueryRowContext(ctx, "SELECT id FROM volumes WHERE name = ? AND trashed_at = 0", name).Scan(&volume)
		if errors.Is(err, sql.ErrNoRows) {
			return noVolume(name)
		}
		if err != nil {
			return err
		}
		change := "INSERT INTO volume_apps (volume_id, app_id) VALUES (?, ?) ON CONFLICT DO NOTHING"
		if !may {
			change = "DELETE FROM volume_apps WHERE volume_id = ? AND app_id = ?"
		}
		_, err = tx.ExecContext(ctx, change, volume, id)
		return err
	})
}

// TrashVolume implements platform.VolumeStore.
func (s *Store) TrashVolume(ctx context.Context, v platform.Volume, t platform.Trashed) (platform.Trashed, error) {
	err := s.inTx(ctx, func(tx *sql.Tx) (err error) {
		t.VolumeID = v.ID
		if t, err = s.addTrash(ctx, tx, t); err != nil {
			return err
		}
		return one(tx.ExecContext(ctx, "UPDATE volumes SET name = ?, trashed_at = ? WHERE id = ? AND trashed_at = 0",
			platform.TrashName(v.Name, t.ID), millis(t.At), v.ID))(noVolume(v.Name))
	})
	return t, err
}

// RestoreVolume implements platform.VolumeStore.
func (s *Store) RestoreVolume(ctx context.Context, t platform.Trashed, as platform.VolumeName) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		err := one(tx.ExecContext(ctx, "UPDATE volumes SET name = ?, trashed_at = 0 WHERE id = ? AND trashed_at > 0", as, t.VolumeID))(noTrash(t.ID))
		if taken(err) {
			return platform.Errorf(platform.Conflict, "the volume %q exists already", as)
		}
		if err != nil {
			return err
		}
		return dropTrash(ctx, tx, t.ID)
	})
}
