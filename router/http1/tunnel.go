package http1

import (
	"io"
	"net"

	"paas/router/wire"
)

// Tunnel implements wire.Exchange: it answers 101 and hands the connection over. The stream has WriteTo, which
// holds no buffer while nothing comes.
func (x *exchange) Tunnel(fields []wire.Field) (wire.Stream, error) {
	if x.req.Protocol == nil {
		return nil, errNoTunnel
	}
	if !x.begin() {
		return nil, errBegun
	}
	x.take()
	x.out = appendStatus(x.out, 101)
	for _, f := range fields {
		x.out = AppendField(x.out, f)
	}
	x.out = append(append(x.out, "Connection: Upgrade\r\nUpgrade: "...), x.req.Protocol...)
	x.out = append(x.out, "\r\n\r\n"...)
	if err := x.flush(); err != nil {
		return nil, err
	}
	x.c.reader.detach()
	x.ended, x.tunnelled, x.c.taken = true, true, true
	return &stream{c: x.c}, nil
}

// stream is a connection after 101.
type stream struct{ c *conn }

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) { return s.c.reader.Read(p) }

// WriteTo implements io.WriterTo.
func (s *stream) WriteTo(w io.Writer) (int64, error) { return s.c.reader.WriteTo(w) }

// Write implements io.Writer.
func (s *stream) Write(p []byte) (int, error) {
	if err := s.c.write(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// CloseWrite implements wire.Stream.
func (s *stream) CloseWrite() error {
	if half, ok := s.c.net.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close implements io.Closer.
func (s *stream) Close() error {
	s.c.done()
	return nil
}

// TCP is the connection below, or nil with TLS.
func (s *stream) TCP() *net.TCPConn { return s.c.tcp }
