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

// untilQuit ends the context when a person at a terminal presses Ctrl-C, Ctrl-D or q: over a PTY no
// signal comes, only the byte. Where nobody types, it ends with the session.
func untilQuit(ctx context.Context, call Call) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	if call.Terminal == nil || call.In == nil {
		return ctx, cancel
	}
	go func() { // ends with the session, which closes In
		var b [1]byte
		for {
			switch _, err := call.In.Read(b[:]); {
			case errors.Is(err, io.EOF):
				return
			case err != nil || b[0] == 0x03 || b[0] == 0x04 || b[0] == 'q':
				cancel()
				return
			}
		}
	}()
	return ctx, cancel
}
