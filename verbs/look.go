package verbs

import (
	"io"
	"strings"
	"time"

	"paas/platform"
)

// colours tells whether escape sequences are wanted: on a terminal that knows some, unless somebody said no
// (https://no-color.org: whatever NO_COLOR is set to, if not to nothing).
func (s Session) colours() bool {
	return s.Terminal != nil && s.Terminal.Term != "dumb" && s.Terminal.Term != "" && s.Env["NO_COLOR"] == ""
}

// utf8 tells what the caller's locale can show: the first of these three that is set decides (locale(7)).
func (s Session) utf8() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(s.Env[name]); v != "" {
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return false
}

// trouble is the sign before an error: Heroku's, or on a terminal one that also has a colour.
func (s Session) trouble() string {
	sign := "!"
	if s.Terminal != nil && s.utf8() {
		sign = "✗"
	}
	if s.colours() {
		return "\x1b[31m" + sign + "\x1b[0m"
	}
	return sign
}

// page is where text goes: aligned for people, tab-separated for programs.
func (s Session) page(w io.Writer, header bool) io.Writer {
	if s.Terminal != nil {
		return platform.Screen{Writer: w, Colour: s.colours(), Now: time.Now()}
	}
	return platform.Piped{Writer: w, Header: header}
}

// crlf ends lines as a raw terminal needs it.
type crlf struct{ w io.Writer }

func (c crlf) Write(p []byte) (int, error) {
	text := strings.ReplaceAll(strings.ReplaceAll(string(p), "\r\n", "\n"), "\n", "\r\n")
	if _, err := io.WriteString(c.w, text); err != nil {
		return 0, err
	}
	return len(p), nil
}
