package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"paas/platform"
)

// Mappings implements platform.Mappings.
func (s *Store) Mappings(ctx context.Context, name platform.AppName) ([]platform.Mapping, error) {
	app, err := s.App(ctx, name)
	if err != nil {
		return nil, err
	}
	rows, err := s.read.QueryContext(ctx, `SELECT scheme, host_port, port, type, proxy, connections, idle FROM port_mappings
		WHERE app_id = ? ORDER BY transport, host_port`, app.ID)
	return collect(rows, err, func(r row) (m platform.Mapping, err error) {
		var idle int64
		err = r.Scan(&m.Scheme, &m.HostPort, &m.Port, &m.Type, &m.Proxy, &m.Connections, &idle)
		m.Idle = time.Duration(idle) * time.Millisecond
		return m, err
	})
}

// SetMappings implements platform.Mappings.
func (s *Store) SetMappings(ctx context.Context, name platform.AppName, list []platform.Mapping) error {
	app, err := s.App(ctx, name)
	if err != nil {
		return err
	}
	return s.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM port_mappings WHERE app_id = ?", app.ID); err != nil {
			return fmt.Errorf("replace port mappings of %s: %w", name, err)
		}
		for _, m := range list {
			if err := addMapping(ctx, tx, app.ID, m); err != nil {
				return fmt.Errorf("map %s to %s: %w", m, name, err)
			}
		}
		return nil
	})
}

func addMapping(ctx context.Context, tx *sql.Tx, app int64, m platform.Mapping) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO port_mappings (transport, host_port, app_id, scheme, port, type, proxy, connections, idle)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		m.Transport(), m.HostPort, app, m.Scheme, m.Port, m.Type, m.Proxy, m.Connections, m.Idle.Milliseconds())
	if taken(err) {
		return platform.Errorf(platform.Conflict, "%s port %d of this host is mapped already", m.Transport(), m.HostPort)
	}
	return err
}

// MappingOwner implements platform.Mappings.
func (s *Store) MappingOwner(ctx context.Context, m platform.Mapping) (name platform.AppName, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT a.name FROM port_mappings p JOIN apps a ON a.id = p.app_id
		WHERE p.transport = ? AND p.host_port = ?`, m.Transport(), m.HostPort).Scan(&name)
	if errors.Is(err, sql.ErrNoRows) {
		return "", platform.Errorf(platform.NotFound, "%s port %d of this host is not mapped", m.Transport(), m.HostPort)
	}
	return name, err
}
