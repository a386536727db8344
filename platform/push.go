package platform

import "io"

// Push is one push of a branch: the same for git, an uploaded archive and git:sync.
type Push struct {
	Actor  Actor
	App    App
	Branch string // "main"
	Commit string // hex id
	Source Tree
	Out    io.Writer // the pusher's screen; plain lines, no escape codes
}
