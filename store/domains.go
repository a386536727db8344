package store

import (
	"context"
	"database/sql"

	"paas/platform"
)

// AddDomain implements platform.Hostnames.
func (s *Store) AddDomain(ctx context.Context, name platform.AppName, host string) error {
	app, err := s.App(ctx, name)
	if err != nil {
		return err
	}
	_, err = s.write.ExecContext(ctx, "INSERT INTO domains (host, app_id) VALUES (?, ?)", host, app.ID)
	return domainTaken(err, host)
}

func domainTaken(err error, host string) error {
	if taken(err) {
		return platform.Errorf(platform.Conflict, "the domain %s is taken", host)
	}
	return err
}

// RemoveDomain implements platform.Hostnames.
func (s *Store) RemoveDomain(ctx context.Context, name platform.AppName, host string) error {
	return one(s.write.ExecContext(ctx, "DELETE FROM domains WHERE host = ? AND app_id = (SELECT id FROM apps WHERE name = ?)", host, name))(
		platform.Errorf(platform.NotFound, "%s has no domain %s", name, host))
}

// SetDomains implements platform.Hostnames.
func (s *Store) SetDomains(ctx context.Context, name platform.AppName, hosts []string) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		id, err := appID(ctx, tx, name)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM domains WHERE app_id = ?", id); err != nil {
			return err
		}
		for _, host := range hosts {
			_, err := tx.ExecContext(ctx, "INSERT INTO domains (host, app_id) VALUES (?, ?)", host, id)
			if err != nil {
				return domainTaken(err, host)
			}
		}
		return nil
	})
}

// Domains implements platform.Hostnames.
func (s *Store) Domains(ctx context.Context, name platform.AppName) ([]string, error) {
	app, err := s.App(ctx, name)
	if err != nil {
		return nil, err
	}
	rows, err := s.read.QueryContext(ctx, "SELECT host FROM domains WHERE app_id = ? ORDER BY host", app.ID)
	return collect(rows, err, func(r row) (host string, err error) { return host, r.Scan(&host) })
}

// GlobalDomains implements platform.Hostnames.
func (s *Store) GlobalDomains(ctx context.Context) ([]string, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT host FROM global_domains ORDER BY position")
	return collect(rows, err, func(r row) (host string, err error) { return host, r.Scan(&host) })
}

// SetGlobalDomains implements platform.Hostnames.
func (s *Store) SetGlobalDomains(ctx context.Context, hosts []string) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM global_domains"); err != nil {
			return err
		}
		for i, host := range hosts {
			if _, err := tx.ExecContext(ctx, "INSERT INTO global_domains (host, position) VALUES (?, ?)", host, i); err != nil {
				return err
			}
		}
		return nil
	})
}
