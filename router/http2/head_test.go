package http2

import (
	"fmt"
	"strings"
	"testing"

	x2 "golang.org/x/net/http2"

	"paas/router/wire"
)

// TestMalformed sends heads that must not reach a handler. Each is refused alone: the connection goes on.
func TestMalformed(t *testing.T) {
	get := func(more ...string) []string { return usual("GET", more...) }
	for name, fields := range map[string][]string{
		"no method":                   {":scheme: http", ":authority: hello.test", ":path: /"},
		"no scheme":                   {":method: GET", ":authority: hello.test", ":path: /"},
		"no path":                     {":method: GET", ":scheme: http", ":authority: hello.test"},
		"no authority":                {":method: GET", ":scheme: http", ":path: /"},
		"empty path":                  {":method: GET", ":scheme: http", ":authority: hello.test", ":path: "},
		"empty authority":             {":method: GET", ":scheme: http", ":authority: ", ":path: /"},
		"empty method":                {":method: ", ":scheme: http", ":authority: hello.test", ":path: /"},
		"two methods":                 usual("GET", ":method: GET"),
		"two paths":                   usual("GET", ":path: /b"),
		"pseudo after regular":        {":method: GET", ":scheme: http", ":path: /", "a: b", ":authority: hello.test"},
		"unknown pseudo":              usual("GET", ":what: x"),
		"pseudo of answers":           usual("GET", ":status: 200"),
		"method with a blank":         usual("GET /x HTTP/1.1"),
		"method with a line":          usual("GET\r\nX: y"),
		"path with a line":            {":method: GET", ":scheme: http", ":authority: hello.test", ":path: / HTTP/1.1\r\nX: y\r\n"},
		"path with a blank":           {":method: GET", ":scheme: http", ":authority: hello.test", ":path: /a b"},
		"path with a NUL":             {":method: GET", ":scheme: http", ":authority: hello.test", ":path: /a\x00b"},
		"path with a fragment":        {":method: GET", ":scheme: http", ":authority: hello.test", ":path: /a#b"},
		"path that is no UTF-8":       {":method: GET", ":scheme: http", ":authority: hello.test", ":path: /\xff\xfe"},
		"absolute path":               {":method: GET", ":scheme: http", ":authority: hello.test", ":path: http://evil.test/"},
		"path without a slash":        {":method: GET", ":scheme: http", ":authority: hello.test", ":path: x"},
		"asterisk with GET":           {":method: GET", ":scheme: http", ":authority: hello.test", ":path: *"},
		"scheme":                      {":method: GET", ":scheme: http\r\nX: y", ":authority: hello.test", ":path: /"},
		"authority with a user":       {":method: GET", ":scheme: http", ":authority: hello.test@evil.test", ":path: /"},
		"authority with a path":       {":method: GET", ":scheme: http", ":authority: hello.test/x", ":path: /"},
		"authority with a blank":      {":method: GET", ":scheme: http", ":authority: hello.test x", ":path: /"},
		"authority with a line":       {":method: GET", ":scheme: http", ":authority: hello.test\r\nX: y", ":path: /"},
		"authority with a bad port":   {":method: GET", ":scheme: http", ":authority: hello.test:8o", ":path: /"},
		"authority with two ports":    {":method: GET", ":scheme: http", ":authority: hello.test:80:90", ":path: /"},
		"authority open bracket":      {":method: GET", ":scheme: http", ":authority: [::1", ":path: /"},
		"authority without a host":    {":method: GET", ":scheme: http", ":authority: :80", ":path: /"},
		"another host":                get("host: evil.test"),
		"two hosts":                   get("host: hello.test", "host: hello.test"),
		"empty host":                  get("host: "),
		"capitals":                    get("X-Header: y"),
		"name with a blank":           get("x y: z"),
		"name with a line":            get("x\r\ny: z"),
		"name with a NUL":             get("x\x00: z"),
		"name beyond ASCII":           get("ä: z"),
		"value with CR LF":            get("x: y\r\nTransfer-Encoding: chunked"),
		"value with LF":               get("x: y\nz: a"),
		"value with CR":               get("x: y\rz"),
		"value with NUL":              get("x: y\x00z"),
		"value with a control":        get("x: y\x01z"),
		"value with a blank in front": get("x:  y"),
		"value with a blank behind":   get("x: y "),
		"value with a tab behind":     get("x: y\t"),
		"connection":                  get("connection: keep-alive"),
		"keep-alive":                  get("keep-alive: 5"),
		"proxy-connection":            get("proxy-connection: close"),
		"upgrade":                     get("upgrade: websocket"),
		"transfer-encoding":           get("transfer-encoding: chunked"),
		"te":                          get("te: trailers, deflate"),
		"content-length twice":        usual("POST", "content-length: 0", "content-length: 0"),
		"content-length list":         usual("POST", "content-length: 0, 0"),
		"content-length with a sign":  usual("POST", "content-length: +0"),
		"content-length in hex":       usual("POST", "content-length: 0x0"),
		"content-length empty":        usual("POST", "content-length: "),
		"content-length too long":     usual("POST", "content-length: 99999999999999999999"),
		"content-length and no body":  usual("POST", "content-length: 1"),
		"CONNECT with a path":         usual("CONNECT"),
		"CONNECT to nothing":          {":method: CONNECT"},
		"protocol without CONNECT":    usual("GET", ":protocol: websocket"),
	} {
		t.Run(name, func(t *testing.T) {
			p := dial(t, listen(t, &Server{Handler: never{t}}, false))
			p.send(1, true, fields...)
			p.reset(1, x2.ErrCodeProtocol)
			p.ok(p.f.WritePing(false, [8]byte{1}))
			p.until(func(f x2.Frame) bool { _, ok := f.(*x2.PingFrame); return ok })
		})
	}
}

