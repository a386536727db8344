package http1

// refusal is why a request is not served. The connection is closed after each: where its next request begins is
// not known, or not to be trusted.
type refusal uint8

const (
	badLine refusal = 1 + iota
	badTarget
	badField
	badHost
	badLength
	badCoding
	twoFramings
	unknownCoding
	longTarget
	longHead
	noTunnel
	badExpect
	badVersion
	tooSlow
	failed
)

var refusals = [...]struct {
	status int
	reason string
}{
	badLine:       {400, "The request line is malformed."},
	badTarget:     {400, "The request target is malformed."},
	badField:      {400, "A header field is malformed."},
	badHost:       {400, "The Host header is missing, malformed, or another than the target's."},
	badLength:     {400, "Content-Length is malformed or there more than once."},
	badCoding:     {400, "Transfer-Encoding is malformed."},
	twoFramings:   {400, "Content-Length and Transfer-Encoding exclude each other."},
	unknownCoding: {501, "The only transfer coding here is chunked."},
	longTarget:    {414, "The request target is too long."},
	longHead:      {431, "The request header is too large."},
	noTunnel:      {405, "CONNECT is not served here."},
	badExpect:     {417, "The only expectation met here is 100-continue."},
	badVersion:    {505, "The versions of HTTP spoken here are 1.0 and 1.1."},
	tooSlow:       {408, "The request header took too long."},
	failed:        {500, "The request was not answered."},
}

// Error implements error.
func (r refusal) Error() string { return refusals[r].reason }

func (r refusal) status() int { return refusals[r].status }
