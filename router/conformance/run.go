package conformance

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Front starts a front end that sends every request for the host a.test to origin, and returns its address.
type Front func(t *testing.T, origin net.Addr) string

// Options are what is special about a front end.
type Options struct {
	// Router tells that it is a whole router, and takes the cases that are Routed.
	Router bool
	// Stays allows that a connection goes on after a request was refused in whole.
	Stays bool
	// Known are cases that it is known to fail, by name, and why. One that passes fails the test: the list is true.
	Known map[string]string
}

// Run runs all cases, one after another.
func Run(t *testing.T, start Front, o Options) {
	t.Helper()
	origin := newOrigin(t)
	addr := start(t, origin.addr())
	for _, c := range Cases() {
		if c.Routed && !o.Router {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			faults := c.run(origin, addr, o.Stays)
			if len(faults) > 0 { // what is still on its way to the origin is not the next case's
				time.Sleep(2 * pause)
			}
			why, known := o.Known[c.Name]
			switch {
			case known && len(faults) == 0:
				t.Errorf("passes, and is listed as known to fail: %s", why)
			case !known && len(faults) > 0:
				t.Errorf("%q:\n%s", c.Send, strings.Join(faults, "\n"))
			}
		})
	}
}

// Limits of a case.
const (
	pause    = 30 * time.Millisecond
	patience = 3 * time.Second
)

// result is what a client saw.
type result struct {
	statuses []string
	last     *http.Response
	body     string
	broken   error  // of the last answer's body
	ended    bool   // the connection
	probed   bool   // another request was answered on it
	other    string // what came in the place of that
	gone     bool   // nothing did: the connection ended
	odd      error  // what came is no answer
}

func (c *Case) run(o *origin, addr string, stays bool) []string {
	o.begin(c)
	r, err := c.ask(addr, stays)
	if err != nil {
		return []string{err.Error()}
	}
	if c.Partial || stays && c.Seen == "" { // what should not be there may be on its way
		time.Sleep(pause)
	}
	return slices.Concat(c.judgeClient(r), c.judgeOrigin(r, o.end()))
}

// probe follows a request on the same connection: if the front end is out of step, something else is answered.
const probe = "GET /probe HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"

func (c *Case) ask(addr string, stays bool) (*result, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	go c.send(conn)
	r, in := &result{}, bufio.NewReader(conn)
	for range c.answers() {
		if !r.read(in, c.Head) {
			return r, nil
		}
	}
	if c.Seen != "" && !c.Ends && !c.Broken {
		r.probe(conn, in)
		return r, nil
	}
	if r.ended = stays && c.Seen == ""; r.ended {
		return r, nil
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience / 2))
	_, err = in.ReadByte()
	r.ended = err != nil && !isTimeout(err)
	return r, nil
}

func (r *result) probe(conn net.Conn, in *bufio.Reader) {
	_, _ = io.WriteString(conn, probe)
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		r.other, r.gone = err.Error(), isEnd(err)
		return
	}
	_ = res.Body.Close()
	r.probed, r.other = res.StatusCode == http.StatusOK, res.Status
}

func isTimeout(err error) bool {
	n, ok := err.(net.Error)
	return ok && n.Timeout()
}

func isEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE)
}

func (c *Case) send(conn net.Conn) {
	for i, piece := range strings.Split(c.Send, Pause) {
		if i > 0 {
			time.Sleep(pause)
		}
		if _, err := io.WriteString(conn, piece); err != nil {
			return
		}
	}
}

// answers is how many the client waits for.
func (c *Case) answers() int {
	if c.Want == "-" {
		return 1
	}
	first, _, _ := strings.Cut(c.Want, "|")
	return len(strings.Fields(first))
}

