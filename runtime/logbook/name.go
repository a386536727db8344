package logbook

import (
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"paas/platform"
	"paas/runtime/ring"
)

// Ring is the name of the ring of one instance: it says all there is to say about it. Files are what an instance costs
// on the disk, so there is no other.
type Ring struct {
	ID      platform.InstanceID
	Source  string // "web.1"; "router" for the access log; empty for notes
	Started time.Time
	Release int // 0: of none, or not known
}

// ringParts separates what a name consists of; no name of an app or a process has it.
const ringParts = "@"

// RouterSource is what the router's lines stand under in an app's rings.
const RouterSource = "router"

// NoteSeparator stands between a note's process and its text.
const NoteSeparator = "\t"

// Name is the file name of the ring without the ends of its segments.
func (r Ring) Name() string {
	parts := []string{strconv.FormatInt(r.Started.UnixNano(), 10), string(r.ID), r.Source}
	if r.Release > 0 {
		parts = append(parts, strconv.Itoa(r.Release))
	}
	return strings.Join(parts, ringParts)
}

// ParseRing reads the file name of a ring's first segment.
func ParseRing(file string) (r Ring, ok bool) {
	name, ok := strings.CutSuffix(file, ring.Segments[0])
	parts := strings.Split(name, ringParts)
	if !ok || len(parts) < 3 || len(parts) > 4 {
		return Ring{}, false
	}
	started, err := strconv.ParseInt(parts[0], 10, 64)
	if err == nil && len(parts) == 4 {
		r.Release, err = strconv.Atoi(parts[3])
	}
	r.ID, r.Source, r.Started = platform.InstanceID(parts[1]), parts[2], time.Unix(0, started)
	return r, err == nil
}

// RingDir is where an app's rings are.
func RingDir(dir string, app platform.AppName) string { return filepath.Join(dir, string(app)) }
