// Package http1 is the server side of HTTP/1.0 and 1.1 (RFC 9110, 9112): it reads requests from connections,
// fills in wire.Exchange, and writes the answers. Its parsers of answers and bodies also serve the router's
// connections to instances.
//
//	accept ─► conn: wait (no buffer) ─► head ─► exchange ─► handler ─► wait …
//	              Reader, Body: bytes in        │ out: head and first bytes leave together
//	              sweep: deadlines, looked at   └ Tunnel: the connection leaves the loop
//	              once a second
//
// Of what has two readings there is none: a request that another server could understand in another way is refused,
// and its connection closed.
package http1
