package platform

import (
	"context"
	"errors"
	"io"
	"strings"
)

// Streamed is the output of a verb that has written it all already.
type Streamed struct{ Exit int }

// Text implements the verbs' output.
func (Streamed) Text(io.Writer) error { return nil }

// ExitStatus is the status the door ends with.
func (s Streamed) ExitStatus() int { return s.Exit }

// printable keeps colours and tabs but no other control character: a log must not drive a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != 0x1b || r == 0x7f {
			return -1
		}
		return r
	}, s)
}

// errQuit is why a stream ends whose reader pressed q.
var errQuit = errors.New("its reader has seen enough")

// untilQuit ends the context when a person at a terminal presses Ctrl-C, Ctrl-D or q, the latter with errQuit: over a PTY no
// signal comes, only the byte. Where nobody types, it ends with the session.
func untilQuit(ctx context.Context, call Call) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := func() { cancel(nil) }
	if call.Terminal == nil || call.In == nil {
		return ctx, stop
	}
	go func() { // ends with the session, which closes In
		var b [1]byte
		for {
			_, err := call.In.Read(b[:])
			switch {
			case errors.Is(err, io.EOF):
				return // nobody types, which is no wish to end
			case err == nil && b[0] == 'q':
				cancel(errQuit)
				return
			case err != nil || b[0] == 0x03 || b[0] == 0x04:
				cancel(nil)
				return
			}
		}
	}()
	return ctx, stop
}
