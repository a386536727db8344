package store

import (
	"context"

	"paas/platform"
)

// AddDomain implements platform.Store.
func (s *Store) AddDomain(ctx context.Context, name platform.AppName, host string) error {
	app, err := s.App(ctx, name)
	if err != nil {
		return err
	}
	_, err = s.write.ExecContext(ctx, "INSERT INTO domains (host, app_id) VALUES (?, ?)", host, app.ID)
	if taken(err) {
		return platform.Errorf(platform.Conflict, "the domain %s is taken", host)
	}
	return err
}

// RemoveDomain implements platform.Store.
func (s *Store) RemoveDomain(ctx context.Context, name platform.AppName, host string) error {
	return one(s.write.ExecContext(ctx, "DELETE FROM domains WHERE host = ? AND app_id = (SELECT id FROM apps WHERE name = ?)", host, name))(
		platform.Errorf(platform.NotFound, "%s has no domain %s", name, host))
}

// Domains implements platform.Store.
func (s *Store) Domains(ctx context.Context, name platform.AppName) ([]string, error) {
	app, err := s.App(ctx, name)
	if err != nil {
		return nil, err
	}
	rows, err := s.read.QueryContext(ctx, "SELECT host FROM domains WHERE app_id = ? ORDER BY host", app.ID)
	return collect(rows, err, func(r row) (host string, err error) { return host, r.Scan(&host) })
}
