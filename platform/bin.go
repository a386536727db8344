package platform

import (
	"context"
	"fmt"
	"time"
)

// TrashKind is what sort of thing lies in the trash.
type TrashKind string

// The kinds.
const (
	TrashedApp    TrashKind = "app"
	TrashedVolume TrashKind = "volume"
	TrashedConfig TrashKind = "config"
)

// Trashed is something that was destroyed and can come back.
type Trashed struct {
	ID       int64
	Kind     TrashKind
	Name     string // of the app, or of the volume
	AppID    int64  // 0: it is no app's
	VolumeID int64  // 0: it is no volume
	Detail   TrashDetail
	Bytes    int64 // it took on the disk when it was destroyed
	Purging  bool  // it is being removed for good
	Actor    string
	At       time.Time
}

// TrashDetail is what a thing in the trash cannot keep where it was.
type TrashDetail struct {
	Domains  []string  `json:"domains,omitempty"`
	Mappings []Mapping `json:"mappings,omitempty"`
	Config   Config    `json:"config,omitempty"`
}

// TrashName is what an app or a volume is called while it lies in the trash: a name that nobody can give, and that
// is one of files and repositories all the same.
func TrashName[Name ~string](name Name, id int64) Name {
	return Name(fmt.Sprintf("%s_trash%d", name, id))
}

// Move is a rename whose files may not have followed yet.
type Move struct{ From, To AppName }

// Lock is why an app is not to be deployed.
type Lock struct {
	Message string
	Actor   string
	At      time.Time // zero: it is not locked
}

// Locked tells whether it is.
func (l Lock) Locked() bool { return !l.At.IsZero() }

// Bin is what a Store keeps of things that are destroyed, renamed or locked.
type Bin interface {
	// Trash lists what lies there, oldest first.
	Trash(ctx context.Context) ([]Trashed, error)
	// TrashedApps are apps that lie there, under their TrashName. App and Apps know nothing of them; what else is
	// asked by name answers.
	TrashedApps(ctx context.Context) ([]App, error)
	// TrashApp takes the app's name, domains and ports away, and remembers them. The app's files are a Move then.
	TrashApp(ctx context.Context, name AppName, t Trashed) (Trashed, error)
	// RestoreApp gives the app a name and what nobody else has taken of its domains and ports; it names the rest.
	// The app's files are a Move then. A taken name is a Conflict.
	RestoreApp(ctx context.Context, t Trashed, as AppName) (lost []string, err error)
	// Discard adds something that has no row of its own to move.
	Discard(ctx context.Context, t Trashed) (Trashed, error)
	// Undiscard takes an entry away, and nothing else.
	Undiscard(ctx context.Context, id int64) error
	// Purging notes that an entry's files are being removed: it can only be purged from now on.
	Purging(ctx context.Context, id int64) error
	// Purge forgets an entry and what it kept: an app with the volumes that only it may mount, a volume.
	Purge(ctx context.Context, t Trashed) error

	// RenameApp gives an app another name, in its history too. Its files are a Move then.
	RenameApp(ctx context.Context, from, to AppName) error
	// Formerly is what the app is called now that once had the name, "" if none had.
	Formerly(ctx context.Context, name AppName) (now AppName, err error)
	// Moving lists renames of which Moved was not said.
	Moving(ctx context.Context) ([]Move, error)
	Moved(ctx context.Context, m Move) error

	// Lock is zero for an app that is not locked.
	Lock(ctx context.Context, name AppName) (Lock, error)
	// SetLock locks, or unlocks with a zero one.
	SetLock(ctx context.Context, name AppName, l Lock) error
}

// trashed tells a TrashName from an app's.
func (n AppName) trashed() bool { return trashedName.MatchString(string(n)) }
