package conformance

import "slices"

// Rules are the demands of the two RFCs that the cases show.
func Rules() []Rule {
	return slices.Concat(requestRules(), framingRules(), forwardRules(), answerRules())
}

// requestRules are of request lines, hosts and fields.
func requestRules() []Rule {
	reject := []Choice{rejected, dropped}
	return []Rule{
		{Section: "9112 2.1, 3", Must: "requests are understood, in however many pieces they come", Cases: under("lines/", "plain; in pieces")},
		{Section: "9110 9.1", Must: "methods are case-sensitive", Cases: under("lines/", "method in lower case is another"), Or: reject},
		{Section: "9112 2.2", Must: "LF alone is refused, or ends a line as CRLF does", Or: append(reject, forwarded(got)),
			Cases: under("lines/", "bare LF after the request line; bare LF everywhere; bare LF after a field; bare LF ends the head; bare LF first")},
		{Section: "9112 2.2", Must: "CR alone is refused, or becomes a blank", Cases: under("lines/", "bare CR in a value"),
			Or: append(reject, forwarded(got, "x: a b"))},
		{Section: "9112 2.2", Must: "a blank line before the first field is refused, or consumed", Cases: under("lines/", "blank before the first field; bare CR before a field"),
			Or: append(reject, without("x"))},
		{Section: "9112 3", Must: "what splits a request line in three is one line for the origin", Or: append(reject, forwarded(got)),
			Cases: under("lines/", "CR CR LF; two blanks; two blanks before the version; tab for a blank; form feed for a blank")},
		{Section: "9110 2.2, 9.1", Must: "no method is sent that is no token", Cases: under("lines/", "method with a brace; method with a colon; method with NUL; method above ASCII"), Or: reject},
		{Section: "9110 2.2", Must: "no target is sent that has blanks or control characters", Cases: under("targets/", "NUL; control character; DEL"), Or: reject},
		{Section: "9110 2.2", Must: "no target is sent that has blanks or control characters", Cases: under("lines/", "blank in the target"), Or: append(reject, forwarded("GET /a%20b HTTP/1.1"))},
		{Section: "9112 3", Must: "a target that is too long is answered 414", Cases: under("targets/", "too long"), Or: []Choice{
			func(c Case) Case { return forwarded(firstLine(c))(c) }}},
		{Section: "9110 7.7", Must: "path and query are passed on as they are",
			Cases: under("targets/as sent ", "/a%2Fb/%2e%2E/c; /a/../b/./c; //double//slash; /?; /;a=b,c:d@e; /~user/!$&'()*+,=; /?http://b.test/; /http://b.test/; //b.test/x; /-_.")},
		{Section: "9110 7.7", Must: "path and query are passed on as they are, or not at all", Cases: under("targets/as sent ", "/%00; /%0d%0aX:y"), Or: reject},
		{Section: "9112 3.2.1", Must: "an origin is sent path and query alone", Cases: under("targets/", "absolute")},
		{Section: "9112 3.2.2", Must: "the absolute form is understood", Cases: under("targets/", "absolute without a path; absolute with a query only; absolute in capitals"),
			Or: []Choice{func(c Case) Case { return forwarded(firstLine(c))(c) }}},
		{Section: "9112 3.2.2", Must: "a target's host counts, not the Host beside it", Cases: under("targets/", "absolute of another host"),
			Or: append(reject, forwarded(got, "host: b.test"), forwarded("GET http://b.test/ HTTP/1.1", "host: b.test"))},
		{Section: "9112 3.2.4", Must: "OPTIONS with an empty path asks for the asterisk", Cases: under("targets/", "absolute for an asterisk")},
		{Section: "9110 9.3.6", Must: "CONNECT to no port is refused", Cases: under("targets/", "CONNECT with a path"), Or: reject},
		{Section: "9112 3.2", Must: "no Host, several, or one that is none is answered 400",
			Cases: slices.Concat(under("hosts/", "none; two; two alike; two, far apart; none and an absolute target; two with HTTP 1.0"),
				under("hosts/bad ", "blank; tab; path; query; fragment; user; scheme; quote; backslash; NUL; above ASCII; invalid UTF-8; port with letters; port with a sign; two ports; open bracket; no IPv6; behind the bracket; brackets within; DEL"))},
		{Section: "9110 4.2.1", Must: "an authority without a host is refused", Cases: under("hosts/bad ", "only a port"), Or: reject},
		{Section: "9112 3.2, 5", Must: "Host is understood as its grammar has it", Cases: under("hosts/", "with a port; with an empty port; in capitals; blanks around; no blank")},
		{Section: "9112 5, 5.1", Must: "a field's value has no blanks around it", Cases: under("fields/", "empty value; no blank; blanks around")},
		{Section: "9110 5.1", Must: "fields are passed on, known or not",
			Cases: under("fields/", "blanks within; Latin 1; odd name; colons in the value; twice; authorization")},
		{Section: "9112 5.1", Must: "a blank before the colon is answered 400", Cases: append(under("fields/", "blank before the colon; tab before the colon"),
			"hosts/blank before the colon", "lengths/bad blank before the colon", "codings/bad blank before the colon", "codings/bad tab before the colon")},
		{Section: "9112 5.2", Must: "a folded line is refused, or unfolded", Cases: under("fields/", "folded with a blank"),
			Or: append(reject, forwarded(got, "x-a: b c"), forwarded(got, "x-a: b  c"), forwarded(got, "x-a: b   c"))},
		{Section: "9112 5.2", Must: "a folded line is refused, or unfolded", Cases: under("fields/", "folded with a tab"),
			Or: append(reject, forwarded(got, "x-a: b c: d"), forwarded(got, "x-a: b  c: d"), forwarded(got, "x-a: b   c: d"), forwarded(got, "x-a: b \tc: d"), forwarded(got, "x-a: b  \tc: d"))},
		{Section: "9110 5.5", Must: "NUL in a value is refused, or becomes a blank", Cases: under("fields/", "NUL in the value"),
			Or: append(reject, forwarded(got, "x-a: b c"))},
		{Section: "9110 2.2, 5.1", Must: "no field is sent whose name is no token", Or: append(reject, without("", "x-a", "x a", "x(a)", "x\xc3\x84", "x\x00a")),
			Cases: under("fields/", "no name; blank in the name; bracket in the name; name above ASCII; NUL in the name")},
		{Section: "9110 2.2, 5.1", Must: "no field is sent whose name is no token", Or: append(reject, without("x-a"), forwarded(got, "x-a: ")), Cases: under("fields/", "no colon")},
		{Section: "9110 5.4", Must: "too many or too large fields are answered 4xx", Or: []Choice{either("400|413|414|431"), forwarded(got)},
			Cases: under("fields/", "101 of them; 5000 of them; head of 40 KB; name of 40 KB")},
	}
}

