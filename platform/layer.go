package platform

import (
	"fmt"
	"time"
)

// LayerUsage is what one layer of the content store costs.
type LayerUsage struct {
	Layer     string
	Bytes     int64     // blocks on the disk; a file with several names counts once
	Committed time.Time // when it got its name
	Used      time.Time // when it was last asked for; within an hour, what was before this process
	Note      string    // what made it, for people; may be empty
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
	MinAge time.Duration // what was used since stays
	DryRun bool          // remove nothing, tell what would go
}

// Space is how full the content store's disk is. All in bytes.
type Space struct {
	Total   int64 `json:"total"`
	Free    int64 `json:"free"`
	Reserve int64 `json:"reserve"` // of Free, what no build and no image may take
	Budget  int64 `json:"budget"`  // what layers shall not exceed; 0: no bound but the reserve
	Used    int64 `json:"used"`    // by layers
}

// Missing is how much must go so that reserve and budget are kept; 0 if they are.
func (s Space) Missing() int64 {
	missing := max(s.Reserve-s.Free, 0)
	if s.Budget > 0 {
		missing = max(missing, s.Used-s.Budget)
	}
	return missing
}

// Check fails with a sentence when the reserve is touched.
func (s Space) Check() error {
	if s.Free >= s.Reserve {
		return nil
	}
	return Errorf(Failed, "the server's disk has %s left, and a reserve of %s is kept free", Bytes(s.Free), Bytes(s.Reserve)).
		WithHint("free room: ssh paas images:prune --all; see what takes it: ssh paas images:du")
}

// Bytes is a size as people read it, with powers of 1024: "1.5 GiB".
func Bytes(n int64) string {
	if n < 0 {
		return "-" + Bytes(-n)
	}
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	size, unit := float64(n)/(1<<10), 0
	for size >= 1023.95 && unit < len(units)-1 {
		size, unit = size/(1<<10), unit+1
	}
	return fmt.Sprintf("%.1f %ciB", size, units[unit])
}

const units = "KMGTPE"
