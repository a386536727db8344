// Package fastcgi is the web server's side of FastCGI 1.0: one request over one connection.
//
//	client                                   responder
//	BEGIN_REQUEST  PARAMS… PARAMS(empty)  ─►
//	STDIN…         STDIN(empty)           ─►
//	                                      ◄─ STDOUT… STDERR…  END_REQUEST
//
// Every record is an eight-byte header (version, type, id, content length, padding length, reserved) and its
// content (FastCGI Specification 1.0, section 3.3). STDOUT is a CGI response: headers, an empty line, the body.
package fastcgi

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
)

// Types of records, and what else the specification numbers (section 8).
const (
	beginRequest = 1
	endRequest   = 3
	params       = 4
	stdin        = 5
	stdout       = 6
	stderr       = 7

	version1  = 1
	responder = 1
	requestID = 1
	maxRecord = 65535
	headerLen = 8
)

// Request is what a responder gets.
type Request struct {
	Params map[string]string // CGI variables
	Body   io.Reader         // nil for none; CONTENT_LENGTH in Params must be its length
	Errors io.Writer         // takes what the responder writes to its standard error
}

// Response is what it answers. Close the body; the connection ends with it.
type Response struct {
	Status int
	Header http.Header
	Body   io.ReadCloser
}

// Do sends a request and returns when the response's headers are there. It takes over conn and closes it with the
// body, or at once after an error. Closing conn from elsewhere ends a wait.
func Do(conn net.Conn, r Request) (*Response, error) {
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_ = send(conn, r) // a responder may answer without reading everything; what it says is what counts
	}()
	s := &stream{conn: conn, in: bufio.NewReader(conn), errors: r.Errors, sent: sent}
	body := bufio.NewReader(s)
	header, status, err := readHeader(body)
	if err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("read the response: %w", err)
	}
	return &Response{status, header, struct {
		io.Reader
		io.Closer
	}{body, s}}, nil
}

func send(conn net.Conn, r Request) error {
	out := bufio.NewWriterSize(conn, 64<<10)
	write(out, beginRequest, []byte{0, responder, 0, 0, 0, 0, 0, 0}) // the connection is closed after the request
	pairs := encode(r.Params)
	for len(pairs) > 0 {
		n := min(len(pairs), maxRecord)
		write(out, params, pairs[:n])
		pairs = pairs[n:]
	}
	write(out, params, nil)
	if r.Body != nil {
		if err := copyBody(out, r.Body); err != nil {
			return err
		}
	}
	write(out, stdin, nil)
	return out.Flush()
}

func copyBody(out *bufio.Writer, body io.Reader) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := body.Read(buf)
		if n > 0 {
			write(out, stdin, buf[:n])
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
}

// write leaves errors to Flush.
func write(out *bufio.Writer, kind byte, content []byte) {
	header := [headerLen]byte{version1, kind, 0, requestID}
	binary.BigEndian.PutUint16(header[4:], uint16(len(content))) //nolint:gosec // callers keep to maxRecord
	_, _ = out.Write(header[:])
	_, _ = out.Write(content)
}

// encode writes names and values with their lengths before them (section 3.4).
func encode(values map[string]string) (pairs []byte) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value := values[name]
		pairs = appendLength(appendLength(pairs, len(name)), len(value))
		pairs = append(append(pairs, name...), value...)
	}
	return pairs
}

func appendLength(pairs []byte, n int) []byte {
	if n < 128 {
		return append(pairs, byte(n))
	}
	return binary.BigEndian.AppendUint32(pairs, uint32(n)|1<<31) //nolint:gosec // headers are at most some KiB
}

// stream reads the content of STDOUT records.
type stream struct {
	conn   net.Conn
	in     *bufio.Reader
	errors io.Writer
	left   int // of the record's content
	pad    int // behind it
	ended  bool
	sent   chan struct{}
}

func (s *stream) Read(p []byte) (int, error) {
	for s.left == 0 {
		if s.ended {
			return 0, io.EOF
		}
		if err := s.next(); err != nil {
			return 0, err
		}
	}
	n, err := s.in.Read(p[:min(len(p), s.left)])
	s.left -= n
	return n, unexpected(err)
}

// next goes to the next record that has something for the reader, or to the end.
func (s *stream) next() error {
	var header [headerLen]byte
	if _, err := s.in.Discard(s.pad); err != nil {
		return unexpected(err)
	}
	if _, err := io.ReadFull(s.in, header[:]); err != nil {
		return unexpected(err)
	}
	length := int(binary.BigEndian.Uint16(header[4:]))
	s.pad = int(header[6])
	switch {
	case header[0] != version1:
		return fmt.Errorf("version %d of FastCGI", header[0])
	case header[1] == stdout:
		s.left = length
		return nil
	case header[1] == stderr && s.errors != nil:
		_, err := io.CopyN(s.errors, s.in, int64(length))
		return unexpected(err)
	case header[1] == endRequest:
		s.ended = true
		return s.finish(length)
	}
	_, err := s.in.Discard(length)
	return unexpected(err)
}

// finish reads how the request ended (section 5.5): four bytes of status, and whether it was taken at all.
func (s *stream) finish(length int) error {
	content := make([]byte, length)
	if _, err := io.ReadFull(s.in, content); err != nil {
		return unexpected(err)
	}
	if length >= 5 && content[4] != 0 {
		return fmt.Errorf("the responder refuses the request (protocol status %d)", content[4])
	}
	return nil
}

// Close ends the connection and waits for the goroutine that writes to it.
func (s *stream) Close() error {
	err := s.conn.Close()
	<-s.sent
	return err
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readHeader reads the headers of a CGI response (RFC 3875, 6.2 and 6.3).
func readHeader(body *bufio.Reader) (http.Header, int, error) {
	fields, err := textproto.NewReader(body).ReadMIMEHeader()
	if err != nil {
		return nil, 0, err
	}
	header, status := http.Header(fields), http.StatusOK
	if header.Get("Location") != "" {
		status = http.StatusFound
	}
	if line := header.Get("Status"); line != "" {
		code, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if status, err = strconv.Atoi(code); err != nil || status < 200 || status > 999 {
			return nil, 0, fmt.Errorf("status %.20q", line)
		}
		header.Del("Status")
	}
	return header, status, nil
}
