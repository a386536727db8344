package conformance

import "strings"

const end = "Host: a.test\r\n\r\n"

// lines are how a request line and the lines of a head are told apart (RFC 9112 sections 2 and 3).
func lines() []Case {
	return []Case{
		passed("lines/plain", "GET / HTTP/1.1\r\n"+end, got),
		passed("lines/one empty line first", "\r\nGET / HTTP/1.1\r\n"+end, got),
		passed("lines/in pieces", "GE"+Pause+"T / HTTP/1.1\r"+Pause+"\nHo"+Pause+"st: a.test\r\n\r"+Pause+"\n", got),
		passed("lines/minor version above ours", "GET / HTTP/1.2\r\n"+end, got),
		passed("lines/method in lower case is another", "get / HTTP/1.1\r\n"+end, "get / HTTP/1.1"),
		passed("lines/unknown method", "FROB-1.x / HTTP/1.1\r\n"+end, "FROB-1.x / HTTP/1.1"),
		refused("lines/bare LF after the request line", "400", "GET / HTTP/1.1\n"+end),
		refused("lines/bare LF everywhere", "400", "GET / HTTP/1.1\nHost: a.test\n\n"),
		refused("lines/bare LF after a field", "400", "GET / HTTP/1.1\r\nX: y\n"+end),
		refused("lines/bare LF ends the head", "400", "GET / HTTP/1.1\r\nHost: a.test\r\n\n"),
		refused("lines/bare LF first", "400", "\nGET / HTTP/1.1\r\n"+end),
		refused("lines/bare CR in a value", "400", "GET / HTTP/1.1\r\nX: a\rb\r\n"+end),
		refused("lines/bare CR before a field", "400", "GET / HTTP/1.1\r\n\rX: a\r\n"+end),
		refused("lines/CR CR LF", "400", "GET / HTTP/1.1\r\r\n"+end),
		refused("lines/blank first", "400", " GET / HTTP/1.1\r\n"+end),
		refused("lines/blank before the first field", "400", "GET / HTTP/1.1\r\n X: y\r\n"+end),
		refused("lines/two blanks", "400", "GET  / HTTP/1.1\r\n"+end),
		refused("lines/two blanks before the version", "400", "GET /  HTTP/1.1\r\n"+end),
		refused("lines/blank at the end", "400", "GET / HTTP/1.1 \r\n"+end),
		refused("lines/tab for a blank", "400", "GET\t/\tHTTP/1.1\r\n"+end),
		refused("lines/form feed for a blank", "400", "GET\f/ HTTP/1.1\r\n"+end),
		refused("lines/no version", "400", "GET /\r\n"+end),
		refused("lines/no target", "400", "GET HTTP/1.1\r\n"+end),
		refused("lines/blank in the target", "400", "GET /a b HTTP/1.1\r\n"+end),
		refused("lines/version in lower case", "400", "GET / http/1.1\r\n"+end),
		refused("lines/version of other digits", "400", "GET / HTTP/1.10\r\n"+end),
		refused("lines/version without a point", "400", "GET / HTTP/11\r\n"+end),
		refused("lines/version with a sign", "400", "GET / HTTP/+1.1\r\n"+end),
		refused("lines/another protocol", "400", "GET / ICY/1.1\r\n"+end),
		refused("lines/major version 2", "505", "GET / HTTP/2.0\r\n"+end),
		refused("lines/major version 0", "400|505", "GET / HTTP/0.9\r\n"+end),
		refused("lines/preface of HTTP2", "400|505", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
		refused("lines/method with a brace", "400", "GE{T / HTTP/1.1\r\n"+end),
		refused("lines/method with a colon", "400", "GET: / HTTP/1.1\r\n"+end),
		refused("lines/method with NUL", "400", "GE\x00T / HTTP/1.1\r\n"+end),
		refused("lines/method above ASCII", "400", "G\xc3\x89T / HTTP/1.1\r\n"+end),
		refused("lines/TLS", "400", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
		refused("lines/SSH", "400", "SSH-2.0-OpenSSH_9.2\r\n"),
	}
}

// targets are the forms of RFC 9112 section 3.2, byte for byte.
func targets() []Case {
	request := func(target string) string { return "GET " + target + " HTTP/1.1\r\n" + end }
	seen := func(target string) string { return "GET " + target + " HTTP/1.1" }
	var list []Case
	for _, t := range []string{
		"/a%2Fb/%2e%2E/c", "/a/../b/./c", "//double//slash", "/?", "/?a=b&c;d=%zz&e", "/%", "/a|b{c}[d]^e`f", `/"<>\`,
		"/http://b.test/", "/;a=b,c:d@e", "/~user/!$&'()*+,=", "/?http://b.test/", "//b.test/x", "/%00", "/%0d%0aX:y", "/-_.",
	} {
		list = append(list, passed("targets/as sent "+t, request(t), seen(t)))
	}
	absolute := passed("targets/absolute", request("http://a.test/x?y"), seen("/x?y"))
	absolute.Has = []string{"host: a.test"}
	return append(list,
		absolute,
		passed("targets/absolute without a path", request("http://a.test"), seen("/")),
		passed("targets/absolute with a query only", request("http://a.test?q"), seen("/?q")),
		passed("targets/absolute of https", request("https://a.test/"), seen("/")),
		passed("targets/absolute in capitals", request("HTTP://A.TEST/x"), seen("/x")),
		passed("targets/asterisk", "OPTIONS * HTTP/1.1\r\n"+end, "OPTIONS * HTTP/1.1"),
		passed("targets/absolute for an asterisk", "OPTIONS http://a.test HTTP/1.1\r\n"+end, "OPTIONS * HTTP/1.1"),
		refused("targets/absolute of another host", "400", request("http://b.test/")),
		refused("targets/absolute with another port", "400", request("http://a.test:81/")),
		refused("targets/absolute with a user", "400", request("http://a.test@b.test/")),
		refused("targets/absolute with a password", "400", request("http://u:p@a.test/")),
		refused("targets/absolute without a host", "400", request("http:///x")),
		refused("targets/absolute of another scheme", "400", request("ftp://a.test/")),
		refused("targets/absolute of a script", "400", request("javascript://a.test/")),
		refused("targets/scheme without slashes", "400", request("http:a.test/")),
		refused("targets/asterisk with GET", "400", request("*")),
		refused("targets/asterisk and more", "400", "OPTIONS *x HTTP/1.1\r\n"+end),
		refused("targets/authority with GET", "400", request("a.test:80")),
		refused("targets/no slash", "400", request("x")),
		refused("targets/fragment", "400", request("/a#b")),
		refused("targets/NUL", "400", request("/a\x00b")),
		refused("targets/control character", "400", request("/a\x01b")),
		refused("targets/DEL", "400", request("/a\x7fb")),
		refused("targets/UTF-8", "400", request("/\xc3\xa9")),
		refused("targets/invalid UTF-8", "400", request("/\xff\xfe")),
		refused("targets/overlong UTF-8", "400", request("/\xc0\xaf")),
		refused("targets/too long", "414", request("/"+strings.Repeat("x", 17<<10))),
		refused("targets/CONNECT", "405", "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n"),
		refused("targets/CONNECT with a path", "405|400", "CONNECT / HTTP/1.1\r\n"+end),
	)
}

// hosts are RFC 9112 section 3.2 and RFC 9110 section 7.2.
func hosts() []Case {
	with := func(lines string) string { return "GET / HTTP/1.1\r\n" + lines + "\r\n" }
	list := []Case{
		passed("hosts/with a port", with("Host: a.test:8080\r\n"), got),
		passed("hosts/with an empty port", with("Host: a.test:\r\n"), got),
		passed("hosts/in capitals", with("HOST: A.Test\r\n"), got),
		passed("hosts/blanks around", with("Host: \t a.test \t\r\n"), got),
		passed("hosts/no blank", with("Host:a.test\r\n"), got),
		refused("hosts/none", "400", with("")),
		refused("hosts/empty", "400", with("Host:\r\n")),
		refused("hosts/two", "400", with("Host: a.test\r\nHost: b.test\r\n")),
		refused("hosts/two alike", "400", with("Host: a.test\r\nHost: a.test\r\n")),
		refused("hosts/two, far apart", "400", with("Host: a.test\r\nX: y\r\nhOST: b.test\r\n")),
		refused("hosts/blank before the colon", "400", with("Host : a.test\r\n")),
		refused("hosts/folded", "400", with("Host: a.test\r\n .b.test\r\n")),
		refused("hosts/folded first", "400", with("Host:\r\n a.test\r\n")),
		refused("hosts/none and an absolute target", "400", "GET http://a.test/ HTTP/1.1\r\n\r\n"),
		refused("hosts/two with HTTP 1.0", "400", "GET / HTTP/1.0\r\nHost: a.test\r\nHost: b.test\r\n\r\n"),
	}
	for name, value := range map[string]string{
		"blank": "a.test b.test", "tab": "a.test\tb", "comma": "a.test,b.test", "path": "a.test/x", "query": "a.test?x", "fragment": "a.test#x",
		"user": "x@a.test", "scheme": "http://a.test", "quote": `"a.test"`, "percent": "a%2etest", "backslash": `a.test\b`, "NUL": "a.test\x00b",
		"above ASCII": "\xc3\xa4.test", "invalid UTF-8": "a\xff.test", "port with letters": "a.test:80x", "port with a sign": "a.test:+80",
		"port too large": "a.test:65536", "two ports": "a.test:80:80", "only a port": ":80", "open bracket": "[::1", "no IPv6": "[a.test]",
		"behind the bracket": "[::1]a.test", "zone": "[fe80::1%25eth0]", "semicolon": "a.test;b", "brackets within": "a[.]test", "DEL": "a\x7f.test",
		"too long": strings.Repeat("a.", 200) + "test",
	} {
		list = append(list, refused("hosts/bad "+name, "400", with("Host: "+value+"\r\n")))
	}
	return list
}

// fields are RFC 9112 section 5 and RFC 9110 section 5.
func fields() []Case {
	with := func(line string) string { return get + line + "\r\n\r\n" }
	keep := func(name, line, has string) Case {
		return Case{Name: "fields/" + name, Send: with(line), Want: "200", Seen: got, Has: []string{has}}
	}
	drop := func(name, line string, lacks ...string) Case {
		return Case{Name: "fields/" + name, Send: with(line), Want: "200", Seen: got, Lacks: lacks}
	}
	return []Case{
		keep("empty value", "X-A:", "x-a: "),
		keep("no blank", "X-A:b", "x-a: b"),
		keep("blanks around", "X-A: \t b\t ", "x-a: b"),
		keep("blanks within", "X-A: a \t b", "x-a: a \t b"),
		keep("Latin 1", "X-A: caf\xe9", "x-a: caf\xe9"),
		keep("invalid UTF-8", "X-A: \xff\xfe", "x-a: \xff\xfe"),
		keep("odd name", "!#$%&'*+-.^`|~9: b", "!#$%&'*+-.^`|~9: b"),
		keep("colons in the value", "X-A: b:c: d", "x-a: b:c: d"),
		keep("twice", "X-A: b\r\nX-A: c", "x-a: c"),
		keep("cookie of 12 KB", "Cookie: a="+strings.Repeat("x", 12<<10), "cookie: a="+strings.Repeat("x", 12<<10)),
		keep("authorization", "Authorization: Basic eDp5", "authorization: Basic eDp5"),
		keep("no comma is added", "X-A: a,,b, ", "x-a: a,,b,"),
		drop("underscore in Transfer_Encoding", "Transfer_Encoding: chunked", "transfer_encoding", "transfer-encoding"),
		drop("underscore in Content_Length", "Content_Length: 5", "content_length", "content-length"),
		drop("underscore in X_Forwarded_For", "X_Forwarded_For: 192.0.2.1", "x_forwarded_for"),
		drop("Proxy, which CGI takes for a setting", "Proxy: http://b.test", "proxy"),
		refused("fields/blank before the colon", "400", with("X-A : b")),
		refused("fields/tab before the colon", "400", with("X-A\t: b")),
		refused("fields/no colon", "400", with("X-A")),
		refused("fields/no name", "400", with(": b")),
		refused("fields/folded with a blank", "400", with("X-A: b\r\n c")),
		refused("fields/folded with a tab", "400", with("X-A: b\r\n\tc: d")),
		refused("fields/folded and empty", "400", with("X-A: b\r\n ")),
		refused("fields/blank in the name", "400", with("X A: b")),
		refused("fields/bracket in the name", "400", with("X(A): b")),
		refused("fields/name above ASCII", "400", with("X-\xc3\x84: b")),
		refused("fields/NUL in the name", "400", with("X\x00A: b")),
		refused("fields/NUL in the value", "400", with("X-A: b\x00c")),
		refused("fields/NUL at the end", "400", with("X-A: b\x00")),
		refused("fields/backspace in the value", "400", with("X-A: b\bc")),
		refused("fields/vertical tab in the value", "400", with("X-A: b\vc")),
		refused("fields/DEL in the value", "400", with("X-A: b\x7f")),
		refused("fields/ESC in the value", "400", with("X-A: \x1b[31m")),
		refused("fields/101 of them", "431", with(strings.Repeat("X-A: b\r\n", 99)+"X-A: b")),
		refused("fields/5000 of them", "431", with(strings.Repeat("X-A: b\r\n", 4999)+"X-A: b")),
		refused("fields/head of 40 KB", "431", with("Cookie: a="+strings.Repeat("x", 40<<10))),
		refused("fields/name of 40 KB", "431", with(strings.Repeat("x", 40<<10)+": a")),
	}
}
