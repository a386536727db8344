package wire

import "errors"

// ErrBody is a request body whose framing is broken.
var ErrBody = errors.New("broken request body")
