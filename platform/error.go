package platform

import (
	"context"
	"errors"
	"fmt"
)

// Kind says what sort of failure an Error is; a door maps it to an exit status or an HTTP status.
type Kind int

// The kinds. The zero Kind is Internal: an error nobody wrote a sentence for.
const (
	Internal     Kind = iota
	Failed            // what was asked was tried and did not work
	Usage             // the request is malformed
	NotFound          // the thing named does not exist, or must not be known to exist
	Denied            // the actor may not
	Conflict          // it clashes with what is there, or somebody else is at it
	Timeout           // it took too long
	Unhealthy         // the new release did not become healthy; the old one serves
	Unknown           // no such command
	Interrupted       // the caller went away or pressed Ctrl-C
	Unauthorized      // nobody, or nobody known, asks
)

// Error is a failure with a sentence for the human and, if there is one, a hint of what to type next.
// Its cause is for the log and for errors.Is.
type Error struct {
	Kind    Kind
	Message string   // one sentence, no trailing newline
	Hint    string   // what to do or type next; may be empty
	Output  []string // the last lines of what failed; may be empty
	Table   []string // what to know about it, above the sentence; may be empty
	Told    bool     // the caller has read it already, while it happened
	Cause   error
}

func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Message
	}
	return e.Message + ": " + e.Cause.Error()
}

func (e *Error) Unwrap() error { return e.Cause }

// Errorf makes an Error of the kind. Its message is the whole sentence; give a cause with Because.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Because returns a copy of e with its cause.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.Cause = cause
	return &c
}

// WithHint returns a copy of e that tells what to type next.
func (e *Error) WithHint(format string, args ...any) *Error {
	c := *e
	c.Hint = fmt.Sprintf(format, args...)
	return &c
}

// KindOf is the kind of the first Error in err's chain, or Internal.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// sentence is an error's one for people.
func sentence(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Message
	}
	return err.Error()
}

// Human finds the sentence for an error. One without a sentence is logged with its cause under a
// reference, and only the reference is shown.
func (p *Platform) Human(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	if errors.Is(err, context.Canceled) {
		return Errorf(Interrupted, "it was cancelled").Because(err)
	}
	ref := secret()[:8]
	p.Log.Error("internal error", "reference", ref, "err", err)
	return Errorf(Internal, "something went wrong inside paas (reference %s)", ref).Because(err).
		WithHint("the server's log tells more under that reference")
}
