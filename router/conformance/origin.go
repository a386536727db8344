package conformance

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// origin is an instance that reads what comes by the letter, and takes every way out of it for an error.
type origin struct {
	l net.Listener

	mu   sync.Mutex
	c    *Case
	seen []request
}

// request is what came.
type request struct {
	line   string
	fields []string // names in lower case
	body   string
	err    error
}

func newOrigin(t *testing.T) *origin {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &origin{l: l}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { o.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return o
}

func (o *origin) addr() net.Addr { return o.l.Addr() }

func (o *origin) begin(c *Case) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.c, o.seen = c, nil
}

func (o *origin) end() []request {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.seen
}

// current is the case at hand.
func (o *origin) current() *Case {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.c
}

// keep notes a request that came during a case, and says what to answer.
func (o *origin) keep(c *Case, r request) (answer string, ends bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.c == c {
		o.seen = append(o.seen, r)
	}
	if c.Answer == "" || r.line == "GET /probe HTTP/1.1" {
		return usual, false
	}
	return c.Answer, c.Close || !strings.Contains(strings.ToLower(c.Answer), "content-length") && !strings.Contains(strings.ReplaceAll(c.Answer, Pause, ""), "0\r\n\r\n")
}

func (o *origin) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	in := bufio.NewReader(c)
	for {
		_ = c.SetDeadline(time.Now().Add(2 * patience))
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		now := o.current()
		r := request{line: strings.TrimSuffix(line, "\r\n")}
		r.readFields(in)
		r.readBody(in, c)
		answer, ends := o.keep(now, r)
		for i, piece := range strings.Split(answer, Pause) {
			if i > 0 {
				time.Sleep(pause)
			}
			_, _ = io.WriteString(c, piece)
		}
		if ends || r.err != nil {
			return
		}
	}
}

func (r *request) readFields(in *bufio.Reader) {
	for {
		line, err := in.ReadString('\n')
		if r.err == nil && !strings.HasSuffix(line, "\r\n") {
			r.err = fmt.Errorf("a line ends with %q: %w", line, err)
		}
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			return
		}
		name, value, ok := strings.Cut(line, ":")
		if r.err == nil && !ok {
			r.err = fmt.Errorf("a field without a colon: %q", line)
		}
		r.fields = append(r.fields, strings.ToLower(name)+": "+strings.Trim(value, " \t"))
	}
}

// values are those of all fields of a name.
func (r *request) values(name string) (list []string) {
	for _, f := range r.fields {
		if v, ok := strings.CutPrefix(f, name+": "); ok {
			list = append(list, v)
		}
	}
	return list
}

func (r *request) readBody(in *bufio.Reader, c net.Conn) {
	lengths, codings := r.values("content-length"), r.values("transfer-encoding")
	if len(lengths)+len(codings) > 1 && r.err == nil {
		r.err = fmt.Errorf("framed twice: %q %q", lengths, codings)
	}
	if len(r.values("expect")) > 0 {
		_, _ = io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
	}
	var err error
	switch {
	case len(lengths) == 1:
		n, bad := strconv.Atoi(lengths[0])
		if bad != nil {
			r.err = bad
			return
		}
		b := make([]byte, n)
		n, err = io.ReadFull(in, b)
		r.body = string(b[:n])
	case len(codings) == 1 && strings.EqualFold(codings[0], "chunked"):
		err = r.readChunks(in)
	case len(codings) == 1:
		err = fmt.Errorf("coding %q", codings[0])
	}
	if r.err == nil {
		r.err = err
	}
}

func (r *request) readChunks(in *bufio.Reader) error {
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		n, err := strconv.ParseUint(strings.TrimSuffix(line, "\r\n"), 16, 32)
		if err != nil {
			return err
		}
		if n == 0 {
			r.readFields(in)
			return nil
		}
		b := make([]byte, n+2)
		if _, err = io.ReadFull(in, b); err != nil {
			return err
		}
		if string(b[n:]) != "\r\n" {
			return fmt.Errorf("a chunk ends with %q", b[n:])
		}
		r.body += string(b[:n])
	}
}
