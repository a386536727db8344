package platform

import (
	"net/netip"
	"time"
)

// Route is where requests for an app go, and how.
type Route struct {
	App     AppName
	Hosts   []string // lower case, without port; "*.example.com" stands for every name below example.com
	Stopped bool     // the app was stopped by its owner
	// Asleep says that no instance answers now: a request asks for the app to be woken, once for each sleep, and
	// waits for the next Swap. Backends, if any, are frozen ones. The router closes its idle connections to them:
	// an app whose time for those ran out while it stood still closes them the moment it wakes, under the request.
	Asleep   bool
	Backends []Backend
	Ports    []PortRoute // mapped ports of the host
	Traffic  Traffic
	Edge     Edge  // what is done with requests before they reach an instance
	HTTPS    HTTPS // how plain requests are met, and what browsers are told
}

// Backend is an instance that answers HTTP/1.1 on Addr.
type Backend struct {
	ID   InstanceID
	Name string // its place in the formation: "web.1"
	Addr netip.AddrPort
	Pool Pool // which requests it gets: those that Edge leads there
}

// Pool names some of an app's instances: those of a release and process type that requests are led to.
type Pool string

// Two pools are not named like a process type: the one that requests usually go to, and the second release.
const (
	MainPool   Pool = ""
	CanaryPool Pool = "+canary"
)

// Traffic is how an app's requests are handled. Zero fields mean the router's defaults, which are named there.
type Traffic struct {
	Balance     Balance
	Concurrency int            // requests in flight on one instance; 0: no bound
	Queue       int            // requests that wait when all instances are at that bound; 0: 100, negative: none
	WakeQueue   int            // requests that wait for the sleeping app; 0: the default; negative: none
	QueueWait   time.Duration  // how long they do
	SlowStart   time.Duration  // in which a new instance beside old ones gets to its share; negative: at once
	FirstByte   time.Duration  // from the request's end to the answer's first byte
	Idle        time.Duration  // of an answer or a WebSocket on which nothing moves
	HeadWait    time.Duration  // for the head of a request, once the app is known; 0: what holds for all clients
	KeepAlive   time.Duration  // between two requests of a connection, the same way
	MaxBody     int64          // bytes of a request's body; 0: no bound
	H2C         bool           // instances are spoken to in HTTP/2 without TLS; gRPC always is
	Access      AccessFormat   // of the access log
	Trusted     []netip.Prefix // proxies in front that may say who asks, beside those of the whole platform
}

// Balance is how a request's instance is chosen.
type Balance string

// The ways to choose.
const (
	LeastOutstanding Balance = ""            // the one with the fewest requests in flight
	RoundRobin       Balance = "round-robin" // in turn
	Sticky           Balance = "sticky"      // the one that a signed cookie names, else the least busy one
)

// AccessFormat is the form of an app's access log.
type AccessFormat string

// The forms.
const (
	AccessHeroku AccessFormat = ""     // Heroku's router line: key=value
	AccessJSON   AccessFormat = "json" // an object a line
	AccessOff    AccessFormat = "off"
)

// AccessLine is one line of an app's access log.
type AccessLine struct {
	At   time.Time
	Text []byte // without its newline
}
