package http1

import (
	"cmp"
	"time"
)

// Limits are what a client may do. Zero values mean the defaults; what is negative is not limited, but
// for Linger, where it is not done.
type Limits struct {
	Head      int           // bytes of a request's head; 32 KiB
	Target    int           // bytes of its target; 16 KiB
	Fields    int           // 100
	Header    time.Duration // to send a head, from the connection's or the head's first byte on, and for a TLS handshake; 10 s
	Idle      time.Duration // between two requests; 120 s
	Rate      int64         // bytes a second that a body must move, either way, on the average of Window; 1 KB
	Window    time.Duration // 30 s
	PerClient int           // connections from one IPv4 address or IPv6 /64 network, but for loopback; 1024
	Unread    int64         // bytes of a body that are read for a handler which did not, to keep the connection; 256 KiB
	Linger    time.Duration // that a connection is read and dropped whose client was answered before it had sent all; 30 s
	Dropped   int64         // bytes that are read so; 1 GiB
	Chunking  Chunking
}

// Chunking is limits of what frames a chunked body (RFC 9112 section 7.1). All senders in use stay far below the
// defaults. Zero values mean them; what is negative is not allowed at all.
type Chunking struct {
	Line       int // bytes: the size of a chunk, and extensions, which nobody uses; 256
	Extensions int // bytes of a body's extensions, all together; 16 KiB
	Trailer    int // bytes of the fields behind it; 8 KiB
}

func (c Chunking) filled() Chunking {
	d := &defaults.Chunking
	return Chunking{Line: cmp.Or(c.Line, d.Line), Extensions: cmp.Or(c.Extensions, d.Extensions), Trailer: cmp.Or(c.Trailer, d.Trailer)}
}

// The defaults are far above what browsers and API clients do, and far below what hurts.
var defaults = Limits{
	Head: 32 << 10, Target: 16 << 10, Fields: 100, Header: 10 * time.Second, Idle: 120 * time.Second, Rate: 1000,
	Window: 30 * time.Second, PerClient: 1024, Unread: 256 << 10, Linger: 30 * time.Second, Dropped: 1 << 30,
	Chunking: Chunking{Line: 256, Extensions: 16 << 10, Trailer: 8 << 10},
}

const (
	noLimit    = 1 << 62
	headCeil   = 1 << 20 // bytes: an unlimited head would be memory for the asking
	fieldsCeil = 10000
)

// filled has a number for each.
func (l Limits) filled() Limits {
	d := &defaults
	l.Head = min(limit(l.Head, d.Head), headCeil)
	l.Target = min(limit(l.Target, d.Target), l.Head)
	l.Fields = min(limit(l.Fields, d.Fields), fieldsCeil)
	l.Header, l.Idle, l.Window = limit(l.Header, d.Header), limit(l.Idle, d.Idle), limit(l.Window, d.Window)
	l.Rate, l.Unread = limit(l.Rate, d.Rate), limit(l.Unread, d.Unread)
	l.Linger, l.Dropped = cmp.Or(l.Linger, d.Linger), limit(l.Dropped, d.Dropped)
	l.Chunking = l.Chunking.filled()
	l.PerClient = limit(l.PerClient, d.PerClient)
	return l
}

func limit[T int | int64 | time.Duration](n, otherwise T) T {
	switch {
	case n == 0:
		return otherwise
	case n < 0:
		return noLimit
	}
	return n
}
