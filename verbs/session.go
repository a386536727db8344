// Package verbs declares every verb once; doors derive their commands, routes and help from it.
package verbs

import (
	"io"

	"paas/platform"
)

// Session is one call of a verb: who asks, over which streams, and how the caller spells the program.
type Session struct {
	Actor    platform.Actor
	Stdin    io.Reader
	Stdout   io.Writer          // data only
	Stderr   io.Writer          // progress, warnings, errors
	Terminal *platform.Terminal // nil when the caller has no PTY
	Env      map[string]string  // of the caller's: NO_COLOR, LANG, LC_ALL and LC_CTYPE, if it sent them
	App      string             // that the caller's directory belongs to, "" for none
	Prefix   string             // "ssh paas" or "paas": how help spells a command

	Signals func() <-chan platform.Signal // see platform.Call; may be nil
}
