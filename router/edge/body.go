package edge

import (
	"errors"
	"io"
)

// ErrTooLarge is a request body that is larger than the app takes.
var ErrTooLarge = errors.New("the request's body is too large")

// LimitBody is r that fails with ErrTooLarge once more than n bytes come; 0 is any number.
func LimitBody(r io.Reader, n int64) io.Reader {
	if n <= 0 {
		return r
	}
	return &limited{r, n}
}

type limited struct {
	r    io.Reader
	left int64
}

// Read implements io.Reader.
func (l *limited) Read(p []byte) (int, error) {
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	if int64(n) > l.left {
		return int(l.left), ErrTooLarge
	}
	l.left -= int64(n)
	return n, err
}