// read reads an answer. It returns false when nothing can follow.
func (r *result) read(in *bufio.Reader, head bool) bool {
	method := "GET"
	if head {
		method = "HEAD"
	}
	res, err := http.ReadResponse(in, &http.Request{Method: method})
	if err != nil {
		r.ended = !isTimeout(err)
		if r.ended && !isEnd(err) {
			r.odd = err
		}
		return false
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	r.statuses = append(r.statuses, strconv.Itoa(res.StatusCode))
	r.last, r.body, r.broken = res, string(body), err
	r.ended = err != nil
	return err == nil
}

func (c *Case) judgeClient(r *result) (faults []string) {
	say := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if want, have := strings.Split(c.Want, "|"), strings.Join(r.statuses, " "); !slices.Contains(want, have) && (c.Want != "-" || have != "") {
		say("the client got %q instead of %q", have, c.Want)
		return faults
	}
	if r.odd != nil {
		say("the client got what is no answer: %v", r.odd)
	}
	if (r.broken != nil) != c.Broken && (!c.MayEnd || c.Seen != "") {
		say("the answer's body ended with %v", r.broken)
	}
	switch stays := c.Seen != "" && !c.Ends && !c.Broken; {
	case stays && !r.probed && (!c.MayEnd || !r.gone):
		say("the connection is out of step: %s", r.other)
	case !stays && !r.ended && !c.Waits:
		say("the connection stays open")
	}
	if r.last != nil {
		faults = append(faults, c.judgeAnswer(r)...)
	}
	return faults
}

func (c *Case) judgeAnswer(r *result) (faults []string) {
	head := fieldLines(r.last.Header)
	for _, coding := range r.last.TransferEncoding {
		head = append(head, "transfer-encoding: "+coding)
	}
	head = append(head, fieldLines(r.last.Trailer)...)
	faults = judgeFields("the client's answer", head, c.Gets, c.Misses)
	if c.Content != "" && c.Content != r.body {
		faults = append(faults, fmt.Sprintf("the client got the body %.200q instead of %.200q", r.body, c.Content))
	}
	return faults
}

func fieldLines(h http.Header) (list []string) {
	for name, values := range h {
		for _, v := range values {
			list = append(list, strings.ToLower(name)+": "+v)
		}
	}
	return list
}

// matches compares a line; the value "*" is any.
func matches(line, name, value string) bool {
	return strings.HasPrefix(line, name) && (value == "*" || line[len(name):] == value)
}

func judgeFields(where string, lines, has, lacks []string) (faults []string) {
	for _, want := range has {
		name, value, _ := strings.Cut(want, ": ")
		if !slices.ContainsFunc(lines, func(l string) bool { return matches(l, strings.ToLower(name)+": ", value) }) {
			faults = append(faults, fmt.Sprintf("%s lacks %q: %q", where, want, lines))
		}
	}
	for _, name := range lacks {
		for _, line := range lines {
			if line == name || strings.HasPrefix(line, strings.ToLower(name)+":") {
				faults = append(faults, fmt.Sprintf("%s has %q", where, line))
			}
		}
	}
	return faults
}

func (c *Case) judgeOrigin(r *result, seen []request) (faults []string) {
	if n := len(seen); n > 0 && seen[n-1].line == "GET /probe HTTP/1.1" {
		seen = seen[:n-1]
	} else if r.probed {
		return []string{"the probe was answered by somebody else"}
	}
	if c.Partial {
		return judgePartial(seen)
	}
	have := make([]string, len(seen))
	for i, r := range seen {
		have[i] = r.line
	}
	if c.Seen != strings.Join(have, "\n") {
		return []string{fmt.Sprintf("the origin got %q instead of %q", have, c.Seen)}
	}
	if len(seen) == 0 {
		return nil
	}
	first := seen[0]
	faults = judgeFields("the origin's request", first.fields, c.Has, c.Lacks)
	if first.err != nil || first.body != c.Body {
		faults = append(faults, fmt.Sprintf("the origin got the body %.200q (%v) instead of %.200q", first.body, first.err, c.Body))
	}
	for _, r := range seen {
		if bytes.ContainsAny([]byte(strings.Join(r.fields, "")), "\r\n\x00") {
			faults = append(faults, fmt.Sprintf("the origin got a control character: %q", r.fields))
		}
	}
	return faults
}

func judgePartial(seen []request) []string {
	for _, r := range seen {
		if r.err == nil {
			return []string{fmt.Sprintf("the origin got a whole request: %q %.200q", r.line, r.body)}
		}
	}
	return nil
}
