package wire

// Lively is an Exchange whose client can show that it is there beside what it sends.
type Lively interface {
	// Signs counts how often it did (PING of HTTP/2). Anybody may call it.
	Signs() uint32
}
