package platform

import (
	"context"
	"time"
)

// User is a person, or a machine that acts as one.
type User struct {
	Name      string // unique
	Admin     bool   // may do everything
	Creates   bool   // may make apps
	CreatedAt time.Time
}

// Key is a public SSH key that may come in, as its user.
type Key struct {
	Name        string // unique
	User        string // whose it is; "" is the one called like the key
	Fingerprint string // "SHA256:…", unique
	Public      string // one authorized_keys line without options and comment
	Admin       bool   // its user is an admin
	Creates     bool   // its user may make apps
	CreatedAt   time.Time
}

// Member is what one user may do with one app.
type Member struct {
	App     AppName   `json:"app"`
	User    string    `json:"user"`
	Role    Role      `json:"role"`
	GivenBy string    `json:"given_by"`
	GivenAt time.Time `json:"given_at"`
}

// People is the part of a Store that keeps who may do what. What would leave no admin with a key is of kind Conflict
// and changes nothing.
type People interface {
	AddUser(ctx context.Context, u User) error
	User(ctx context.Context, name string) (User, error)
	Users(ctx context.Context) ([]User, error) // by name
	// SetUser changes what the user may do beside roles.
	SetUser(ctx context.Context, u User) error
	// RemoveUser removes a user with keys, roles and tokens.
	RemoveUser(ctx context.Context, name string) error

	// AddKey makes the key's user if there is none; k.Admin makes one who is there an admin.
	AddKey(ctx context.Context, k Key) error
	// RemoveKey removes the key of that name or fingerprint, and the tokens that were made with it.
	RemoveKey(ctx context.Context, name string) error
	Keys(ctx context.Context) ([]Key, error) // by name
	KeyByFingerprint(ctx context.Context, fingerprint string) (Key, error)

	// RoleOf tells whether the app is there, and what role the user has: NoRole for a user who is not there. It takes
	// the same time whichever.
	RoleOf(ctx context.Context, user string, app AppName) (there bool, role Role, err error)
	RolesOfUser(ctx context.Context, user string) (map[AppName]Role, error)
	Members(ctx context.Context) ([]Member, error) // of all apps, by app and user
	// SetRole gives m.Role in place of another one; NoRole takes it away, which is NotFound when there was none.
	SetRole(ctx context.Context, m Member) error
}

// Actor is who holds the key, as the door has proven it.
func (p *Platform) Actor(ctx context.Context, fingerprint string) (Actor, error) {
	k, err := p.Store.KeyByFingerprint(ctx, fingerprint)
	if err != nil {
		return Actor{}, err
	}
	return Actor{Name: k.User, Fingerprint: k.Fingerprint, Admin: k.Admin, Creates: k.Admin || k.Creates}, nil
}
