package runtime

import (
	"paas/platform"
	"paas/runtime/logbook"
	"paas/runtime/ring"
)

const accessBytes = 4 << 20 // of each of the two segments of an app's access log

// Access writes lines of the router's access log into an app's log. It does not keep the texts. What the disk does
// not take is dropped.
func (r *Runtime) Access(app platform.AppName, lines []platform.AccessLine) error {
	records := make([]ring.Record, 0, len(lines))
	for _, l := range lines {
		records = append(records, ring.Record{At: l.At.UnixNano(), Stream: ring.Platform, Text: l.Text[:min(len(l.Text), ring.MaxLine)]})
	}
	return r.accesses.append(r, app, logbook.RouterSource, records...)
}
