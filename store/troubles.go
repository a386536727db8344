package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"paas/platform"
)

// SetTrouble implements platform.Troubles.
func (s *Store) SetTrouble(ctx context.Context, name platform.AppName, place string, t platform.Trouble) error {
	detail, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("write trouble: %w", err)
	}
	return s.inTx(ctx, func(tx *sql.Tx) error {
		id, err := appID(ctx, tx, name)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT OR REPLACE INTO troubles (app_id, place, at, detail) VALUES (?, ?, ?, ?)",
			id, place, millis(t.At), string(detail))
		return err
	})
}

type placedTrouble struct {
	place string
	platform.Trouble
}

func scanTrouble(r row) (t placedTrouble, err error) {
	var detail string
	if err := r.Scan(&t.place, &detail); err != nil {
		return t, err
	}
	if err := json.Unmarshal([]byte(detail), &t.Trouble); err != nil {
		return t, fmt.Errorf("read trouble of %s: %w", t.place, err)
	}
	return t, nil
}

// Troubles implements platform.Troubles.
func (s *Store) Troubles(ctx context.Context, name platform.AppName) (map[string]platform.Trouble, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT t.place, t.detail FROM troubles t JOIN apps a ON a.id = t.app_id WHERE a.name = ?", name)
	list, err := collect(rows, err, scanTrouble)
	if err != nil {
		return nil, err
	}
	all := map[string]platform.Trouble{}
	for _, t := range list {
		all[t.place] = t.Trouble
	}
	return all, nil
}

// EndTroubles implements platform.Troubles.
func (s *Store) EndTroubles(ctx context.Context, name platform.AppName, until time.Time, whole bool) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		id, err := appID(ctx, tx, name)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM troubles WHERE app_id = ? AND at <= ? AND (? OR place <> ?)",
			id, millis(until), whole, platform.LastChange)
		return err
	})
}
