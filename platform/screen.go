package platform

import (
	"fmt"
	"io"
	"time"
)

// Piped marks a writer that no person reads directly: tables go there tab-separated, and without header
// unless one is asked for.
type Piped struct {
	io.Writer
	Header bool
}

// Screen marks a writer that is a person's terminal.
type Screen struct {
	io.Writer
	Colour bool      // it understands escape sequences and its owner wants colours
	Now    time.Time // so that times can be told relative to it; zero: they are not
}

// Escape sequences (ECMA-48, section 8.3.117: SGR).
const (
	bold   = "\x1b[1m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	normal = "\x1b[0m"
)

// painted is a text in a grade's colour, where somebody wants colours.
func painted(w io.Writer, g Grade, text string) string {
	s, _ := w.(Screen)
	return s.paint(map[Grade]string{Fine: green, Warning: yellow, Failing: red}[g], text)
}

func (s Screen) paint(colour, text string) string {
	if !s.Colour {
		return text
	}
	return colour + text + normal
}

// when adds to an absolute time how long ago that was, or how soon it will be.
func (s Screen) when(cell string) string {
	at, err := time.Parse(time.RFC3339, cell)
	if err != nil || s.Now.IsZero() {
		return cell
	}
	if d := s.Now.Sub(at); d >= 0 {
		return fmt.Sprintf("%s (%s ago)", cell, roughly(d))
	}
	return fmt.Sprintf("%s (in %s)", cell, roughly(at.Sub(s.Now)))
}