// never wants no request.
type never struct{ t testing.TB }

func (n never) Serve(x wire.Exchange) { n.t.Errorf("a handler got %s", describe(x.Request())) }

func describe(r *wire.Request) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s host %s length %d protocol %q continue %v trailers %v", r.Method, r.Target, r.Authority, r.Length, r.Protocol,
		r.Continue, r.Trailers)
	for _, f := range r.Fields {
		fmt.Fprintf(&b, " | %s: %s", f.Name, f.Value)
	}
	return b.String()
}

// seen answers with what it saw of the head.
type seen struct{}

func (seen) Serve(x wire.Exchange) {
	text := []byte(describe(x.Request()))
	_ = x.Head(200, []wire.Field{{Name: []byte("seen"), Value: text}}, 0)
	_ = x.End(nil)
}

// TestRequest sends heads that are right, and looks at what the handler is given.
func TestRequest(t *testing.T) {
	p := dial(t, listen(t, &Server{Handler: seen{}}, false))
	for i, c := range []struct {
		fields []string
		end    bool
		want   string
	}{
		{usual("GET"), true, `GET / host hello.test length 0 protocol "" continue false trailers false`},
		{usual("GET", "b: 1", "a: 2", "b: 3"), true, `GET / host hello.test length 0 protocol "" continue false trailers false | b: 1 | a: 2 | b: 3`},
		{usual("POST"), false, `POST / host hello.test length -1 protocol "" continue false trailers false`},
		{usual("POST", "content-length: 7"), false, `POST / host hello.test length 7 protocol "" continue false trailers false`},
		{usual("POST", "content-length: 0"), true, `POST / host hello.test length 0 protocol "" continue false trailers false`},
		{usual("GET", "te: trailers"), true, `GET / host hello.test length 0 protocol "" continue false trailers true`},
		{usual("POST", "expect: 100-continue"), false, `POST / host hello.test length -1 protocol "" continue true trailers false`},
		{usual("POST", "expect: 100-continue"), true, `POST / host hello.test length 0 protocol "" continue false trailers false`},
		{usual("GET", "cookie: a=1", "x: y", "cookie: b=2", "cookie: c=3"), true, `GET / host hello.test length 0 protocol "" continue false trailers false | cookie: a=1; b=2; c=3 | x: y`},
		{usual("GET", "host: HELLO.test"), true, `GET / host hello.test length 0 protocol "" continue false trailers false`},
		{[]string{":method: GET", ":scheme: https", ":path: /a?b=%zz;c", "host: [::1]:8080"}, true, `GET /a?b=%zz;c host [::1]:8080 length 0 protocol "" continue false trailers false`},
		{[]string{":method: OPTIONS", ":scheme: http", ":path: *", ":authority: hello.test:80"}, true, `OPTIONS * host hello.test:80 length 0 protocol "" continue false trailers false`},
		{usual("GET", "x: "), true, `GET / host hello.test length 0 protocol "" continue false trailers false | x: `},
		{usual("GET", "x: ä\xff"), true, "GET / host hello.test length 0 protocol \"\" continue false trailers false | x: ä\xff"},
		{usual("CONNECT", ":protocol: websocket", "sec-websocket-version: 13"), false, `GET / host hello.test length 0 protocol "websocket" continue false trailers false | sec-websocket-version: 13`},
	} {
		id := uint32(2*i + 1)
		p.send(id, c.end, c.fields...)
		f := p.until(func(f x2.Frame) bool { _, ok := f.(*x2.MetaHeadersFrame); return ok })
		m, _ := f.(*x2.MetaHeadersFrame)
		got := ""
		for _, h := range m.RegularFields() {
			if h.Name == "seen" {
				got = h.Value
			}
		}
		if got != c.want {
			t.Errorf("%q:\n got %s\nwant %s", c.fields, got, c.want)
		}
	}
}

// TestRefused sends heads that are answered without a handler.
func TestRefused(t *testing.T) {
	s := &Server{Handler: never{t}, Limits: Limits{Head: 4 << 10, Fields: 20, Target: 1 << 10}}
	p := dial(t, listen(t, s, false))
	many := make([]string, 30)
	for i := range many {
		many[i] = fmt.Sprintf("x%d: y", i)
	}
	for i, c := range []struct {
		status string
		fields []string
	}{
		{"405", []string{":method: CONNECT", ":authority: hello.test:443"}},
		{"501", usual("CONNECT", ":protocol: connect-udp")},
		{"414", []string{":method: GET", ":scheme: http", ":authority: hello.test", ":path: /" + strings.Repeat("x", 2<<10)}},
		{"431", usual("GET", "x: "+strings.Repeat("y", 5<<10))},
		{"431", usual("GET", many...)},
		{"431", usual("GET", "cookie: "+strings.Repeat("y", 6<<10))},
	} {
		id := uint32(2*i + 1)
		p.send(id, true, c.fields...)
		if got := p.status(id); got != c.status {
			t.Errorf("%.80q: %s, expected %s", c.fields, got, c.status)
		}
	}
}
