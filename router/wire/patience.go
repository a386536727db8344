package wire

import "time"

// Patience is how long a client's connection is waited for where an app has own limits. Zero fields are the
// listener's. It is shared: whoever has one does not change it.
type Patience struct {
	Head time.Duration // from a head's first byte to its last; on a new connection from its first moment on
	Idle time.Duration // between two requests
}

// Patient is an Exchange on a connection that carries one request after the other.
type Patient interface {
	// SetPatience says what holds for the client's next request on the connection; nil is what the listener has. It
	// is called before the exchange ends.
	SetPatience(*Patience)
}
