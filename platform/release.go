package platform

import "time"

// Config is an app's config vars.
type Config map[string]string

// ReleaseStatus is where a release stands.
type ReleaseStatus string

// A release is pending until it was live once or failed; it never goes back.
const (
	Pending ReleaseStatus = "pending"
	Live    ReleaseStatus = "succeeded"
	Broken  ReleaseStatus = "failed"
)

// Release is an image with the config it runs with, numbered per app and never edited (its status aside).
type Release struct {
	App         AppName
	Number      int
	Image       Image
	Config      Config
	Globals     Config // the vars of every app when it was made, which Config covers; nil in a new one: those of now
	Description string // "Deploy 1a2b3c4", "Set PORT_COLOR config var", "Rollback to v3"
	Actor       string
	Commit      string // hex id of the git commit the image was built from
	Status      ReleaseStatus
	CreatedAt   time.Time
}

// Formation is how many instances of each process type shall run.
type Formation map[ProcessType]int
