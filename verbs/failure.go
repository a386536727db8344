package verbs

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"paas/platform"
)

// kinds are how JSON names what sort of failure it was.
var kinds = map[platform.Kind]string{
	platform.Internal: "internal", platform.Failed: "failed", platform.Usage: "usage", platform.NotFound: "not_found",
	platform.Denied: "denied", platform.Conflict: "conflict", platform.Timeout: "timeout", platform.Unhealthy: "unhealthy",
	platform.Unknown: "unknown_command", platform.Interrupted: "interrupted", platform.Unauthorized: "unauthorized",
}

// failureJSON is what --json prints of a failure, as one line on stderr.
type failureJSON struct {
	Error struct {
		Kind    string   `json:"kind"`
		Message string   `json:"message"`
		Hint    string   `json:"hint,omitempty"`
		Details []string `json:"details,omitempty"`
		Output  []string `json:"output,omitempty"`
		Status  int      `json:"status"` // the command's exit status
		Request string   `json:"request"`
	} `json:"error"`
}

func tellJSON(s Session, e *platform.Error) {
	var f failureJSON
	f.Error.Kind, f.Error.Message, f.Error.Status = kinds[e.Kind], strings.TrimSuffix(e.Message, "."), status[e.Kind]
	f.Error.Hint, f.Error.Details, f.Error.Output = spell(e.Hint, s.Prefix), e.Table, e.Output
	f.Error.Request = s.Actor.Request
	enc := json.NewEncoder(s.Stderr)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(f) // the reader may be gone
}

// tellError tells what, why, what to type next, and by which name the server's log and events know it.
func tellError(s Session, e *platform.Error) {
	if e.Told {
		return
	}
	var b strings.Builder
	for _, line := range e.Table {
		fmt.Fprintf(&b, "       %s\n", line)
	}
	fmt.Fprintf(&b, " %s     %s\n", s.trouble(), strings.TrimSuffix(spell(e.Message, s.Prefix), "."))
	if e.Hint != "" {
		for line := range strings.SplitSeq(spell(e.Hint, s.Prefix), "\n") {
			fmt.Fprintf(&b, "       %s\n", line)
		}
	}
	if len(e.Output) > 0 {
		fmt.Fprintf(&b, "       Its last output:\n")
		for _, line := range e.Output {
			fmt.Fprintf(&b, "         %s\n", line)
		}
	}
	if s.Actor.Request != "" {
		fmt.Fprintf(&b, "       Request %s\n", s.Actor.Request)
	}
	_, _ = io.WriteString(s.Stderr, b.String())
}

// spell writes commands as the caller types them.
func spell(text, prefix string) string { return strings.ReplaceAll(text, "ssh paas ", prefix+" ") }
