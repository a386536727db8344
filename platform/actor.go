package platform

import (
	"crypto/rand"
	"encoding/hex"
)

// Actor is who asks. A door makes it from a proven identity.
type Actor struct {
	Name        string // the user's, or Root
	Fingerprint string // SHA256:… of the proven key; empty without one
	Admin       bool   // may do what is for admins; a token's scopes are considered
	Creates     bool   // may make apps
	Door        Door   // by which it came in
	Remote      string // the address that it came from; empty on the local socket
	Request     string // names this one request in the audit, in logs and in errors
	Token       *Grant // what the token that it came with lets it do at most; nil without one
}

// Root is the name of who comes in by the local socket. No user is called so.
const Root = "root"

// isAdmin tells whether the user behind the actor is an admin, whatever a token narrows that to.
func (a Actor) isAdmin() bool {
	if a.Token != nil {
		return a.Token.OfAdmin
	}
	return a.Admin
}

// MayAdmin tells whether the actor may do what is for admins. Who came with a token needs one of that scope, and for all
// apps.
func (a Actor) MayAdmin(scope Scope) bool {
	return a.isAdmin() && (a.Token == nil || len(a.Token.Apps) == 0) && a.Token.Holds(scope)
}

// Door is where something was asked for.
type Door string

// The doors.
const (
	DoorSSH   Door = "ssh"
	DoorGit   Door = "git"
	DoorLocal Door = "local" // root, on the server itself
	DoorAPI   Door = "api"
	DoorPanel Door = "panel"
	DoorCron  Door = "cron"
)

const requestBytes = 4

// NewRequest names a request. Doors give one to each actor that they make.
func NewRequest() string {
	var b [requestBytes]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}
