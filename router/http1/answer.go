package http1

import (
	"bytes"
	"cmp"
	"errors"

	"paas/router/wire"
)

// ErrAnswer is an answer that is not HTTP/1, or has more than one reading.
var ErrAnswer = errors.New("no valid HTTP/1 answer")

// Limits of an answer's head. Applications are trusted with longer ones than strangers.
const (
	maxAnswerHead   = 256 << 10 // bytes, unless Answer.MaxHead says otherwise
	maxAnswerFields = 512       // so that a head of a thousand short lines costs no more than one of a long one
)

// Answer is the head of an answer. Its bytes are valid until the reader's Release.
type Answer struct {
	MaxHead int // bytes; the caller's, 0 is 256 KiB
	Version wire.Version
	Status  int          // 100 to 999
	Fields  []wire.Field // without those of the connection and of the framing
	Framing Framing
	Length  int64  // Content-Length, also where no body follows (HEAD, 304); -1 when there was none
	Close   bool   // the connection must not be used for another request
	Upgrade []byte // what a 101 switches to
	opts    options
}

// ReadAnswer reads the next head from r, which may be an interim one (100 to 199, then read again). head tells
// that the request was HEAD. It blocks; a connection that ends before the first byte is io.EOF, and before the
// last io.ErrUnexpectedEOF. What the answer's own bytes make of it is ErrAnswer.
func ReadAnswer(r *Reader, a *Answer, head bool) error {
	for scanned := 0; ; {
		end, at := headEnd(r.Peek(), scanned)
		if end > 0 {
			b := r.Peek()[:end]
			r.hold(end)
			return a.parse(b, head)
		}
		scanned = at
		some := r.Buffered() > 0
		switch err := r.fill(cmp.Or(a.MaxHead, maxAnswerHead)); {
		case err == errLong:
			return ErrAnswer
		case err != nil && some:
			return unexpected(err)
		case err != nil:
			return err
		}
	}
}

// headEnd finds the empty line after a head: a line ends with LF here, with CR or not, since nothing else can come
// from an instance that was asked one thing. When there is none yet, at is where to search on.
func headEnd(b []byte, from int) (end, at int) {
	for at = from; ; {
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			return 0, at
		}
		if at > 0 && (i == 0 || i == 1 && b[at] == '\r') {
			return at + i + 1, 0
		}
		at += i + 1
	}
}

func (a *Answer) parse(b []byte, head bool) error {
	a.opts.reset()
	*a = Answer{MaxHead: a.MaxHead, Fields: a.Fields[:0], Length: -1, opts: a.opts}
	line, rest := cutLine(b)
	if !a.statusLine(line) {
		return ErrAnswer
	}
	coded := false
	for line, rest = cutLine(rest); len(line) > 0; line, rest = cutLine(rest) {
		if err := a.field(line, &coded); err != nil {
			return err
		}
	}
	a.Fields = a.opts.strip(a.Fields)
	return a.frame(head, coded)
}

// cutLine cuts off a line, which ends with LF or CRLF.
func cutLine(b []byte) (line, rest []byte) {
	line = b
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		line, rest = b[:i], b[i+1:]
	}
	if n := len(line) - 1; n >= 0 && line[n] == '\r' {
		line = line[:n]
	}
	return line, rest
}

// statusLine reads "HTTP/1.1 200 OK"; many leave out the words, and some the blank before them.
func (a *Answer) statusLine(line []byte) bool {
	if len(line) < 12 || string(line[:7]) != "HTTP/1." || line[8] != ' ' || classes[line[7]]&digit == 0 {
		return false
	}
	if len(line) > 12 && line[12] != ' ' || !ValidValue(line[12:]) {
		return false
	}
	a.Version = wire.HTTP11
	if line[7] == '0' {
		a.Version = wire.HTTP10
	}
	a.Status = int(number(line[9:12]))
	return a.Status >= 100
}

func (a *Answer) field(line []byte, coded *bool) error {
	f, _ := splitField(line)
	if f.Name == nil {
		f, _ = splitField(withoutBlanks(line))
	}
	if f.Name == nil || len(a.Fields) >= maxAnswerFields {
		return ErrAnswer
	}
	switch kindOf(f.Name) {
	case connectionField:
		a.opts.add(f.Value)
	case lengthField:
		return a.length(f.Value)
	case codingField:
		if *coded || !Is(f.Value, "chunked") {
			return ErrAnswer
		}
		*coded = true
	case upgradeField:
		a.Upgrade = f.Value
	case teField, dropped:
	default:
		a.Fields = append(a.Fields, f)
	}
	return nil
}

// withoutBlanks removes those between a name and its colon, as a proxy must (RFC 9112 section 5.1).
func withoutBlanks(line []byte) []byte {
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 || line[0] == ' ' || line[0] == '\t' {
		return nil
	}
	end := colon
	for end > 0 && (line[end-1] == ' ' || line[end-1] == '\t') {
		end--
	}
	copy(line[end:], line[colon:])
	return line[:len(line)-(colon-end)]
}

// length reads Content-Length. It may be there more than once if all say the same (RFC 9110 section 8.6).
func (a *Answer) length(value []byte) error {
	token, rest := nextToken(value)
	if token == nil {
		return ErrAnswer
	}
	for ; token != nil; token, rest = nextToken(rest) {
		n := number(token)
		if n < 0 || a.Length >= 0 && a.Length != n {
			return ErrAnswer
		}
		a.Length = n
	}
	return nil
}

// frame decides how the body ends (RFC 9112 section 6.3).
func (a *Answer) frame(head, coded bool) error {
	a.Close = a.opts.close || a.Version == wire.HTTP10 && !a.opts.keep
	if a.opts.many || coded && a.Version == wire.HTTP10 {
		return ErrAnswer
	}
	if coded && a.Length >= 0 { // an instance that says both is asked nothing more
		a.Length, a.Close = -1, true
	}
	switch {
	case a.Status < 200 || a.Status == 204:
		a.Framing, a.Length = Empty, -1
	case head || a.Status == 304:
		a.Framing = Empty
	case coded:
		a.Framing = Chunked
	case a.Length >= 0:
		a.Framing = Sized
	default:
		a.Framing, a.Close = ToTheEnd, true
	}
	return nil
}
