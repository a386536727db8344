package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"paas/platform"
)

func scanLogin(r row) (platform.Login, error) {
	var l platform.Login
	var created int64
	err := r.Scan(&l.Host, &l.User, &l.Secret, &created)
	l.CreatedAt = fromMillis(created)
	return l, err
}

// SetLogin implements platform.Logins.
func (s *Store) SetLogin(ctx context.Context, l platform.Login) error {
	_, err := s.write.ExecContext(ctx, "INSERT OR REPLACE INTO logins (host, user, secret, created_at) VALUES (?, ?, ?, ?)",
		l.Host, l.User, l.Secret, millis(s.now()))
	return err
}

// Logins implements platform.Logins.
func (s *Store) Logins(ctx context.Context) ([]platform.Login, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT host, user, secret, created_at FROM logins ORDER BY host")
	return collect(rows, err, scanLogin)
}

// RemoveLogin implements platform.Logins.
func (s *Store) RemoveLogin(ctx context.Context, host string) error {
	return one(s.write.ExecContext(ctx, "DELETE FROM logins WHERE host = ?", host))(
		platform.Errorf(platform.NotFound, "there is no login to %s", host))
}

const pulledQuery = "SELECT reference, digest, image, created_at FROM pulled"

func scanPulled(r row) (platform.Pulled, error) {
	var v platform.Pulled
	var image string
	var created int64
	if err := r.Scan(&v.Reference, &v.Digest, &image, &created); err != nil {
		return v, err
	}
	v.CreatedAt = fromMillis(created)
	if err := json.Unmarshal([]byte(image), &v.Image); err != nil {
		return v, fmt.Errorf("read image %s: %w", v.Reference, err)
	}
	return v, nil
}

// SetPulled implements platform.Pulls.
func (s *Store) SetPulled(ctx context.Context, v platform.Pulled) error {
	image, err := json.Marshal(v.Image)
	if err != nil {
		return fmt.Errorf("write image: %w", err)
	}
	_, err = s.write.ExecContext(ctx, "INSERT OR REPLACE INTO pulled (reference, digest, image, created_at) VALUES (?, ?, ?, ?)",
		v.Reference, v.Digest, string(image), millis(s.now()))
	return err
}

// Pulled implements platform.Pulls.
func (s *Store) Pulled(ctx context.Context, reference string) (platform.Pulled, error) {
	v, err := scanPulled(s.read.QueryRowContext(ctx, pulledQuery+" WHERE reference = ?", reference))
	if errors.Is(err, sql.ErrNoRows) {
		return v, noPulled(reference)
	}
	return v, err
}

// AllPulled implements platform.Pulls.
func (s *Store) AllPulled(ctx context.Context) ([]platform.Pulled, error) {
	rows, err := s.read.QueryContext(ctx, pulledQuery+" ORDER BY reference")
	return collect(rows, err, scanPulled)
}

// RemovePulled implements platform.Pulls.
func (s *Store) RemovePulled(ctx context.Context, reference string) error {
	return one(s.write.ExecContext(ctx, "DELETE FROM pulled WHERE reference = ?", reference))(noPulled(reference))
}

func noPulled(reference string) error {
	return platform.Errorf(platform.NotFound, "there is no pulled image %s", reference)
}
