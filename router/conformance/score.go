package conformance

import (
	"strings"
	"testing"
	"time"
)

// Verdict is what became of a case under its rule.
type Verdict struct {
	Rule  *Rule
	Case  string
	Fault string // what was wrong with it; empty for nothing
}

// tries is how often a case is run before it counts as wrong: an origin that has just closed a connection may have
// been found still there.
const tries = 2

// longer is an answer that frames can cut in pieces, as h2spec wants it.
const longer = "HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n" + "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// Score measures a front end by the rules, one case after another.
func Score(t *testing.T, start Front) (list []Verdict) {
	t.Helper()
	origin := newOrigin(t)
	addr := start(t, origin.addr())
	for _, c := range apply(Rules(), Cases()) {
		fault := ""
		for try := 0; try < tries && (try == 0 || fault != ""); try++ {
			fault = c.fault(origin, addr)
		}
		list = append(list, Verdict{Rule: c.rule, Case: c.Name, Fault: fault})
	}
	origin.begin(&Case{Answer: longer}) // for who asks on
	return list
}

// fault is empty when one of the outcomes was met, and else what was wrong with the first.
func (c *ruled) fault(origin *origin, addr string) (first string) {
	for _, o := range c.outcomes {
		faults := o.run(origin, addr, !c.rule.Closes)
		if len(faults) == 0 {
			return ""
		}
		if first == "" {
			first = strings.Join(faults, "; ")
		}
		time.Sleep(2 * pause) // what is still on its way to the origin is not the next one's
	}
	return first
}
