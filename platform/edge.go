package platform

import (
	"net/netip"
	"time"
)

// Edge is what holds for the requests of one app on their way to an instance, and for the answers on their
// way back. Its zero value lets everything pass.
type Edge struct {
	Traffic

	Allow       []netip.Prefix // only these clients; empty: all
	Deny        []netip.Prefix // none of these
	Rate        Allowance      // of each client; zero: as much as it likes
	Redirects   []Redirect
	Maintenance bool       // every request is answered with 503 and a page
	Users       []Password // who may ask (RFC 7617); empty: everybody
	Paths       []PathRule
	Canary      CanaryShare
	Mirror      Mirror
	Compress    Compression
	Pages       map[string][]byte // HTML for answers of the router itself, by "502", "503", … or MaintenancePage
}

// Traffic is how an app's requests reach its instances. Zero fields mean the defaults.
type Traffic struct {
	Balance     Balance
	Upstream    Upstream
	Concurrency int           // requests that one instance gets at once; 0: no limit
	Queue       int           // requests that wait for an instance below that limit, or for a wake
	QueueWait   time.Duration // how long each of them waits at most
	Drain       time.Duration // what is in flight on a replaced instance may take this long
	SlowStart   time.Duration // a new instance gets its full share after so long; 0: at once

	MaxBody        int64         // bytes of a request's body; 0: no limit
	BodyTimeout    time.Duration // between two parts of a request's body
	ConnectTimeout time.Duration // to connect to an instance
	ReadTimeout    time.Duration // until the head of its answer
	IdleTimeout    time.Duration // between two parts of an answer or of a tunnel, in either direction; 0: for ever

	Log LogFormat
}

// The defaults of Traffic; docs/router.md has the reasons.
const (
	defaultQueue          = 100
	defaultQueueWait      = 30 * time.Second
	defaultDrain          = 30 * time.Second
	defaultBodyTimeout    = 60 * time.Second
	defaultConnectTimeout = 5 * time.Second
	defaultReadTimeout    = 60 * time.Second
)

// Defaults fills what is zero.
func (t Traffic) Defaults() Traffic {
	fill := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	if t.Balance == "" {
		t.Balance = LeastRequests
	}
	if t.Upstream == "" {
		t.Upstream = UpstreamHTTP1
	}
	if t.Log == "" {
		t.Log = LogHeroku
	}
	if t.Queue == 0 {
		t.Queue = defaultQueue
	}
	fill(&t.QueueWait, defaultQueueWait)
	fill(&t.Drain, defaultDrain)
	fill(&t.BodyTimeout, defaultBodyTimeout)
	fill(&t.ConnectTimeout, defaultConnectTimeout)
	fill(&t.ReadTimeout, defaultReadTimeout)
	return t
}

// Balance is how the instance for a request is chosen.
type Balance string

// The ways to balance.
const (
	LeastRequests Balance = "least"       // the one with the fewest in flight
	RoundRobin    Balance = "round-robin" // each in turn
	Sticky        Balance = "sticky"      // the one that this client had, by a cookie
)

// Upstream is what an app's instances speak.
type Upstream string

// The protocols of instances.
const (
	UpstreamHTTP1 Upstream = "http1"
	UpstreamH2C   Upstream = "h2c" // HTTP/2 without TLS and without upgrade, as gRPC servers do
)

// LogFormat is how an app's requests are logged.
type LogFormat string

// The formats.
const (
	LogHeroku LogFormat = "heroku" // key=value, as Heroku's router
	LogJSON   LogFormat = "json"
	LogOff    LogFormat = "off"
)

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

// Redirect answers requests with another address.
type Redirect struct {
	Host string // of the request; "" for every host of the app
	// Path is compared byte for byte; with Rest it is a prefix that ends in "/", and what follows it is
	// appended to To's path. "" is any path, which is kept as a whole.
	Path string
	Rest bool
	To   Location
	Code int // 301, 302, 303, 307 or 308
}

// Location is where a Redirect leads. What is empty stays as it is in the request.
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

// Pool names some of an app's instances: those of a release and process type that requests are led to.
type Pool string

// Two pools are not named like a process type: the one that requests usually go to, and the second release.
const (
	MainPool   Pool = ""
	CanaryPool Pool = "+canary"
)

// Intake is what holds for clients before it is known which app they ask for. Zero fields mean the defaults.
type Intake struct {
	TrustedProxies []netip.Prefix // whose X-Forwarded-* and Forwarded are believed
	HeaderTimeout  time.Duration  // to send a request's head
	KeepAlive      time.Duration  // between two requests of a connection
	MaxHead        int            // bytes of a request's head
	MaxFields      int            // of a request's head
	MaxTarget      int            // bytes of path and query
	MinRate        int            // bytes a second that a client must send of a body, or take of an answer; -1: any
	MaxStreams     int            // requests at once on one HTTP/2 or HTTP/3 connection
	MaxConnections int            // of one client address; 0: any number
}

// The defaults of Intake; docs/router.md has the reasons.
const (
	defaultHeaderTimeout = 10 * time.Second
	defaultKeepAlive     = 120 * time.Second
	defaultMaxHead       = 32 << 10
	defaultMaxFields     = 100
	defaultMaxTarget     = 16 << 10
	defaultMinRate       = 1 << 10
	defaultMaxStreams    = 100
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
	return i
}
