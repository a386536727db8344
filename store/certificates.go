package store

import (
	"context"
	"database/sql"

	"paas/platform"
)

// ReplaceCertificates implements platform.OwnCertificates.
func (s *Store) ReplaceCertificates(ctx context.Context, name platform.AppName, remove []string, add *platform.OwnCertificate) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		id, err := appID(ctx, tx, name)
		if err != nil {
			return err
		}
		for _, fingerprint := range remove {
			if _, err := tx.ExecContext(ctx, "DELETE FROM certificates WHERE app_id = ? AND fingerprint = ?", id, fingerprint); err != nil {
				return err
			}
		}
		if add == nil {
			return nil
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO certificates (app_id, fingerprint, chain, private_key, created_at) VALUES (?, ?, ?, ?, ?)`,
			id, add.Fingerprint, add.Chain, add.Key, millis(add.CreatedAt))
		return err
	})
}

// Certificates implements platform.OwnCertificates.
func (s *Store) Certificates(ctx context.Context, name platform.AppName) ([]platform.OwnCertificate, error) {
	app, err := s.App(ctx, name)
	if err != nil {
		return nil, err
	}
	rows, err := s.read.QueryContext(ctx,
		"SELECT fingerprint, chain, private_key, created_at FROM certificates WHERE app_id = ? ORDER BY id DESC", app.ID)
	return collect(rows, err, func(r row) (c platform.OwnCertificate, err error) {
		var at int64
		err = r.Scan(&c.Fingerprint, &c.Chain, &c.Key, &at)
		c.CreatedAt = fromMillis(at)
		return c, err
	})
}
