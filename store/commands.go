package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"paas/platform"
)

// BeginCommand implements platform.Journal.
func (s *Store) BeginCommand(ctx context.Context, e platform.Event) error {
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = s.write.ExecContext(ctx, "INSERT INTO commands (request, event) VALUES (?, ?)", e.Request, string(text))
	return err
}

// CutCommands implements platform.Journal.
func (s *Store) CutCommands(ctx context.Context) (cut []platform.Event, err error) {
	return cut, s.inTx(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, "SELECT event FROM commands")
		if cut, err = collect(rows, err, scanCommand); err != nil {
			return err
		}
		for i := range cut {
			e := &cut[i]
			e.Class, e.Outcome = platform.Refusal, "cut off"
			if err := endCommand(ctx, tx, e); err != nil {
				return err
			}
			if _, err := insertEvent(ctx, tx, *e); err != nil {
				return err
			}
		}
		return nil
	})
}

func scanCommand(r row) (e platform.Event, err error) {
	var text string
	if err := r.Scan(&text); err != nil {
		return e, err
	}
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		return e, fmt.Errorf("read noted command: %w", err)
	}
	return e, nil
}

// endCommand forgets a command that is over, and gives its event what it changed.
func endCommand(ctx context.Context, tx *sql.Tx, e *platform.Event) error {
	var text string
	err := tx.QueryRowContext(ctx, "DELETE FROM commands WHERE request = ? RETURNING changes", e.Request).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	noted, err := readChanges(text)
	if err != nil {
		return err
	}
	e.Changes = platform.Altered(noted, e.Changes...)
	for i := range e.Changes {
		if e.Changes[i].App == e.App {
			e.Changes[i].App = ""
		}
	}
	return nil
}

func writeChanges(list []platform.Alteration) (string, error) {
	if len(list) == 0 {
		return "", nil
	}
	text, err := json.Marshal(list)
	return string(text), err
}

func readChanges(text string) (list []platform.Alteration, err error) {
	if text == "" {
		return nil, nil
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("read changes: %w", err)
	}
	return list, nil
}

// noteSeen notes what the transaction changed with the command that it belongs to, if there is one.
func noteSeen(ctx context.Context, tx *sql.Tx) error {
	command := platform.CommandOf(ctx)
	if command == "" {
		_, err := tx.ExecContext(ctx, "DELETE FROM seen")
		return err
	}
	rows, err := tx.QueryContext(ctx, "DELETE FROM seen RETURNING app, what, old, new, hidden")
	list, err := collect(rows, err, scanSeen)
	if err != nil || len(list) == 0 {
		return err
	}
	var text string
	err = tx.QueryRowContext(ctx, "SELECT changes FROM commands WHERE request = ?", command).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) { // it is over: this was done for it later
		return nil
	}
	if err != nil {
		return err
	}
	noted, err := readChanges(text)
	if err != nil {
		return err
	}
	if text, err = writeChanges(platform.Altered(noted, net(list)...)); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "UPDATE commands SET changes = ? WHERE request = ?", text, command)
	return err
}

// seen is a change of a row.
type seen struct {
	platform.Alteration
	hidden bool
}

func scanSeen(r row) (s seen, err error) {
	err = r.Scan(&s.App, &s.What, &s.Old, &s.New, &s.hidden)
	s.App = platform.AppName(trashed.ReplaceAllString(string(s.App), ""))
	for _, text := range []*string{&s.What, &s.Old, &s.New} {
		*text = trashed.ReplaceAllString(*text, "")
	}
	return s, err
}

var trashed = regexp.MustCompile(`_trash[0-9]+\b`) // see platform.TrashName

// net is what the changes of one transaction come to: tables are often written anew as a whole. Values that are
// secrets are compared here, and then hidden.
func net(list []seen) (all []platform.Alteration) {
	type place struct{ app, what string }
	at, sum := map[place]int{}, []seen{}
	for _, c := range list {
		p := place{string(c.App), c.What}
		if i, again := at[p]; again {
			sum[i].New = c.New
			continue
		}
		at[p] = len(sum)
		sum = append(sum, c)
	}
	for _, c := range sum {
		if c.Old == c.New {
			continue
		}
		if c.hidden {
			c.Old, c.New = hide(c.Old), hide(c.New)
		}
		all = append(all, c.Alteration)
	}
	return all
}

func hide(value string) string {
	if value == "" {
		return ""
	}
	return platform.HiddenValue
}

// noteRelease tells what the release that is current now has and the one before had not. Of the first one, config vars
// and mounts were noted when they were set.
func noteRelease(ctx context.Context, tx *sql.Tx, name platform.AppName, before, now int) error {
	if platform.CommandOf(ctx) == "" || before == now {
		return nil
	}
	to, err := scanRelease(tx.QueryRowContext(ctx, releaseQuery+" AND r.number = ?", name, now))
	if err != nil {
		return err
	}
	from := platform.Release{App: name, Config: to.Config, Spec: to.Spec}
	if before != 0 {
		if from, err = scanRelease(tx.QueryRowContext(ctx, releaseQuery+" AND r.number = ?", name, before)); err != nil {
			return err
		}
	}
	return addSeen(ctx, tx, platform.ReleaseAlterations(from, to))
}

func addSeen(ctx context.Context, tx *sql.Tx, list []platform.Alteration) error {
	for _, c := range list {
		hidden := c.Old == platform.HiddenValue || c.New == platform.HiddenValue
		if c.Old == c.New { // both are hidden, and differ
			c.New += "*"
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO seen (app, what, old, new, hidden) VALUES (?, ?, ?, ?, ?)", c.App, c.What, c.Old, c.New, hidden)
		if err != nil {
			return err
		}
	}
	return nil
}

// passOver forgets what was seen of config vars: they are a release's that is not live, and told when it is.
func passOver(ctx context.Context, tx *sql.Tx, app int64) error {
	_, err := tx.ExecContext(ctx, "DELETE FROM seen WHERE what LIKE 'config %' AND app = (SELECT name FROM apps WHERE id = ? AND release > 0)", app)
	return err
}
