package conformance

import (
	"fmt"
	"strings"
)

// smuggled is what a front end that loses step takes for a request.
const smuggled = "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n"

// lengths are RFC 9110 section 8.6 and RFC 9112 section 6.3.
func lengths() []Case {
	sized := func(name, value, body string) Case {
		return Case{Name: "lengths/" + name, Send: post + "Content-Length: " + value + "\r\n\r\n" + body, Want: "200", Seen: put,
			Body: body, Has: []string{fmt.Sprintf("content-length: %d", len(body))}, Lacks: []string{"transfer-encoding"}}
	}
	list := []Case{
		sized("two", "2", "ab"),
		sized("none", "0", ""),
		sized("leading zeros", "0002", "ab"),
		sized("a request in the body", fmt.Sprint(len(smuggled)), smuggled),
		sized("chunks in the body", "5", "0\r\n\r\n"),
		sized("blanks around", " \t2 ", "ab"),
		{Name: "lengths/GET with a body", Send: get + "Content-Length: 2\r\n\r\nab", Want: "200", Seen: got, Body: "ab"},
		{Name: "lengths/HEAD with a body", Send: "HEAD / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nab", Head: true, Want: "200", Seen: "HEAD / HTTP/1.1",
			Body: "ab", Answer: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"},
		{Name: "lengths/POST without any", Send: post + "\r\n", Want: "200", Seen: put, Lacks: []string{"transfer-encoding"}},
		{Name: "lengths/in pieces", Send: post + "Content-Length: 4\r\n\r\na" + Pause + "b" + Pause + "cd", Want: "200", Seen: put, Body: "abcd"},
	}
	for name, lines := range map[string]string{
		"two that differ": "Content-Length: 2\r\nContent-Length: 40", "two alike": "Content-Length: 2\r\nContent-Length: 2",
		"list of two": "Content-Length: 2, 40", "list of two alike": "Content-Length: 2, 2", "list with an empty one": "Content-Length: 2,",
		"plus": "Content-Length: +2", "minus": "Content-Length: -2", "hexadecimal": "Content-Length: 0x2", "hexadecimal digit": "Content-Length: a",
		"exponent": "Content-Length: 2e0", "point": "Content-Length: 2.0", "blank within": "Content-Length: 2 2", "underscore": "Content-Length: 2_0",
		"empty": "Content-Length:", "quoted": `Content-Length: "2"`, "parameter": "Content-Length: 2;a=b", "2^64+2": "Content-Length: 18446744073709551618",
		"2^63": "Content-Length: 9223372036854775808", "many digits": "Content-Length: " + strings.Repeat("0", 30) + "2", "NUL": "Content-Length: 2\x00",
		"vertical tab": "Content-Length: \v2", "full width": "Content-Length: \xef\xbc\x92", "blank before the colon": "Content-Length : 2",
		"folded": "Content-Length:\r\n 2", "one empty, one not": "Content-Length:\r\nContent-Length: 2", "in another case": "content-length: 2\r\nCONTENT-LENGTH: 3",
	} {
		list = append(list, refused("lengths/bad "+name, "400", post+lines+"\r\n\r\nab"+smuggled))
	}
	return list
}

// codings are RFC 9112 sections 6.1 and 7.
func codings() []Case {
	body := "2\r\nab\r\n0\r\n\r\n"
	list := []Case{
		{Name: "codings/chunked", Send: post + "Transfer-Encoding: chunked\r\n\r\n" + body, Want: "200", Seen: put, Body: "ab"},
		{Name: "codings/another case", Send: post + "tRANSFER-eNCODING: \tChunKed \r\n\r\n" + body, Want: "200", Seen: put, Body: "ab"},
		{Name: "codings/GET", Send: get + "Transfer-Encoding: chunked\r\n\r\n" + body, Want: "200", Seen: got, Body: "ab"},
		{Name: "codings/empty body", Send: post + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Want: "200", Seen: put},
		{Name: "codings/content coding is another thing", Send: post + "Content-Encoding: chunked\r\nContent-Length: 2\r\n\r\nab", Want: "200", Seen: put, Body: "ab",
			Has: []string{"content-encoding: chunked"}},
		{Name: "codings/TE is another thing", Send: post + "TE: chunked\r\nContent-Length: 2\r\n\r\nab", Want: "200", Seen: put, Body: "ab", Lacks: []string{"te: chunked"}},
	}
	for name, lines := range map[string]string{
		"CL.TE":                        "Content-Length: 6\r\nTransfer-Encoding: chunked",
		"TE.CL":                        "Transfer-Encoding: chunked\r\nContent-Length: 6",
		"CL.TE with length 0":          "Content-Length: 0\r\nTransfer-Encoding: chunked",
		"TE.TE":                        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
		"TE.TE alike":                  "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
		"TE.TE with nonsense first":    "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
		"chunked twice":                "Transfer-Encoding: chunked, chunked",
		"identity":                     "Transfer-Encoding: identity",
		"identity, chunked":            "Transfer-Encoding: identity, chunked",
		"chunked, identity":            "Transfer-Encoding: chunked, identity",
		"gzip":                         "Transfer-Encoding: gzip",
		"gzip, chunked":                "Transfer-Encoding: gzip, chunked",
		"chunked, gzip":                "Transfer-Encoding: chunked, gzip",
		"xchunked":                     "Transfer-Encoding: xchunked",
		"chunkedx":                     "Transfer-Encoding: chunkedx",
		"chunk":                        "Transfer-Encoding: chunk",
		"parameter":                    "Transfer-Encoding: chunked;q=1",
		"comma behind":                 "Transfer-Encoding: chunked,",
		"comma before":                 "Transfer-Encoding: ,chunked",
		"quoted":                       `Transfer-Encoding: "chunked"`,
		"single quotes":                "Transfer-Encoding: 'chunked'",
		"empty":                        "Transfer-Encoding:",
		"empty, with a length":         "Transfer-Encoding:\r\nContent-Length: 2",
		"NUL":                          "Transfer-Encoding: chunked\x00",
		"vertical tab":                 "Transfer-Encoding: \vchunked",
		"non-breaking blank":           "Transfer-Encoding: \xc2\xa0chunked",
		"blank before the colon":       "Transfer-Encoding : chunked",
		"tab before the colon":         "Transfer-Encoding\t: chunked",
		"folded":                       "Transfer-Encoding:\r\n chunked",
		"folded behind a length":       "Content-Length: 2\r\nX: y\r\n Transfer-Encoding: chunked",
		"bare CR before it":            "X: y\rTransfer-Encoding: chunked",
		"bare LF before it":            "X: y\nTransfer-Encoding: chunked",
		"bare LF behind it":            "Transfer-Encoding: chunked\nX: y",
		"Kelvin sign":                  "Transfer-Encoding: chun\xe2\x84\xaaed",
		"blank within":                 "Transfer-Encoding: chunked chunked",
		"colon twice":                  "Transfer-Encoding:: chunked",
		"listed in Connection, and CL": "Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\nContent-Length: 2",
	} {
		list = append(list, refused("codings/bad "+name, "400|501", post+lines+"\r\n\r\n0\r\n\r\n"+smuggled))
	}
	return append(list,
		refused("codings/HTTP 1.0", "400", "POST / HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"+body),
		refused("codings/HTTP 1.0 kept alive", "400", "POST / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"+body))
}

// chunks are RFC 9112 section 7.1. Of a body that breaks its framing the origin may see a beginning, but no end.
func chunks() []Case {
	chunked := post + "Transfer-Encoding: chunked\r\n\r\n"
	good := func(name, text, body string, has ...string) Case {
		return Case{Name: "chunks/" + name, Send: chunked + text, Want: "200", Seen: put, Body: body, Has: has}
	}
	list := []Case{
		good("several", "3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n", "abcd"),
		good("hexadecimal", "A\r\n0123456789\r\nb\r\n01234567890\r\n0\r\n\r\n", "012345678901234567890"),
		good("leading zeros", "0003\r\nabc\r\n000\r\n\r\n", "abc"),
		good("extension", "3;a=b\r\nabc\r\n0;c\r\n\r\n", "abc"),
		good("quoted extension", "3;a=\"b;c\"\r\nabc\r\n0\r\n\r\n", "abc"),
		good("blank before an extension", "3 ; a = b\r\nabc\r\n0\r\n\r\n", "abc"),
		good("CRLF in the data", "4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n"),
		good("a last chunk in the data", "5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n"),
		good("trailer", "3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n", "abc"),
		good("in pieces", "3"+Pause+"\r"+Pause+"\nab"+Pause+"c\r\n0\r"+Pause+"\n\r"+Pause+"\n", "abc"),
		good("trailer that frames", "3\r\nabc\r\n0\r\nContent-Length: 50\r\nTransfer-Encoding: x\r\nHost: b.test\r\n\r\n", "abc", "host: a.test"),
		good("16 KB in bytes", strings.Repeat("1\r\nx\r\n", 16<<10)+"0\r\n\r\n", strings.Repeat("x", 16<<10)),
		good("300 KB", "4b000\r\n"+strings.Repeat("x", 300<<10)+"\r\n0\r\n\r\n", strings.Repeat("x", 300<<10)),
	}
	for name, text := range map[string]string{
		"bare LF after the size": "3\nabc\r\n0\r\n\r\n", "bare LF after the data": "3\r\nabc\n0\r\n\r\n", "nothing after the data": "3\r\nabc0\r\n\r\n",
		"data too long": "3\r\nabcd\r\n0\r\n\r\n", "data too short": "5\r\nabc\r\n0\r\n\r\n\r\n", "no size": "\r\nabc\r\n0\r\n\r\n", "only an extension": ";a\r\nabc\r\n0\r\n\r\n",
		"minus": "-3\r\nabc\r\n0\r\n\r\n", "plus": "+3\r\nabc\r\n0\r\n\r\n", "0x": "0x3\r\nabc\r\n0\r\n\r\n", "no digit": "g\r\nabc\r\n0\r\n\r\n",
		"blank before the size": " 3\r\nabc\r\n0\r\n\r\n", "blank after the size": "3 \r\nabc\r\n0\r\n\r\n", "tab after the size": "3\t\r\nabc\r\n0\r\n\r\n",
		"2^64+3": "10000000000000003\r\nabc\r\n0\r\n\r\n", "2^63": "8000000000000000\r\nabc\r\n0\r\n\r\n", "underscore": "0_3\r\nabc\r\n0\r\n\r\n",
		"NUL in an extension": "3;a\x00\r\nabc\r\n0\r\n\r\n", "bare LF in an extension": "3;a\nb\r\nabc\r\n0\r\n\r\n", "bare CR in an extension": "3;a\rb\r\nabc\r\n0\r\n\r\n",
		"bare CR after the size": "3\rX\r\nabc\r\n0\r\n\r\n", "extension of 64 KB": "3;" + strings.Repeat("a", 64<<10) + "\r\nabc\r\n0\r\n\r\n",
		"an extension on every byte": strings.Repeat("1;"+strings.Repeat("a", 200)+"\r\nx\r\n", 200) + "0\r\n\r\n",
		"comma between sizes":        "3,3\r\nabc\r\n0\r\n\r\n", "folded trailer": "3\r\nabc\r\n0\r\nX: y\r\n z\r\n\r\n", "trailer without a colon": "3\r\nabc\r\n0\r\nX\r\n\r\n",
		"trailer with a blank before the colon": "3\r\nabc\r\n0\r\nX : y\r\n\r\n", "trailer with bare LF": "3\r\nabc\r\n0\r\nX: y\n\r\n",
		"trailer of 64 KB": "3\r\nabc\r\n0\r\nX: " + strings.Repeat("y", 64<<10) + "\r\n\r\n", "1000 trailers": "3\r\nabc\r\n0\r\n" + strings.Repeat("X: y\r\n", 1000) + "\r\n",
		"bare LF at the end": "3\r\nabc\r\n0\r\n\n",
	} {
		list = append(list, Case{Name: "chunks/bad " + name, Send: chunked + text + smuggled, Want: "400", Partial: true})
	}
	return list
}

// bodies are what may be long, and what may be left unread.
func bodies() []Case {
	long := strings.Repeat("0123456789abcdef", 20<<10)
	return []Case{
		{Name: "bodies/320 KB to the origin", Send: fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", post, len(long), long), Want: "200", Seen: put, Body: long},
		{Name: "bodies/320 KB from the origin", Send: get + "\r\n", Want: "200", Seen: got, Answer: fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(long), long), Content: long},
		{Name: "bodies/320 KB in a chunk from the origin", Send: get + "\r\n", Want: "200", Seen: got, Content: long,
			Answer: fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(long), long)},
		{Name: "bodies/320 KB to the end from the origin", Send: get + "\r\n", Want: "200", Seen: got, Content: long, Answer: "HTTP/1.1 200 OK\r\n\r\n" + long, Close: true},
		{Name: "bodies/PUT", Send: "PUT /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc", Want: "200", Seen: "PUT /x HTTP/1.1", Body: "abc"},
		{Name: "bodies/DELETE", Send: "DELETE /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc", Want: "200", Seen: "DELETE /x HTTP/1.1", Body: "abc"},
		{Name: "bodies/100-continue", Send: post + "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n" + Pause + "abc", Want: "100 200", Seen: put, Body: "abc"},
		{Name: "bodies/100-continue in another case, chunked", Send: post + "EXPECT: 100-Continue\r\nTransfer-Encoding: chunked\r\n\r\n" + Pause + "3\r\nabc\r\n0\r\n\r\n", Want: "100 200", Seen: put, Body: "abc"},
		{Name: "bodies/100-continue without a body", Send: get + "Expect: 100-continue\r\n\r\n", Want: "200", Seen: got},
		{Name: "bodies/100-continue of HTTP 1.0", Send: "POST / HTTP/1.0\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", Want: "200", Seen: put, Body: "abc", Ends: true},
		refused("bodies/another expectation", "417", post+"Expect: wonders\r\nContent-Length: 3\r\n\r\nabc"),
	}
}
