package platform

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// ProcessType names a Procfile entry: "web" is routed, "release" runs before a release goes live.
type ProcessType string

// The process types with a meaning of their own.
const (
	Web          ProcessType = "web"
	ReleasePhase ProcessType = "release"
)

// Image is a built source tree that can run where it lies: its layers are in the content store.
type Image struct {
	ID         string                   // "sha256:…" over everything below; equal images have equal ids
	Layers     []string                 // names in the content store, bottom first
	Env        map[string]string        // the image's own environment; config vars override it
	WorkDir    string                   // absolute path inside the image, "/app" for buildpacks
	UID, GID   uint32                   // who processes run as inside the image
	Shell      []string                 // prefix that runs a command line, e.g. ["/bin/bash", "-c"]
	Processes  map[ProcessType]string   // Procfile: command line of each process type
	Commands   map[ProcessType][]string `json:",omitempty"` // argv of process types that run without Shell
	Port       uint16                   `json:",omitempty"` // where web listens, whatever PORT would say; 0: at PORT
	Checks     map[ProcessType][]Check
	Formation  map[ProcessType]int // app.json: quantities for the first deploy
	StopSignal string              // "SIGTERM" if empty
	Builder    string              // what built it, for humans: "nodejs", "go", …
	Declared   map[string]EnvVar   // app.json env: defaults, generated secrets, required keys
	Stack      *Footing            `json:",omitempty"` // nil: it is on none

	Groups  []uint32          `json:",omitempty"` // supplementary ones of processes
	Labels  map[string]string `json:",omitempty"` // a Dockerfile's LABEL
	Volumes []string          `json:",omitempty"` // its VOLUME: absolute paths
	// Entrypoint is its ENTRYPOINT, if there is a Procfile beside it. Commands have it already.
	Entrypoint []string `json:",omitempty"`
	// Inherit is what Dockerfiles that build upon it inherit: the "config" that its Dockerfile made, with ENTRYPOINT
	// and CMD apart, ONBUILD, SHELL and HEALTHCHECK (OCI image-spec, "Image Configuration", and Docker's own fields).
	Inherit json.RawMessage `json:",omitempty"`

	Cron     []CronJob           `json:",omitempty"` // app.json: commands that run at times
	Scripts  Scripts             `json:",omitzero"`  // app.json: commands that run around a deploy
	Parallel map[ProcessType]int `json:",omitempty"` // app.json's max_parallel: how many start at once; 0: all
}

// Scripts are command lines that app.json wants to be run in a container of their own when code is deployed. Empty
// ones are not there.
type Scripts struct {
	Predeploy  string `json:"predeploy,omitempty"`  // before the release phase; what it writes becomes a layer (scripts.dokku.predeploy)
	Postdeploy string `json:"postdeploy,omitempty"` // when the release serves (scripts.dokku.postdeploy)
	First      string `json:"first,omitempty"`      // likewise, but of the app's first release only (scripts.postdeploy)
}

// argv is what a process type executes.
func (i Image) argv(t ProcessType) []string {
	if argv := i.Commands[t]; argv != nil {
		return slices.Clone(argv)
	}
	return i.entered(i.Processes[t])
}

// entered is what executes a command line of the app's own files: in an image with an ENTRYPOINT its words are that
// program's arguments, as in Docker and Dokku. The image's shell takes it apart, if there is one.
func (i Image) entered(line string) []string {
	if len(i.Entrypoint) == 0 {
		return commandLine(i, line)
	}
	if len(i.Shell) == 0 {
		return append(slices.Clone(i.Entrypoint), strings.Fields(line)...)
	}
	var words []string
	for _, word := range i.Entrypoint {
		words = append(words, "'"+strings.ReplaceAll(word, "'", `'\''`)+"'")
	}
	return commandLine(i, strings.Join(append(words, line), " "))
}

// EnvVar is one entry of app.json's env object (Heroku's app.json schema).
type EnvVar struct {
	Value       string `json:"value,omitempty"`
	Generator   string `json:"generator,omitempty"` // "secret": 64 random hex digits on first deploy
	Required    bool   `json:"required,omitempty"`
	Description string `json:"description,omitempty"` // for people who have to give it a value
}

// The types of Check. An instance gets its first request when the startup ones passed; one that then
// fails a liveness check is replaced, one that fails a readiness check gets no requests meanwhile.
const (
	Startup   = ""
	Liveness  = "liveness"
	Readiness = "readiness"
)

// Check is one health check of a process type, as app.json declares it
// (docker-container-healthchecker's file format, which Dokku uses). Exactly one of
// Path, Command, Listening and Uptime is set; defaults are already filled in.
type Check struct {
	Type         string            `json:"type,omitempty"`
	Name         string            `json:"name,omitempty"`
	Path         string            `json:"path,omitempty"`          // HTTP GET; 2xx passes
	Content      string            `json:"content,omitempty"`       // substring that the body of Path must have
	Headers      map[string]string `json:"headers,omitempty"`       // sent with Path
	Command      []string          `json:"command,omitempty"`       // run inside the instance; exit 0 passes
	Listening    bool              `json:"listening,omitempty"`     // the instance accepts TCP on Port
	Uptime       time.Duration     `json:"uptime,omitempty"`        // the instance has run that long without ending
	Port         int               `json:"port,omitempty"`          // 0: the instance's PORT
	Attempts     int               `json:"attempts,omitempty"`      // 3
	Timeout      time.Duration     `json:"timeout,omitempty"`       // of one attempt, 5 s
	Wait         time.Duration     `json:"wait,omitempty"`          // between attempts, 5 s
	InitialDelay time.Duration     `json:"initial_delay,omitempty"` // before the first attempt, 0
	Scheme       string            `json:"scheme,omitempty"`        // of Path: "" is http; "https" trusts whatever certificate the instance has
	Warn         bool              `json:"warn,omitempty"`          // a failure is told, and has no consequence
	OnFailure    []string          `json:"on_failure,omitempty"`    // run inside the instance when it failed for good; the transcript has its output

	// Default names those of attempts, timeout and wait that the app left to the platform: checks:set changes them.
	Default []string `json:"default,omitempty"`
}
