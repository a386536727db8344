package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"paas/platform"
)

func scanStack(r row) (platform.Stack, error) {
	var s platform.Stack
	var name, text string
	var number int
	var created int64
	if err := r.Scan(&name, &number, &text, &created); err != nil {
		return s, err
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return s, fmt.Errorf("read stack %s v%d: %w", name, number, err)
	}
	s.Name, s.Number, s.CreatedAt = name, number, fromMillis(created)
	return s, nil
}

// AddStack implements platform.Stacks.
func (s *Store) AddStack(ctx context.Context, v platform.Stack) (platform.Stack, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return v, fmt.Errorf("write stack: %w", err)
	}
	created := millis(s.now())
	v.CreatedAt = fromMillis(created)
	return v, s.inTx(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `INSERT INTO stacks (name, number, version, created_at)
			SELECT ?1, 1 + ifnull(max(number), 0), ?2, ?3 FROM stacks WHERE name = ?1 RETURNING number`,
			v.Name, string(text), created).Scan(&v.Number)
	})
}

// Stacks implements platform.Stacks.
func (s *Store) Stacks(ctx context.Context) ([]platform.Stack, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT name, number, version, created_at FROM stacks ORDER BY name, number DESC")
	return collect(rows, err, scanStack)
}