// firstLine is the request line.
func firstLine(c Case) string {
	line, _, _ := cutLine(c.Send)
	return line
}

// forwardRules are of connections and of what a gateway says.
func forwardRules() []Rule {
	loose := []Choice{plainly}
	return []Rule{
		{Section: "9112 9.6", Must: "a connection whose client says close ends", Cases: under("connections/", "close; Close among others; close and keep-alive; pipelined behind close")},
		{Section: "9112 9.3", Must: "a connection of HTTP/1.0 ends, unless it is to be kept", Cases: under("connections/", "HTTP 1.0"), Or: []Choice{older}},
		{Section: "9110 6.2", Must: "requests are sent on under the proxy's own version", Cases: under("connections/", "HTTP 1.0 kept")},
		{Section: "9112 9.3.2", Must: "pipelined requests are answered in order", Cases: under("connections/", "pipelined; pipelined behind a body; pipelined behind chunks; CL.0")},
		{Section: "9110 7.6.1", Must: "what Connection lists is removed", Cases: under("connections/", "listed field; listed before the field; two Connection fields; empty list")},
		{Section: "9110 7.6.1", Must: "what Connection lists is removed", Cases: under("connections/", "Upgrade to h2c"),
			Or: []Choice{func(c Case) Case { c.Lacks = []string{"http2-settings"}; return c }}},
		{Section: "9110 7.8", Must: "Upgrade of HTTP/1.0 is ignored", Cases: under("connections/", "Upgrade of HTTP 1.0"), Or: []Choice{older}},
		{Section: "9110 7.6.3", Must: "Via is said to the origin, behind that of others", Cases: under("forwarding/", "Via"), Or: []Choice{
			func(c Case) Case { c.Has = []string{"via: *"}; return c }}},
		{Section: "9110 7.6.2", Must: "Max-Forwards of OPTIONS is counted down", Cases: under("forwarding/", "Max-Forwards")},
		{Section: "9110 7.6.2", Must: "OPTIONS and TRACE go no further at 0", Cases: under("forwarding/", "no more of Max-Forwards; no more of Max-Forwards with TRACE"),
			Or: []Choice{either("200|204|" + refusals)}},
		{Section: "9110 10.1.1", Must: "who waits for 100 gets it, or a final answer", Cases: under("bodies/", "100-continue; 100-continue in another case, chunked"), Or: []Choice{either("100 100 200")}},
		{Section: "9110 15.2", Must: "a client of HTTP/1.0 gets no 1xx", Cases: append(under("bodies/", "100-continue of HTTP 1.0"), "answers/HTTP 1.0 client of early hints"), Or: []Choice{plainly, older}},
		{Section: "9110 9.3", Must: "bodies are passed on with any method", Cases: under("bodies/", "PUT; DELETE; 320 KB to the origin"), Or: loose},
	}
}
