package http1

import (
	"bytes"
	"errors"
	"io"
	"os"

	"paas/router/wire"
)

// Limits of what frames a chunked body that are no settings: a size that fits the number that counts it down, and
// more fields behind a body than any protocol has.
const (
	maxChunk    = 1<<60 - 1 // bytes
	maxTrailers = 32        // fields
)

// Framing is how the end of a body is told.
type Framing uint8

// The framings of RFC 9112 section 6.3.
const (
	Empty    Framing = iota
	Sized            // by Content-Length
	Chunked          // by Transfer-Encoding
	ToTheEnd         // by the end of the connection: answers only
)

// Body reads one message's content. Its zero value is empty.
type Body struct {
	r        *Reader
	framing  Framing
	left     int64  // of the body, or of the chunk
	inside   bool   // a chunk, whose data CRLF will follow
	extra    int    // bytes of extensions that came
	last     bool   // the last chunk has come, and its trailers have not
	kept     []byte // what trailers point into
	trailers []wire.Field
	limits   *Chunking // nil: the defaults
	err      error     // sticky, but for a deadline that has passed
}

// Start begins to read a body of length bytes (Sized) from r, right after its head. Other framings ignore length.
func (b *Body) Start(r *Reader, f Framing, length int64) {
	*b = Body{r: r, framing: f, trailers: b.trailers[:0], limits: b.limits}
	if f == Sized {
		b.left = length
	}
	if f == Empty || f == Sized && length == 0 {
		b.err = io.EOF
	}
}

// Done tells that the body was read to its true end, so that another message may follow.
func (b *Body) Done() bool { return b.err == io.EOF && b.framing != ToTheEnd }

// Ended tells that nothing more can be read.
func (b *Body) Ended() bool { return b.err != nil }

// Trailer are the fields after a chunked body, once Read returned io.EOF. They are valid until the reader's
// Release.
func (b *Body) Trailer() []wire.Field { return b.trailers }

// Left is how many bytes are still to come of a sized body; -1 of others.
func (b *Body) Left() int64 {
	switch {
	case b.err == io.EOF || b.framing == Empty:
		return 0
	case b.framing == Sized:
		return b.left
	}
	return -1
}

// Ready tells that Read has something to give, or the end, without asking the connection.
func (b *Body) Ready() bool {
	p := b.r.Peek()
	if b.framing != Chunked || b.left > 0 {
		return len(p) > 0
	}
	if b.inside {
		p = p[min(2, len(p)):]
	}
	line := bytes.IndexByte(p, '\n')
	return line >= 0 && len(p) > line+1
}

// another tells that the chunk is read, and the next one's data can be without asking the connection.
func (b *Body) another() bool {
	if b.framing != Chunked || b.left > 0 || !b.inside || !b.Ready() {
		return false
	}
	return b.r.Peek()[2] != '0' // nor the last, behind which trailers may be missing
}

// Past tells that n bytes of a sized body were taken from the connection by other means than Read.
func (b *Body) Past(n int64) {
	if b.left -= n; b.left == 0 && b.framing == Sized {
		b.err = io.EOF
	}
}

// Read implements io.Reader. io.EOF is the true end, io.ErrUnexpectedEOF a peer that broke off, wire.ErrBody what
// must not be trusted; other errors are the connection's.
func (b *Body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := b.read(p)
	for err == nil && n < len(p) && b.another() { // thousands of small chunks are not as many reads
		var more int
		more, err = b.read(p[n:])
		n += more
	}
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		b.err = err
	}
	return n, err
}

func (b *Body) read(p []byte) (int, error) {
	if b.framing == ToTheEnd {
		return b.r.Read(p)
	}
	if b.framing == Chunked && b.left == 0 {
		if err := b.nextChunk(); err != nil {
			return 0, err
		}
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	switch {
	case n > 0 && b.left == 0 && b.framing == Sized:
		return n, io.EOF
	case n > 0:
		return n, nil
	}
	return 0, unexpected(err)
}

// nextChunk reads what is between two chunks' data. After the last chunk it reads the trailers, and returns io.EOF.
func (b *Body) nextChunk() error {
	if b.last {
		return b.readTrailer()
	}
	if b.inside {
		if line, err := b.r.line(2); err != nil || len(line) > 0 {
			return broken(err)
		}
		b.inside = false
	}
	limits := b.chunking()
	line, err := b.r.line(limits.Line)
	if err != nil {
		return broken(err)
	}
	n, rest := chunkSize(line)
	if b.extra += len(rest); n < 0 || b.extra > max(limits.Extensions, 0) || !validExtensions(rest) {
		return wire.ErrBody
	}
	b.left, b.inside = n, true
	if n > 0 {
		return nil
	}
	b.last, b.trailers = true, b.trailers[:0]
	return b.readTrailer()
}

// chunkSize is -1 when the line does not begin with a size.
func chunkSize(line []byte) (n int64, rest []byte) {
	i := 0
	for ; i < len(line) && classes[line[i]]&hexDigit != 0; i++ {
		if n > maxChunk>>4 {
			return -1, nil
		}
		n = n<<4 | int64(hexValue(line[i]))
	}
	if i == 0 {
		return -1, nil
	}
	return n, line[i:]
}

func hexValue(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

// validExtensions looks at what follows a chunk's size. Blanks without an extension are what smugglers send.
func validExtensions(rest []byte) bool {
	if len(rest) == 0 {
		return true
	}
	t := trim(rest)
	return len(t) > 1 && t[0] == ';' && len(t[1:]) > 0 && ValidValue(t) && rest[len(rest)-1] > ' '
}

func (b *Body) chunking() *Chunking {
	if b.limits == nil {
		return &defaults.Chunking
	}
	return b.limits
}

func (b *Body) readTrailer() error {
	most := b.chunking().Trailer
	for size, fields := 0, 0; ; fields++ {
		line, err := b.r.line(most)
		if err != nil {
			return broken(err)
		}
		if len(line) == 0 {
			return io.EOF
		}
		f, seen := splitField(line)
		if size += len(line); f.Name == nil || size > most || fields >= maxTrailers {
			return wire.ErrBody
		}
		if inTrailers(f.Name) && seen&under == 0 {
			b.kept = b.keepTrailer(b.kept, f)
		}
	}
}

func (b *Body) keepTrailer(kept []byte, f wire.Field) []byte {
	if kept == nil {
		kept = make([]byte, 0, b.chunking().Trailer) // never moves: fields point into it
	}
	at := len(kept)
	kept = append(append(kept, f.Name...), f.Value...)
	name := at + len(f.Name)
	b.trailers = append(b.trailers, wire.Field{Name: kept[at:name:name], Value: kept[name:len(kept):len(kept)]})
	return kept
}

// cutCR removes the CR from a line that was cut at LF. Without one, or with another, it is not a line.
func cutCR(line []byte) ([]byte, error) {
	n := len(line) - 1
	if n < 0 || line[n] != '\r' {
		return nil, wire.ErrBody
	}
	return line[:n], nil // another CR is no byte of a size, name or value
}

// broken is what is said of framing that cannot be followed.
func broken(err error) error {
	if err == nil || err == errLong {
		return wire.ErrBody
	}
	return err
}

func unexpected(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
