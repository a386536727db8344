package platform

import (
	"regexp"
	"time"
)

// AppName is a valid app name: a DNS label, since it becomes the first part of the app's hostname.
type AppName string

var appName = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$`)

// epoch is what instances of a type must be of: raising either number makes them out of date.
func (a App) epoch(t ProcessType) int { return a.Epoch + a.TypeEpochs[t] }

// ParseAppName accepts one to forty lower-case letters, digits and inner dashes, starting with a letter.
func ParseAppName(s string) (AppName, error) {
	if !appName.MatchString(s) {
		return "", Errorf(Usage, "%q is not an app name: use 1 to 40 lower-case letters, digits and dashes, starting with a letter", s)
	}
	return AppName(s), nil
}

// App is one application: a name with a git repository, config, domains and releases.
type App struct {
	ID           int64 // from 1, never reused; the runtime derives the app's uid range from it
	Name         AppName
	DeployBranch string              // the branch whose pushes deploy; empty until the first push
	Stopped      bool                // ps:stop was asked: no instance shall run
	Epoch        int                 // raised by ps:restart: instances of an older epoch are replaced
	TypeEpochs   map[ProcessType]int // the same for a type alone
	Release      int                 // number of the current release, 0 before the first
	CreatedAt    time.Time
}
