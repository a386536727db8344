package conformance

import (
	"fmt"
	"strings"
)

// connections are RFC 9110 section 7.6.1 and RFC 9112 section 9.
func connections() []Case {
	with := func(name, lines string, has, lacks []string) Case {
		return Case{Name: "connections/" + name, Send: get + lines + "\r\n\r\n", Want: "200", Seen: got, Has: has, Lacks: lacks}
	}
	ending := func(name, send string, gets ...string) Case {
		return Case{Name: "connections/" + name, Send: send, Want: "200", Seen: got, Ends: true, Gets: gets}
	}
	return []Case{
		ending("close", get+"Connection: close\r\n\r\n"),
		ending("Close among others", get+"Connection: x-y, Close\r\n\r\n"),
		ending("HTTP 1.0", "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n"),
		ending("close and keep-alive", get+"Connection: keep-alive, close\r\n\r\n"),
		{Name: "connections/HTTP 1.0 kept", Send: "GET / HTTP/1.0\r\nHost: a.test\r\nConnection: Keep-Alive\r\n\r\n", Want: "200", Seen: got},
		{Name: "connections/Upgrade of HTTP 1.0", Send: "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + end, Want: "200", Seen: got, Ends: true, Lacks: []string{"upgrade"}},
		with("listed field", "X-A: b\r\nConnection: x-a", nil, []string{"x-a"}),
		with("listed before the field", "Connection: x-a, X-B\r\nX-A: b\r\nX-B: c\r\nX-C: d", []string{"x-c: d"}, []string{"x-a", "x-b"}),
		with("two Connection fields", "Connection: x-a\r\nX-A: b\r\nConnection: x-b\r\nX-B: b", nil, []string{"x-a", "x-b"}),
		with("Host listed", "Connection: host", []string{"host: a.test"}, nil),
		with("empty list", "Connection: , ,", nil, nil),
		with("Keep-Alive", "Keep-Alive: timeout=5", nil, []string{"keep-alive"}),
		with("Proxy-Connection", "Proxy-Connection: keep-alive", nil, []string{"proxy-connection"}),
		with("Proxy-Authorization", "Proxy-Authorization: Basic eDp5", nil, []string{"proxy-authorization"}),
		with("TE", "TE: gzip, deflate", nil, []string{"te"}),
		with("Upgrade to h2c", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__", nil, []string{"upgrade", "http2-settings"}),
		with("Upgrade to TLS", "Connection: Upgrade\r\nUpgrade: TLS/1.0", nil, []string{"upgrade"}),
		with("Upgrade to websocket, not listed", "Upgrade: websocket", nil, []string{"upgrade"}),
		{Name: "connections/Upgrade with a body", Send: post + "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nab", Want: "200", Seen: put, Body: "ab", Lacks: []string{"upgrade"}},
		{Name: "connections/Content-Length listed", Send: post + "Connection: content-length\r\nContent-Length: 2\r\n\r\nab", Want: "200", Seen: put, Body: "ab", Has: []string{"content-length: 2"}},
		{Name: "connections/Transfer-Encoding listed", Send: post + "Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", Want: "200", Seen: put, Body: "ab"},
		{Name: "connections/pipelined", Send: get + "\r\nGET /2 HTTP/1.1\r\n" + end + "GET /3 HTTP/1.1\r\n" + end, Want: "200 200 200", Seen: got + "\nGET /2 HTTP/1.1\nGET /3 HTTP/1.1"},
		{Name: "connections/pipelined behind a body", Send: post + "Content-Length: 2\r\n\r\nabGET /2 HTTP/1.1\r\n" + end, Want: "200 200", Seen: put + "\nGET /2 HTTP/1.1", Body: "ab"},
		{Name: "connections/pipelined behind chunks", Send: post + "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\nGET /2 HTTP/1.1\r\n" + end, Want: "200 200", Seen: put + "\nGET /2 HTTP/1.1", Body: "ab"},
		{Name: "connections/pipelined behind close", Send: get + "Connection: close\r\n\r\n" + smuggled, Want: "200", Seen: got, Ends: true},
		{Name: "connections/nonsense behind a request", Send: get + "\r\n\x00\x01\x02\r\n\r\n", Want: "200 400", Seen: got, Ends: true},
		{Name: "connections/CRLF behind a body", Send: post + "Content-Length: 2\r\n\r\nab\r\n", Want: "200", Seen: put, Body: "ab"},
		{Name: "connections/CL.0", Send: get + "\r\n" + post + "Content-Length: 5\r\n\r\nGET /" + Pause + smuggled, Want: "200 200 200", Seen: got + "\n" + put + "\nGET /smuggled HTTP/1.1"},
		{Name: "connections/request behind a refused one", Send: get + "X : y\r\n\r\n" + smuggled, Want: "400"},
	}
}

// forwarding is what a router says of who asked. Clients are not believed.
func forwarding() []Case {
	with := func(name, lines string, has, lacks []string) Case {
		return Case{Name: "forwarding/" + name, Send: get + lines + "\r\n", Want: "200", Seen: got, Has: has, Lacks: lacks, Routed: true}
	}
	return []Case{
		with("who asked", "", []string{"x-forwarded-for: 127.0.0.1", "x-forwarded-proto: http", "x-forwarded-host: a.test"}, nil),
		with("X-Forwarded-For is not believed", "X-Forwarded-For: 192.0.2.9\r\n", []string{"x-forwarded-for: 127.0.0.1"}, []string{"x-forwarded-for: 192.0.2.9"}),
		with("X-Forwarded-Proto is not believed", "X-Forwarded-Proto: https\r\n", []string{"x-forwarded-proto: http"}, []string{"x-forwarded-proto: https"}),
		with("X-Forwarded-Host is not believed", "X-Forwarded-Host: b.test\r\n", []string{"x-forwarded-host: a.test"}, []string{"x-forwarded-host: b.test"}),
		with("X-Forwarded-Port is not believed", "X-Forwarded-Port: 1\r\n", nil, []string{"x-forwarded-port: 1"}),
		with("X-Real-IP is not believed", "X-Real-IP: 192.0.2.9\r\n", nil, []string{"x-real-ip: 192.0.2.9"}),
		with("X-Request-Start is not believed", "X-Request-Start: 1\r\n", nil, []string{"x-request-start: 1"}),
		with("Forwarded is not believed", "Forwarded: for=192.0.2.9\r\n", nil, []string{"forwarded: for=192.0.2.9"}),
		with("X_Forwarded_For is dropped", "X_Forwarded_For: 192.0.2.9\r\n", nil, []string{"x_forwarded_for"}),
		with("names that Connection lists are ours again", "Connection: x-forwarded-for\r\n", []string{"x-forwarded-for: 127.0.0.1"}, nil),
		with("X-Request-Id is not believed", "X-Request-Id: abc-1\r\n", nil, []string{"x-request-id: abc-1"}),
		with("traceparent", "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n", []string{"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, nil),
		with("Via", "", []string{"via: 1.1 paas"}, nil),
		with("Via of earlier proxies", "Via: 1.0 fred, 1.1 p.example\r\n", []string{"via: 1.0 fred, 1.1 p.example", "via: 1.1 paas"}, nil),
		with("Max-Forwards of a GET", "Max-Forwards: 5\r\n", []string{"max-forwards: 5"}, nil),
		{Name: "forwarding/Max-Forwards", Send: "OPTIONS / HTTP/1.1\r\nMax-Forwards: 5\r\n" + end, Want: "200", Seen: "OPTIONS / HTTP/1.1", Has: []string{"max-forwards: 4"}, Routed: true},
		{Name: "forwarding/no more of Max-Forwards", Send: "OPTIONS / HTTP/1.1\r\nConnection: close\r\nMax-Forwards: 0\r\n" + end, Want: "200", Routed: true},
		{Name: "forwarding/no more of Max-Forwards with TRACE", Send: "TRACE / HTTP/1.1\r\nConnection: close\r\nMax-Forwards: 0\r\n" + end, Want: "501", Routed: true},
		{Name: "forwarding/no such host", Send: "GET / HTTP/1.1\r\nHost: b.test\r\nConnection: close\r\n\r\n", Want: "404", Routed: true},
		{Name: "forwarding/HTTP 1.0 without a host", Send: "GET / HTTP/1.0\r\n\r\n", Want: "400|404", Routed: true},
		{Name: "forwarding/the body of who is not known", Send: "POST / HTTP/1.1\r\nHost: b.test\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab", Want: "404", Routed: true},
	}
}

// answers are what an origin says, right and wrong.
func answers() []Case {
	says := func(name, answer, content string) Case {
		return Case{Name: "answers/" + name, Send: get + "\r\n", Want: "200", Seen: got, Answer: answer, Content: content}
	}
	status := func(want string, c Case) Case { c.Want = want; return c }
	broken := func(c Case) Case { c.Broken, c.Close = true, true; return c }
	closes := func(c Case) Case { c.Close = true; return c }
	gets := func(c Case, lines ...string) Case { c.Gets = lines; return c }
	misses := func(c Case, names ...string) Case { c.Misses = names; return c }
	ok := "HTTP/1.1 200 OK\r\n"
	sized := ok + "Content-Length: 3\r\n"
	chunked := ok + "Transfer-Encoding: chunked\r\n\r\n"
	list := []Case{
		gets(says("sized", sized+"\r\nabc", "abc"), "content-length: 3"),
		says("chunked", chunked+"3\r\nabc\r\n0\r\n\r\n", "abc"),
		says("chunks with extensions", chunked+"3;a=b\r\nabc\r\n0;c\r\n\r\n", "abc"),
		says("chunks in pieces", chunked+"3\r"+Pause+"\nab"+Pause+"c\r\n0"+Pause+"\r\n\r\n", "abc"),
		says("to the end", ok+"\r\nabc", "abc"),
		says("HTTP 1.0 to the end", "HTTP/1.0 200 OK\r\n\r\nabc", "abc"),
		says("HTTP 1.0 sized", "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", "abc"),
		says("no words", "HTTP/1.1 200 \r\nContent-Length: 3\r\n\r\nabc", "abc"),
		says("no words, no blank", "HTTP/1.1 200\r\nContent-Length: 3\r\n\r\nabc", "abc"),
		gets(says("without a Date", sized+"\r\nabc", "abc"), "date: *"),
		says("empty", ok+"Content-Length: 0\r\n\r\n", ""),
		gets(says("lengths that agree", ok+"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "abc"), "content-length: 3"),
		gets(says("a list of lengths that agree", ok+"Content-Length: 3, 3\r\n\r\nabc", "abc"), "content-length: 3"),
		gets(says("blank before a colon", ok+"Content-Length : 3\r\nX-A : b\r\n\r\nabc", "abc"), "x-a: b", "content-length: 3"),
		misses(says("both framings", ok+"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "abc"), "content-length: 9"),
		says("bytes behind the answer", sized+"\r\nabcHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", "abc"),
		says("bytes behind the chunks", chunked+"3\r\nabc\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", "abc"),
		closes(says("closes without saying so", sized+"\r\nabc", "abc")),
		closes(says("closes after chunks without saying so", chunked+"3\r\nabc\r\n0\r\n\r\n", "abc")),
		says("closes", sized+"Connection: close\r\n\r\nabc", "abc"),
		misses(says("fields of the connection", sized+"Connection: x-a\r\nX-A: b\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nUpgrade: h2c\r\n\r\nabc", "abc"), "x-a", "keep-alive", "proxy-connection", "upgrade"),
		gets(says("fields for the client", sized+"Set-Cookie: a=b\r\nSet-Cookie: c=d\r\nServer: mine\r\nDate: Sat, 21 Nov 2026 00:00:00 GMT\r\nLocation: http://b.test/\r\nX-A: \xe9\r\n\r\nabc", "abc"),
			"set-cookie: a=b", "set-cookie: c=d", "server: mine", "date: Sat, 21 Nov 2026 00:00:00 GMT", "location: http://b.test/", "x-a: \xe9"),
		gets(says("a head of 60 KB", sized+"X-A: "+strings.Repeat("b", 60<<10)+"\r\n\r\nabc", "abc"), "x-a: "+strings.Repeat("b", 60<<10)),
		status("103 200", says("early hints", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"+sized+"\r\nabc", "abc")),
		status("200", says("100 unasked", "HTTP/1.1 100 Continue\r\n\r\n"+sized+"\r\nabc", "abc")),
		misses(status("204", says("204", "HTTP/1.1 204 No Content\r\n\r\n", "")), "content-length", "transfer-encoding"),
		misses(status("204", says("204 with a length", "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n", "")), "content-length"),
		gets(status("304", says("304", "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 3\r\n\r\n", "")), `etag: "x"`),
		status("206", gets(says("range", "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-2/9\r\nContent-Length: 3\r\n\r\nabc", "abc"), "content-range: bytes 0-2/9")),
		{Name: "answers/HEAD", Head: true, Send: "HEAD / HTTP/1.1\r\n" + end, Want: "200", Seen: "HEAD / HTTP/1.1", Answer: "HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n", Gets: []string{"content-length: 300"}},
		{Name: "answers/HEAD, chunked", Head: true, Send: "HEAD / HTTP/1.1\r\n" + end, Want: "200", Seen: "HEAD / HTTP/1.1", Answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: content-length\r\n\r\n"},
		{Name: "answers/HEAD, with a body all the same", Head: true, Send: "HEAD / HTTP/1.1\r\n" + end, Want: "200", Seen: "HEAD / HTTP/1.1", Answer: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"},
		{Name: "answers/HTTP 1.0 client of chunks", Send: "GET / HTTP/1.0\r\n" + end, Want: "200", Seen: got, Ends: true, Answer: chunked + "3\r\nabc\r\n0\r\n\r\n", Content: "abc", Misses: []string{"transfer-encoding"}},
		{Name: "answers/HTTP 1.0 client of early hints", Send: "GET / HTTP/1.0\r\n" + end, Want: "200", Seen: got, Ends: true, Answer: "HTTP/1.1 103 Early Hints\r\n\r\n" + sized + "\r\nabc", Content: "abc"},
		{Name: "answers/trailers", Send: get + "TE: trailers\r\nConnection: TE\r\n\r\n", Want: "200", Seen: got, Answer: ok + "Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n", Content: "abc", Gets: []string{"x-sum: 1"}},
		{Name: "answers/early, to a long body", Send: post + "Content-Length: 3\r\n\r\n" + Pause + "abc", Want: "413", Seen: put, Body: "abc", Answer: "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"},
		broken(says("cut short", ok+"Content-Length: 9\r\nX: y\r\n\r\nabc", "abc")),
		broken(says("chunks cut short", chunked+"9\r\nabc", "abc")),
		broken(says("no last chunk", chunked+"3\r\nabc\r\n", "abc")),
		broken(says("no chunk", chunked+"3\r\nabc\r\nxyz\r\n0\r\n\r\n", "abc")),
		broken(says("chunk too long", chunked+"3\r\nabcd\r\n0\r\n\r\n", "abc")),
	}
	for _, code := range []int{201, 299, 400, 404, 418, 499, 500, 599} {
		list = append(list, status(fmt.Sprint(code), says(fmt.Sprint("status ", code), fmt.Sprintf("HTTP/1.1 %d Words of it\r\nContent-Length: 3\r\n\r\nabc", code), "abc")))
	}
	for name, answer := range badAnswers() {
		c := says("bad "+name, answer, "")
		c.Want, c.Close = "502", true
		list = append(list, c)
	}
	return list
}

// badAnswers have no reading, or two.
func badAnswers() map[string]string {
	ok := "HTTP/1.1 200 OK\r\n"
	return map[string]string{
		"nothing": " ", "nonsense": "hello\r\n\r\n", "HTTP 0.9": "<html>hello</html>", "HTTP 2": "HTTP/2.0 200 OK\r\n\r\n", "status of two digits": "HTTP/1.1 20 OK\r\n\r\n",
		"status of four digits": "HTTP/1.1 2000 OK\r\n\r\n", "status with letters": "HTTP/1.1 2xx OK\r\n\r\n", "status 99": "HTTP/1.1 099 OK\r\n\r\n",
		"status with a sign": "HTTP/1.1 +20 OK\r\n\r\n", "no status": "HTTP/1.1 OK\r\n\r\n", "blank first": " " + ok + "\r\n",
		"lengths that differ": ok + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", "a list of lengths that differ": ok + "Content-Length: 3, 4\r\n\r\nabc",
		"length with letters": ok + "Content-Length: x\r\n\r\nabc", "negative length": ok + "Content-Length: -3\r\n\r\nabc", "length too large": ok + "Content-Length: 99999999999999999999\r\n\r\nabc",
		"unknown coding": ok + "Transfer-Encoding: gzip\r\n\r\nabc", "gzip and chunked": ok + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "two codings": ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"chunked with HTTP 1.0": "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "folded": ok + "X: y\r\n z\r\nContent-Length: 0\r\n\r\n", "NUL in a value": ok + "X: \x00\r\nContent-Length: 0\r\n\r\n",
		"no colon": ok + "X\r\nContent-Length: 0\r\n\r\n", "no name": ok + ": x\r\nContent-Length: 0\r\n\r\n", "blank in a name": ok + "X Y: z\r\nContent-Length: 0\r\n\r\n", "bare CR in a value": ok + "X: a\rSet-Cookie: b\r\nContent-Length: 0\r\n\r\n",
		"head without an end": ok + "X: y\r\n", "101 unasked": "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "101 to h2c": "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
		"head of 1 MB": ok + "X: " + strings.Repeat("y", 1<<20) + "\r\n\r\n",
	}
}
