package platform

import (
	"context"
	"regexp"
	"time"
)

// VolumeName is a valid volume name.
type VolumeName string

var volumeName = regexp.MustCompile(`^[a-z0-9]([a-z0-9_.-]{0,61}[a-z0-9])?$`)

// trashedName is how TrashName ends: nobody may give such a name.
var trashedName = regexp.MustCompile(`_trash[0-9]+$`)

// ParseVolumeName accepts one to 63 lower-case letters and digits, with dashes, dots and underscores between them.
func ParseVolumeName(s string) (VolumeName, error) {
	if !volumeName.MatchString(s) || trashedName.MatchString(s) {
		return "", Errorf(Usage, "%q is not a volume name: use 1 to 63 lower-case letters, digits, dashes, dots and underscores", s)
	}
	return VolumeName(s), nil
}

// Volume is a directory that outlives releases and instances.
type Volume struct {
	ID        int64 // from 1, never reused
	Name      VolumeName
	Size      int64     // bytes it may take, where the host keeps quotas; 0: no bound
	Apps      []AppName // that may mount it, by name; those in the trash under their TrashName
	Trashed   bool
	CreatedAt time.Time
}

// VolumeStore keeps which volumes there are.
type VolumeStore interface {
	Volumes(ctx context.Context) ([]Volume, error) // by name, those in the trash too
	// Volume finds one that is not in the trash.
	Volume(ctx context.Context, name VolumeName) (Volume, error)
	CreateVolume(ctx context.Context, name VolumeName, size int64) (Volume, error)
	ResizeVolume(ctx context.Context, name VolumeName, size int64) error
	// ShareVolume says that an app may mount it, or may not any more. What is so already is no error.
	ShareVolume(ctx context.Context, name VolumeName, app AppName, may bool) error
	// TrashVolume takes its name away and adds the entry.
	TrashVolume(ctx context.Context, v Volume, t Trashed) (Trashed, error)
	// RestoreVolume gives it a name again. A taken name is a Conflict.
	RestoreVolume(ctx context.Context, t Trashed, as VolumeName) error
}

// Volumes keeps the directories of volumes. All methods are safe for concurrent use.
type Volumes interface {
	// Make makes the directory with a bound of size bytes, if the file system keeps any; one that is there gets the bound.
	Make(id, size int64) error
	// Path is the directory to be mounted, owners as seen inside.
	Path(id int64) string
	// Used is how many bytes the volume takes on the disk. It may read the whole directory.
	Used(ctx context.Context, id int64) (int64, error)
	// Remove removes the directory with all that is in it. A missing one is no error. It blocks on the disk.
	Remove(id int64) error
	// Bounded tells whether bounds are kept on this host, and if not why, as the end of a sentence.
	Bounded() (ok bool, why string)
	// Sharable tells whether several apps may have one volume on this host, and if not why.
	Sharable() (ok bool, why string)
}

// VolumeMount shows a host directory in an instance. Owners in it are as seen inside.
type VolumeMount struct {
	Dir      string // host directory: a volume's, or with Sub one that an admin allowed
	Sub      string // what of Dir is shown; symlinks on the way do not lead out of Dir. "" for all
	Target   string // absolute path inside
	ReadOnly bool
}
