package platform

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Call is one use of a verb: who asks, over which streams.
type Call struct {
	Actor    Actor
	In       io.Reader
	Out      io.Writer // data
	Err      io.Writer // progress, warnings
	Terminal *Terminal // nil when the caller has none
	Audit    *Entry    // its entry in the audit; nil when it changes nothing

	// Signals takes over the signals that the caller's client sends, which else end the call. The channel is closed
	// with the caller's session. It may be nil: then none come.
	Signals func() <-chan Signal
	Environ map[string]string // of the caller's own: LANG, LC_ALL, LC_CTYPE and NO_COLOR, if its client sent them
	App     string            // what the caller's directory belongs to, if it says so; "" else
	JSON    bool              // the caller wants JSON
	Prefix  string            // how the caller spells the program: "ssh paas" or "paas"
}

// Request names this call: see Actor.
func (c Call) Request() string { return c.Actor.Request }

// Done is the output of a verb that has nothing to show but a sentence.
type Done struct {
	Message string `json:"message"`
}

// Text implements the verbs' output.
func (d Done) Text(w io.Writer) error {
	_, err := fmt.Fprintln(w, d.Message)
	return err
}

func donef(format string, args ...any) Done { return Done{fmt.Sprintf(format, args...)} }

// confirm makes sure that the caller means it: by --confirm NAME, or by typing the name on a terminal.
func confirm(call Call, name, given, what string) error {
	if given == name {
		return nil
	}
	refusal := Errorf(Usage, "%s. It needs your confirmation", what).WithHint("add --confirm %s", name)
	if given != "" {
		return Errorf(Usage, "--confirm says %q, the name is %q", given, name).WithHint("add --confirm %s", name)
	}
	if call.Terminal == nil || call.In == nil {
		return refusal
	}
	_, _ = fmt.Fprintf(call.Err, "%s.\r\nType %s to go on: ", what, name)
	line, err := readTyped(call.In, call.Err)
	if err != nil {
		return Errorf(Interrupted, "it was called off; nothing changed").Because(err)
	}
	if line != name {
		return refusal
	}
	return nil
}

// firstLine reads a line of at most so many bytes. That the input ends with it is no error.
func firstLine(in io.Reader, most int64) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(in, most)).ReadString('\n')
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return line, err
}

const maxTypedLine = 64 << 10 // bytes; what is typed beyond is not taken

// readTyped reads a line from a raw terminal, echoing it. Ctrl-U takes it back, backspace its last byte.
func readTyped(in io.Reader, echo io.Writer) (string, error) {
	var line []byte
	r := bufio.NewReader(in)
	for {
		c, err := r.ReadByte()
		switch {
		case err != nil || c == 0x03 || c == 0x04: // Ctrl-C, Ctrl-D
			_, _ = io.WriteString(echo, "\r\n")
			return "", fmt.Errorf("read what is typed: %w", context.Canceled)
		case c == '\r' || c == '\n':
			_, _ = io.WriteString(echo, "\r\n")
			return strings.TrimSpace(string(line)), nil
		case c == 0x15 || (c == 0x7f || c == '\b') && len(line) > 0:
			n := 1
			if c == 0x15 {
				n = len(line)
			}
			line = line[:len(line)-n]
			_, _ = io.WriteString(echo, strings.Repeat("\b \b", n))
		case c >= ' ' && c != 0x7f && len(line) < maxTypedLine:
			line = append(line, c)
			_, _ = echo.Write([]byte{c})
		}
	}
}
