package store

import (
	"context"
	"database/sql"
	"errors"

	"paas/platform"
)

func scanGitHost(r row) (h platform.GitHost, err error) {
	return h, r.Scan(&h.Host, &h.User, &h.Password, &h.Keys)
}

// GitHost implements platform.GitHosts.
func (s *Store) GitHost(ctx context.Context, host string) (platform.GitHost, error) {
	h, err := scanGitHost(s.read.QueryRowContext(ctx, "SELECT host, user, password, keys FROM git_hosts WHERE host = ?", host))
	if errors.Is(err, sql.ErrNoRows) {
		return platform.GitHost{Host: host}, nil
	}
	return h, err
}

// GitHosts implements platform.GitHosts.
func (s *Store) GitHosts(ctx context.Context) ([]platform.GitHost, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT host, user, password, keys FROM git_hosts ORDER BY host")
	return collect(rows, err, scanGitHost)
}

// SetGitHost implements platform.GitHosts.
func (s *Store) SetGitHost(ctx context.Context, h platform.GitHost) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		if h.User == "" && h.Keys == "" {
			_, err := tx.ExecContext(ctx, "DELETE FROM git_hosts WHERE host = ?", h.Host)
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO git_hosts (host, user, password, keys) VALUES (?, ?, ?, ?)
			ON CONFLICT (host) DO UPDATE SET user = excluded.user, password = excluded.password, keys = excluded.keys`,
			h.Host, h.User, h.Password, h.Keys)
		return err
	})
}
