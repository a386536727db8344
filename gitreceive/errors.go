package gitreceive

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"

	"paas/gitreceive/pack"
	"paas/platform"
)

// human finds the sentence for an error. One without is logged under a reference, which is shown instead.
func (d *Server) human(err error) *platform.Error {
	var e *platform.Error
	var broken *pack.BrokenError
	var limit *pack.LimitError
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &broken):
		return platform.Errorf(platform.Failed, "git's data is refused: %s", broken.Reason).
			WithHint("look for damage: git fsck")
	case errors.As(err, &limit):
		return platform.Errorf(platform.Failed, "the push is too big: %s", limit.Reason)
	case errors.Is(err, context.Canceled):
		return platform.Errorf(platform.Interrupted, "the push was cancelled; nothing changed").Because(err)
	}
	ref := reference()
	d.options.Log.Error("internal error", "reference", ref, "err", err)
	return platform.Errorf(platform.Internal, "something went wrong inside paas (reference %s)", ref).
		WithHint("the server's log tells more under that reference")
}

func reference() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

const shortReason = 60 // bytes, to fit git's "! [remote rejected] main -> main (…)"

// reason is a failure in a few words, for git's answer.
func (d *Server) reason(err error) string {
	var e *platform.Error
	if !errors.As(err, &e) {
		if errors.Is(err, context.Canceled) {
			return "cancelled"
		}
		return "internal error"
	}
	switch e.Kind {
	case platform.Internal:
		return "internal error"
	case platform.Unhealthy:
		return "health check failed"
	case platform.Timeout:
		return "timed out"
	case platform.Interrupted:
		return "cancelled"
	}
	words, _, _ := strings.Cut(oneLine(e.Message), ": ")
	words = strings.TrimSuffix(words, ".")
	if len(words) > shortReason {
		return "deploy failed"
	}
	return words
}

func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), " ")
}

// turnAway refuses a git client before the first ref, in a packet that git shows as "remote error: …". An
// app that is not there and one that the actor may not see look the same.
func (d *Server) turnAway(c *client, name string, err error) int {
	e := d.human(err)
	if e.Kind == platform.NotFound {
		e = platform.Errorf(platform.NotFound, "there is no app %q, or you may not see it", name)
	}
	text := oneLine(e.Message)
	if e.Hint != "" {
		text += " (" + oneLine(e.Hint) + ")"
	}
	for _, line := range tableFor(c, e) {
		_, _ = c.stderr.Write([]byte("       " + line + "\n"))
	}
	_ = (&pktline.ErrorLine{Text: text}).Encode(c.out)
	return status(e.Kind)
}

// tableFor is what an error tells beside its sentence, such as what takes the disk: it names apps, so it is for admins.
func tableFor(c *client, e *platform.Error) []string {
	if c.actor.Admin {
		return e.Table
	}
	return nil
}

// complain refuses on stderr.
func (d *Server) complain(c *client, err error) int {
	e := d.human(err)
	text := plain(e, tableFor(c, e))
	if c.actor.Request != "" {
		text += "       Request " + c.actor.Request + "\n"
	}
	_, _ = c.stderr.Write([]byte(text))
	return status(e.Kind)
}

// status is the exit status of an error's kind, as the verbs have it.
func status(k platform.Kind) int {
	switch k {
	case platform.Usage:
		return 2
	case platform.NotFound:
		return 3
	case platform.Denied:
		return 4
	case platform.Conflict:
		return 5
	case platform.Timeout:
		return 6
	case platform.Unhealthy:
		return 7
	case platform.Unknown:
		return 127
	case platform.Interrupted:
		return 130
	default:
		return 1
	}
}
