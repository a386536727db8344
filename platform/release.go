package platform

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"time"
)

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

// Release is all that was wanted of an app at a time, but for how many instances of it: numbered per app and never
// edited (its status aside). Process types, checks and cron jobs are the image's.
type Release struct {
	App         AppName
	Number      int
	Image       Image
	Config      Config
	Spec        Spec
	Globals     Config // the vars of every app when it was made, which Config covers; nil in a new one: those of now
	Description string // "Deploy 1a2b3c4", "Set PORT_COLOR config var", "Rollback to v3"
	Actor       string
	Commit      string // hex id of the git commit the image was built from
	Status      ReleaseStatus
	CreatedAt   time.Time

	unlocked bool    // whether its app is locked was asked before it was built. Not stored
	recall   *recall // for what is kept to go on as it; nil: nothing is. Not stored
	Deployed bool    // it is of new code, and about to go live; not stored
}

// Spec is what people gave an app that belongs to its releases beside config vars: a change of it is a new release,
// see amend, and a rollback brings it back.
type Spec struct {
	Mounts []Mount `json:"mounts,omitempty"`
	Links  []Link  `json:"links,omitempty"` // their App is the release's
}

// Mount shows a storage inside instances.
type Mount struct {
	Storage  string        `json:"storage"`             // its name
	Path     string        `json:"path"`                // where it is inside: absolute, clean
	ReadOnly bool          `json:"read_only,omitempty"` // for the app
	Types    []ProcessType `json:"types,omitempty"`     // that have it; none: all, one-off commands too
}

// Sorted is the spec in the one order in which it is kept and compared. It shares nothing with s.
func (s Spec) Sorted() Spec {
	s.Mounts, s.Links = slices.Clone(s.Mounts), slices.Clone(s.Links)
	for i := range s.Mounts {
		s.Mounts[i].Types = slices.Sorted(slices.Values(s.Mounts[i].Types))
	}
	slices.SortFunc(s.Mounts, func(a, b Mount) int { return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Storage, b.Storage)) })
	slices.SortFunc(s.Links, func(a, b Link) int {
		return cmp.Or(cmp.Compare(a.To, b.To), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Port, b.Port))
	})
	s.Links = slices.Compact(s.Links)
	return s
}

// text is what two specs that ask for the same have in common.
func (s Spec) text() string {
	b, _ := json.Marshal(s.Sorted()) // it holds nothing that has no JSON
	return string(b)
}

// same tells whether two releases ask for the same, whatever they are called.
func (r Release) same(o Release) bool {
	return r.Image.ID == o.Image.ID && r.Commit == o.Commit && maps.Equal(r.Config, o.Config) && r.Spec.text() == o.Spec.text() &&
		(r.Globals == nil || o.Globals == nil || maps.Equal(r.Globals, o.Globals))
}

// again is a release that asks for what r does and has no number yet. It shares nothing with r that is changed.
func (r Release) again() Release {
	config := maps.Clone(r.Config)
	if config == nil {
		config = Config{}
	}
	return Release{App: r.App, Image: r.Image, Config: config, Spec: r.Spec.Sorted(), Commit: r.Commit}
}

// Formation is how many instances of each process type shall run. It is no part of a release.
type Formation map[ProcessType]int
