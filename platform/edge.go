package platform

import (
	"net/netip"
	"time"
)

// Edge is what holds for the requests of one app on their way to an instance, and for the answers on their
// way back. Its zero value lets everything pass.
type Edge struct {
	Allow       []netip.Prefix // only these clients; empty: all
	Deny        []netip.Prefix // none of these
	Rate        Allowance      // of each client; zero: as much as it likes
	Redirects   []Redirection
	Maintenance bool       // every request is answered with 503 and a page
	Users       []Password // who may ask (RFC 7617); empty: everybody
	Paths       []PathRule
	Canary      CanaryShare
	Mirror      Mirror
	Compress    Compression
	Pages       map[string][]byte // HTML for answers of the router itself, by "502", "503", … or MaintenancePage
}

// Compression is whether answers are compressed on their way.
type Compression string

// What can be chosen. The zero value is no compression.
const (
	CompressAny  Compression = "on" // zstd or gzip, whichever the client likes better
	CompressGzip Compression = "gzip"
	CompressZstd Compression = "zstd"
)

// Allowance is a rate with a reserve: Burst requests at once, then one each Every. Zero is no limit.
type Allowance struct {
	Every time.Duration
	Burst int
}

// Redirection answers requests with another address.
type Redirection struct {
	Host string // of the request; "" for every host of the app
	// Path is compared byte for byte; with Rest it is a prefix that ends in "/", and what follows it is
	// appended to To's path. "" is any path, which is kept as a whole.
	Path string
	Rest bool
	To   Location
	Code int // 301, 302, 303, 307 or 308
}

// Location is where a Redirection leads. What is empty stays as it is in the request.
type Location struct {
	Scheme string // "http", "https"
	Host   string // with a port, maybe
	Path   string // with a query, maybe; without one the request's is kept
}

// Password is one who may ask.
type Password struct {
	Name string
	Hash string // bcrypt, in the form of crypt(5)
}

// PathRule leads the requests below a path to another app, or to another process type of the same one.
type PathRule struct {
	Prefix  string // "/api": it holds for "/api" and "/api/…"; the longest one wins
	App     AppName
	Process ProcessType // of this app, if App is empty
	Strip   bool        // the other one does not see the prefix
}

// CanaryShare is the part of the clients that a second release gets.
type CanaryShare struct {
	Release int     // 0: there is none
	Percent float64 // of clients, 0 to 100
}

// Mirror sends copies of requests to another app, whose answers nobody sees.
type Mirror struct {
	App     AppName // "": nowhere
	Percent float64 // of requests
}

// MaintenancePage is the page of an app in maintenance.
const MaintenancePage = "maintenance"

// Intake is what holds for clients before it is known which app they ask for. Zero fields mean the defaults.
type Intake struct {
	TrustedProxies []netip.Prefix // whose X-Forwarded-* and Forwarded are believed
	HeaderTimeout  time.Duration  // to send a request's head
	KeepAlive      time.Duration  // between two requests of a connection
	MaxHead        int            // bytes of a request's head
	MaxFields      int            // of a request's head
	MaxTarget      int            // bytes of path and query
	MinRate        int            // bytes a second that a client must send of a body, or take of an answer, on average; -1: any
	MaxStreams     int            // requests at once on one HTTP/2 or HTTP/3 connection
	Handshakes     int            // HTTP/3 connections a second that may begin before their clients have shown their address; -1: none
	MaxNoise       int            // frames of an HTTP/2 connection that make work and want no answer, at once; 100 come back in a second
	Stall          time.Duration  // in which a client over HTTP/2 or HTTP/3 moves 4 KiB of a body that is waited for
	MaxUnread      int            // bytes of a body that no app has read, which are read to keep an HTTP/1 connection; -1: none
	Linger         time.Duration  // that a client over HTTP/1 is listened to which still sends a body whose request was answered; negative: not at all
	MaxLinger      int            // bytes of it that are dropped so
	MaxContinued   int            // frames of one head over HTTP/2
	StreamWindow   int            // bytes of a body over HTTP/2 that may wait unread, when others were read fast
	Window         int            // and of all bodies of a connection
	QUICWindow     int            // bytes of a body over HTTP/3 that may, each of MaxStreams at once
	MaxChunkLine   int            // bytes of the line before a chunk of a body
	MaxExtensions  int            // bytes of all chunk extensions of a body; -1: none
	MaxTrailer     int            // bytes of the fields behind a body over HTTP/1
	MaxAnswerHead  int            // bytes of the head of an instance's answer
	MaxConnections int            // of one client's address or /64 network, but for loopback; -1: any number
}

// The defaults of Intake; docs/router.md has the reasons.
const (
	defaultHeaderTimeout = 10 * time.Second
	defaultKeepAlive     = 120 * time.Second
	defaultMaxHead       = 32 << 10
	defaultMaxFields     = 100
	defaultMaxTarget     = 16 << 10
	defaultMinRate       = 1000
	defaultMaxStreams    = 100
	defaultConnections   = 1024
	defaultHandshakes    = 100
	defaultNoise         = 1000
	defaultStall         = time.Minute
	defaultUnread        = 256 << 10
	defaultLinger        = 30 * time.Second
	defaultMaxLinger     = 1 << 30
	defaultContinued     = 32
	defaultStreamWindow  = 1 << 20
	defaultWindow        = 4 << 20
	defaultQUICWindow    = 256 << 10
	defaultChunkLine     = 256
	defaultExtensions    = 16 << 10
	defaultTrailer       = 8 << 10
	defaultAnswerHead    = 256 << 10
)

// Defaults fills what is zero.
func (i Intake) Defaults() Intake {
	fill := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	if i.HeaderTimeout == 0 {
		i.HeaderTimeout = defaultHeaderTimeout
	}
	if i.KeepAlive == 0 {
		i.KeepAlive = defaultKeepAlive
	}
	fill(&i.MaxHead, defaultMaxHead)
	fill(&i.MaxFields, defaultMaxFields)
	fill(&i.MaxTarget, defaultMaxTarget)
	fill(&i.MinRate, defaultMinRate)
	fill(&i.MaxStreams, defaultMaxStreams)
	fill(&i.MaxConnections, defaultConnections)
	fill(&i.Handshakes, defaultHandshakes)
	fill(&i.MaxNoise, defaultNoise)
	fill(&i.MaxUnread, defaultUnread)
	fill(&i.MaxLinger, defaultMaxLinger)
	fill(&i.MaxContinued, defaultContinued)
	fill(&i.StreamWindow, defaultStreamWindow)
	fill(&i.Window, defaultWindow)
	fill(&i.QUICWindow, defaultQUICWindow)
	fill(&i.MaxChunkLine, defaultChunkLine)
	fill(&i.MaxExtensions, defaultExtensions)
	fill(&i.MaxTrailer, defaultTrailer)
	fill(&i.MaxAnswerHead, defaultAnswerHead)
	if i.Stall == 0 {
		i.Stall = defaultStall
	}
	if i.Linger == 0 {
		i.Linger = defaultLinger
	}
	return i
}
