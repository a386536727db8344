package logbook

import (
	"fmt"
	"strconv"
	"time"

	"paas/platform"
)

const (
	burstSeconds = 5       // what an app may save up of its rate
	lineCost     = 4 << 10 // bytes; a longer line counts as several
)

// Each app has two limiters: its visitors do not take its own lines' room.
const (
	appLimiter = iota
	routerLimiter
	limiters
)

// limiter lets so many lines a second pass, by the lines' own time: what was written while the daemon was away is not too
// fast because it is read at once.
type limiter struct {
	second  int64 // the last line's
	left    int   // lines that may pass
	dropped uint64
	last    int64     // time of the last line that was dropped, in microseconds; 0: another daemon dropped it
	at      time.Time // when this one dropped it
	origin  origin    // of who wrote what was dropped; its process is empty if they were several
}

// pass tells whether a line may be kept. gap is a line to be kept before it.
func (m *limiter) pass(l line, rate int, now time.Time) (ok bool, gap *line) {
	if rate <= 0 {
		return true, m.close()
	}
	if second := l.at / 1e6; second > m.second {
		gap = m.close()
		saved := min(second-m.second, burstSeconds)
		m.left = min(m.left+int(saved)*rate, burstSeconds*rate)
		m.second = second
	}
	cost := 1 + len(l.text)/lineCost
	if m.left >= cost {
		m.left -= cost
		return true, gap
	}
	if m.dropped == 0 {
		m.origin = l.origin
	} else if m.origin != l.origin {
		m.origin = origin{source: m.origin.source}
	}
	m.dropped++
	m.at, m.last = now, l.at
	return false, gap
}

// close makes the line that stands for what was dropped, if there was anything.
func (m *limiter) close() *line {
	if m.dropped == 0 {
		return nil
	}
	g := gapLine(m.dropped, m.last, m.origin)
	m.dropped = 0
	return &g
}

// overdue tells whether a gap waits for a line that may not come.
func (m *limiter) overdue(now time.Time) bool { return m.dropped > 0 && now.Sub(m.at) > gapPause }

func gapLine(n uint64, at int64, who origin) line {
	who.stream = 0
	return line{at: at, level: platform.LogWarn, gap: n, origin: who, text: []byte(gapText(n))}
}

func gapText(n uint64) string {
	if n == 1 {
		return "gap: 1 line dropped"
	}
	return fmt.Sprintf("gap: %s lines dropped", thousands(n))
}

// thousands writes a number as people read it: 1,204.
func thousands(n uint64) string {
	text := strconv.FormatUint(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
