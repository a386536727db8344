package gitreceive

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// clock shows how long the present phase of a push takes while nothing else is told: one line that ends in "\r", which
// git's clients draw over with the next one. It is for clients at a terminal alone, where git says so: it asks for "quiet"
// whenever its stderr is none (send-pack.c of git, since 1.7), so logs of other programs get whole lines only. What it
// draws is in no log of ours either. A nil clock shows nothing.
type clock struct {
	phase string    // what is under way; "": nothing is
	since time.Time // that it is
	last  time.Time // that something was told
	drawn bool      // the last that was sent is to be drawn over
}

// The beginnings of lines that open and end a phase of a story.
const (
	phaseOpens = "-----> "
	phaseEnds  = "       done in "
)

const (
	drawAfter  = 2 * time.Second // of silence
	widestDraw = 60              // bytes of a phase's name: a line that wraps is not drawn over
)

// told looks at lines that were sent.
func (c *clock) told(lines []byte, now time.Time) {
	if c == nil {
		return
	}
	c.last, c.drawn = now, false
	for line := range bytes.Lines(lines) {
		switch text := strings.TrimRight(string(line), "\r\n"); {
		case strings.HasPrefix(text, phaseOpens):
			c.phase, c.since = strings.TrimPrefix(text, phaseOpens), now
		case strings.HasPrefix(text, phaseEnds):
			c.phase = ""
		}
	}
}

// draw is the line to show now, or nothing.
func (c *clock) draw(now time.Time) []byte {
	if c == nil || c.phase == "" || now.Sub(c.last) < drawAfter {
		return nil
	}
	c.drawn = true
	name := c.phase
	if len(name) > widestDraw {
		name = strings.ToValidUTF8(name[:widestDraw], "") + "…"
	}
	return fmt.Appendf(nil, "       %s: %ds\r", name, int(now.Sub(c.since).Seconds()))
}

// end is what draws over the last line, which git's own words would cover in part only.
func (c *clock) end() []byte {
	if c == nil || !c.drawn {
		return nil
	}
	return []byte("\n")
}
