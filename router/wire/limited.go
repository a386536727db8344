package wire

import (
	"errors"
	"time"
)

// ErrTooLarge is a request body that is longer than what its handler takes.
var ErrTooLarge = errors.New("request body too large")

// Limited is an Exchange whose handler may set other limits than the listener's. Zero leaves a limit as it is. They
// hold for this exchange, and are set before what they limit begins.
type Limited interface {
	// SetMaxBody limits the body, in bytes. Read returns ErrTooLarge beyond it; of a body whose length is known
	// that is the first Read.
	SetMaxBody(n int64)
	// SetReadTimeout limits how long Read waits for a byte of the body.
	SetReadTimeout(time.Duration)
	// SetWriteTimeout limits how long the client may take nothing of the answer.
	SetWriteTimeout(time.Duration)
}
