package platform

// Actor is who asks. A door makes it from a proven identity.
type Actor struct {
	Name        string // the key's name, or "root" on the local socket
	Fingerprint string // SHA256:… of the proven key; empty on the local socket
	Admin       bool
	Door        Door // by which it came in

	// Request names what is asked for now, one command, push or call of the API: it ends what is said about a
	// failure, and finds the events and the lines of the log that belong to it.
	Request string
}

// NewRequest makes the name of a request: 8 hex digits.
func NewRequest() string { return secret()[:8] }

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
