// Package conformance has cases of HTTP/1 as a reverse proxy must understand it (RFC 9110, 9112), and runs them
// against a front end: what a client sends, what may reach the origin, and what the client gets. Every front end
// that is a server here passes the same cases.
//
//	case ─► front end ─► origin (says what the case has it say, and keeps what it got)
//	   ◄────────┘
package conformance

import "slices"

// Case is one connection of a client.
type Case struct {
	Name string
	Send string // by the client; at each Pause it waits a little
	Head bool   // the request is HEAD: its answer has no body

	// Answer is what the origin says, byte for byte; empty for 200 and "ok". The origin closes the connection after
	// it when it does not say where it ends, or when Close is set.
	Answer string
	Close  bool

	// Want are the statuses that the client gets, as in "103 200"; "|" separates alternatives. "-" is a connection
	// that ends without an answer.
	Want string
	// Seen are the request lines at the origin, one a line, in order. Empty for none: then the connection to the
	// client must end as well. Otherwise it must still be in step, unless Ends says that it ends.
	Seen string
	Ends bool

	Has     []string // lines of the first request at the origin
	Lacks   []string // names of fields, or whole lines, that it must not have
	Body    string   // of the first request
	Gets    []string // lines of the client's last answer
	Misses  []string // names of fields that it must not have
	Content string   // its body; empty for what the origin said, or what the front end says itself
	Broken  bool     // the answer's body must visibly break off
	// Partial lets the origin see the beginning of a request that turned out to be broken, but not its end.
	Partial bool
	// Waits lets the front end wait for more of the request instead of ending the connection.
	Waits bool
	// MayEnd lets the connection end without need, and the answer that refuses a request break off with it.
	MayEnd bool
	// Routed needs a front end that is a router: it says who asked, and what it was asked.
	Routed bool
}

// Pause is where a client waits for a moment.
const Pause = "\x00pause\x00"

// Cases are all of them.
func Cases() []Case {
	return slices.Concat(lines(), targets(), hosts(), fields(), lengths(), codings(), chunks(), connections(),
		forwarding(), answers(), bodies())
}

// Origin's usual answer, and the beginning of most requests.
const (
	usual = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	get   = "GET / HTTP/1.1\r\nHost: a.test\r\n"
	post  = "POST / HTTP/1.1\r\nHost: a.test\r\n"
	got   = "GET / HTTP/1.1"
	put   = "POST / HTTP/1.1"
)

// refused is a request that no origin may see.
func refused(name, want, send string) Case { return Case{Name: name, Send: send, Want: want} }

// passed is one that its origin gets under its own name.
func passed(name, send, seen string) Case {
	return Case{Name: name, Send: send, Want: "200", Seen: seen}
}
