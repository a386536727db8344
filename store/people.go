package store

import (
	"context"
	"database/sql"
	"errors"

	"paas/platform"
)

const userColumns = "name, admin, creates, created_at"

func scanUser(r row) (platform.User, error) {
	var u platform.User
	var created int64
	err := r.Scan(&u.Name, &u.Admin, &u.Creates, &created)
	u.CreatedAt = fromMillis(created)
	return u, err
}

func noUser(name string) error {
	return platform.Errorf(platform.NotFound, "there is no user %q", name)
}

// keepingAdmin runs f in a transaction that fails when it leaves no admin with a key where there was one.
func (s *Store) keepingAdmin(ctx context.Context, f func(*sql.Tx) error) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		before, err := hasAdmin(ctx, tx)
		if err != nil {
			return err
		}
		if err := f(tx); err != nil {
			return err
		}
		after, err := hasAdmin(ctx, tx)
		if err == nil && before && !after {
			return platform.Errorf(platform.Conflict, "that is the last admin key; without it nobody could come in").
				WithHint("add another first: ssh paas keys:add NAME --admin < id_ed25519.pub")
		}
		return err
	})
}

func hasAdmin(ctx context.Context, tx *sql.Tx) (yes bool, err error) {
	err = tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM keys k JOIN users u ON u.id = k.user_id WHERE u.admin)").Scan(&yes)
	return yes, err
}

// AddUser implements platform.People.
func (s *Store) AddUser(ctx context.Context, u platform.User) error {
	_, err := s.write.ExecContext(ctx, "INSERT INTO users ("+userColumns+") VALUES (?, ?, ?, ?)", u.Name, u.Admin, u.Creates, millis(s.now()))
	if taken(err) {
		return platform.Errorf(platform.Conflict, "there is a user %q already", u.Name)
	}
	return err
}

// User implements platform.People.
func (s *Store) User(ctx context.Context, name string) (platform.User, error) {
	u, err := scanUser(s.read.QueryRowContext(ctx, "SELECT "+userColumns+" FROM users WHERE name = ?", name))
	if errors.Is(err, sql.ErrNoRows) {
		return u, noUser(name)
	}
	return u, err
}

// Users implements platform.People.
func (s *Store) Users(ctx context.Context) ([]platform.User, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT "+userColumns+" FROM users ORDER BY name")
	return collect(rows, err, scanUser)
}

// SetUser implements platform.People.
func (s *Store) SetUser(ctx context.Context, u platform.User) error {
	return s.keepingAdmin(ctx, func(tx *sql.Tx) error {
		return one(tx.ExecContext(ctx, "UPDATE users SET admin = ?, creates = ? WHERE name = ?", u.Admin, u.Creates, u.Name))(noUser(u.Name))
	})
}

// RemoveUser implements platform.People. What was the user's goes first, while it can be told whose it was.
func (s *Store) RemoveUser(ctx context.Context, name string) error {
	return s.keepingAdmin(ctx, func(tx *sql.Tx) error {
		for _, table := range []string{"roles", "tokens", "keys"} {
			if _, err := tx.ExecContext(ctx, "DELETE FROM "+table+" WHERE user_id = (SELECT id FROM users WHERE name = ?)", name); err != nil {
				return err
			}
		}
		return one(tx.ExecContext(ctx, "DELETE FROM users WHERE name = ?", name))(noUser(name))
	})
}

// RoleOf implements platform.People.
func (s *Store) RoleOf(ctx context.Context, user string, app platform.AppName) (there bool, role platform.Role, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM apps WHERE name = ?2), coalesce((SELECT r.role
		FROM roles r JOIN users u ON u.id = r.user_id JOIN apps a ON a.id = r.app_id WHERE u.name = ?1 AND a.name = ?2), 0)`,
		user, app).Scan(&there, &role)
	return there, role, err
}

// RolesOfUser implements platform.People.
func (s *Store) RolesOfUser(ctx context.Context, user string) (map[platform.AppName]platform.Role, error) {
	rows, err := s.read.QueryContext(ctx, memberQuery+" WHERE u.name = ?", user)
	list, err := collect(rows, err, scanMember)
	roles := map[platform.AppName]platform.Role{}
	for _, m := range list {
		roles[m.App] = m.Role
	}
	return roles, err
}

const memberQuery = `SELECT a.name, u.name, r.role, r.given_by, r.created_at
FROM roles r JOIN users u ON u.id = r.user_id JOIN apps a ON a.id = r.app_id`

func scanMember(r row) (platform.Member, error) {
	var m platform.Member
	var given int64
	err := r.Scan(&m.App, &m.User, &m.Role, &m.GivenBy, &given)
	m.GivenAt = fromMillis(given)
	return m, err
}

// Members implements platform.People.
func (s *Store) Members(ctx context.Context) ([]platform.Member, error) {
	rows, err := s.read.QueryContext(ctx, memberQuery+" ORDER BY a.name, u.name")
	return collect(rows, err, scanMember)
}

// SetRole implements platform.People.
func (s *Store) SetRole(ctx context.Context, m platform.Member) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		app, err := appID(ctx, tx, m.App)
		if err != nil {
			return err
		}
		if m.Role == platform.NoRole {
			return one(tx.ExecContext(ctx, "DELETE FROM roles WHERE app_id = ? AND user_id = (SELECT id FROM users WHERE name = ?)", app, m.User))(
				platform.Errorf(platform.NotFound, "%s has no role on %s", m.User, m.App))
		}
		return one(tx.ExecContext(ctx, `INSERT INTO roles (app_id, user_id, role, given_by, created_at)
			SELECT ?, id, ?, ?, ? FROM users WHERE name = ?
			ON CONFLICT (app_id, user_id) DO UPDATE SET role = excluded.role, given_by = excluded.given_by, created_at = excluded.created_at`,
			app, m.Role, m.GivenBy, millis(s.now()), m.User))(noUser(m.User))
	})
}
