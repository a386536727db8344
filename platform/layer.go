package platform

import (
	"time"
)

// LayerUsage is what one layer of the content store costs.
type LayerUsage struct {
	Layer     string
	Bytes     int64     // blocks on the disk; a file with several names counts once
	Committed time.Time // when it got its name
	Used      time.Time // when it was last asked for; within an hour, what was before this process
	Note      string    // what made it, for people; may be empty

	Made string        // StackLayer, ToolchainLayer, or empty
	Took time.Duration // what making it took; 0 if nobody knows
	Uses int           // in how many hours it was used, at least 1
}

// Need is how much a layer is needed. The order is that of removal.
type Need int

// The needs.
const (
	Unneeded Need = iota // by nobody
	Cached               // by the next builds, which can make it again
	Needed               // by a release that runs or can be rolled back to
)

// Goal is what a removal of layers shall reach.
type Goal struct {
	Bytes  int64         // stop when that much is gone; 0: remove all that may go
	Caches bool          // remove what is Cached too
	App    AppName       // only what this app alone has
	Keep   int           // how many releases of an app, or of all, keep their images; 0: as set
	MinAge time.Duration // what was used since stays
	DryRun bool          // remove nothing, tell what would go
}

// Space is how full the content store's disk is. All in bytes.
type Space struct {
	Total   int64 `json:"total"`
	Free    int64 `json:"free"`
	Reserve int64 `json:"reserve"` // of Free, what no build and no image may take
	Budget  int64 `json:"budget"`  // what layers and build caches shall not exceed; 0: no bound but the reserve
	Used    int64 `json:"used"`    // by layers and build caches
}

// Missing is how much must go so that reserve and budget are kept when so many bytes more are written; 0
// if they are.
func (s Space) Missing(more int64) int64 {
	missing := s.short(more)
	if s.Budget > 0 {
		missing = max(missing, s.Used+more-s.Budget)
	}
	return missing
}

// short is how much of that the reserve misses.
func (s Space) short(more int64) int64 { return max(s.Reserve+more-s.Free, 0) }

// Check fails with a sentence when writing so many bytes would take from the reserve.
func (s Space) Check(more int64) error {
	switch {
	case s.Free >= s.Reserve+more:
		return nil
	case s.Free >= s.Reserve:
		return s.refuse("this is expected to write %s, the server's disk has %s left, and a reserve of %s is kept free",
			Bytes(more), Bytes(s.Free), Bytes(s.Reserve))
	}
	return s.refuse("the server's disk has %s left, and a reserve of %s is kept free", Bytes(s.Free), Bytes(s.Reserve))
}

func (s Space) refuse(format string, args ...any) error {
	return Errorf(Failed, format, args...).WithHint("free room: ssh paas builds:prune --all; see what takes it: ssh paas disk")
}

// Contents is what the layers of an image hold.
type Contents struct {
	Layers     []LayerChanges `json:"layers"`          // bottom first
	Paths      []PathChanges  `json:"paths,omitempty"` // of the explored path, if one was
	Bytes      int64          `json:"bytes"`           // of all files in all layers
	Wasted     int64          `json:"wasted"`          // of those, what later layers replace or remove
	Efficiency float64        `json:"efficiency"`      // the part of Bytes that is not wasted, 0 to 1
	Waste      []Waste        `json:"waste"`           // where it is, the most first, at most 100
}

// LayerChanges is what one layer does to those below it.
type LayerChanges struct {
	Number int    `json:"number"` // from 1, at the bottom
	Layer  string `json:"layer"`
	Note   string `json:"made_by"` // the command or step; may be empty
	Bytes  int64  `json:"bytes"`   // of its files
	Wasted int64  `json:"wasted"`  // of Bytes, what later layers replace or remove
	Changes
}

// PathChanges is what a layer does to a path and all below it.
type PathChanges struct {
	Number int    `json:"layer"`
	Path   string `json:"path"`
	Changes
}

// Changes counts files; directories count by what is in them.
type Changes struct {
	Added   Tally `json:"added"`
	Changed Tally `json:"changed"` // Bytes are those of the new version
	Removed Tally `json:"removed"`
}

// Tally is a number of files with their bytes.
type Tally struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

// Waste is a path with versions that the image does not show.
type Waste struct {
	Path     string `json:"path"`
	Bytes    int64  `json:"bytes"` // of those versions
	Versions int    `json:"versions"`
}
