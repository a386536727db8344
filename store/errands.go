package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"paas/platform"
)

const keptErrands = 200 // that are over

func scanErrand(r row) (e platform.Errand, err error) {
	var actor string
	var began, ended int64
	if err := r.Scan(&e.ID, &actor, &e.Verb, &e.App, &e.Words, &began, &ended, &e.Code); err != nil {
		return e, err
	}
	if e.Began = fromMillis(began); ended != 0 { // the words made room for what came of them
		e.Ended, e.Said, e.Words = fromMillis(ended), e.Words, ""
	}
	if err := json.Unmarshal([]byte(actor), &e.Actor); err != nil {
		return e, fmt.Errorf("read who said %s: %w", e.ID, err)
	}
	return e, nil
}

// AddErrand implements platform.Errands.
func (s *Store) AddErrand(ctx context.Context, e platform.Errand) error {
	actor, err := json.Marshal(e.Actor)
	if err != nil {
		return err
	}
	return s.inTx(ctx, func(tx *sql.Tx) error {
		return execAll(ctx, tx, []statement{
			{`DELETE FROM errands WHERE ended_at > 0 AND id NOT IN (SELECT id FROM errands WHERE ended_at > 0 ORDER BY began_at DESC LIMIT ?)`,
				[]any{keptErrands}},
			{"INSERT INTO errands (id, actor, verb, app, words, began_at, ended_at, code) VALUES (?, ?, ?, ?, ?, ?, 0, 0)",
				[]any{e.ID, string(actor), e.Verb, e.App, e.Words, millis(e.Began)}},
		})
	})
}

// EndErrand implements platform.Errands.
func (s *Store) EndErrand(ctx context.Context, e platform.Errand) error {
	_, err := s.write.ExecContext(ctx, "UPDATE errands SET words = ?, ended_at = ?, code = ? WHERE id = ? AND ended_at = 0",
		e.Said, millis(e.Ended), e.Code, e.ID)
	return err
}

// Errands implements platform.Errands.
func (s *Store) Errands(ctx context.Context) ([]platform.Errand, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT id, actor, verb, app, words, began_at, ended_at, code FROM errands ORDER BY began_at, id")
	return collect(rows, err, scanErrand)
}
