package router

import (
	"strconv"

	"paas/router/edge"
)

// viaName is what we are called where a request says by which way it came. It tells no host's name.
const viaName = " paas\r\n"

// appendVia says that the request came through here, and in which protocol: a gateway must say it to instances and
// need not to clients (RFC 9110, section 7.6.3). What earlier proxies have said stands before it.
func (f *flight) appendVia(out []byte) []byte {
	return append(append(append(out, "Via: "...), versionName(f.req.Version)...), viaName...)
}

// hops is how many servers more may pass the request on; there is no such limit but for OPTIONS and TRACE (RFC 9110,
// section 7.6.2), and none that is not a number.
func (f *flight) hops() (n uint64, limited bool) {
	switch string(f.req.Method) {
	case "OPTIONS", "TRACE":
	default:
		return 0, false
	}
	n, err := strconv.ParseUint(string(valueOf(f.req.Fields, "max-forwards")), 10, 32)
	return n, err == nil
}

// lastHop is the answer to a request that may go no further. A TRACE would show what proxies have added to it, and
// gets no other answer than that it is not served.
func (f *flight) lastHop() *edge.Answer {
	n, limited := f.hops()
	switch {
	case !limited || n > 0:
		return nil
	case string(f.req.Method) == "TRACE":
		return &edge.Answer{Status: 501}
	}
	return &edge.Answer{Status: 200, Fields: []field{{
		Name: []byte("Allow"), Value: []byte("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
	}}}
}

// nextValue is a field's value for who is next, who may pass the request on once less.
func (f *flight) nextValue(in *field) []byte {
	if !nameIs(in.Name, "max-forwards") {
		return in.Value
	}
	if n, limited := f.hops(); limited && n > 0 {
		return strconv.AppendUint(nil, n-1, 10)
	}
	return in.Value
}
