package conformance

import "strings"

// cutLine splits at the first CRLF.
func cutLine(s string) (line, rest string, ok bool) { return strings.Cut(s, "\r\n") }

// framingRules are of where a request's body ends.
func framingRules() []Rule {
	loose := []Choice{plainly}
	reject := []Choice{rejected, dropped}
	return []Rule{
		{Section: "9110 8.6", Must: "a length is a number", Cases: under("lengths/", "two; none; leading zeros; a request in the body; chunks in the body; blanks around; in pieces"), Or: loose},
		{Section: "9112 6.3", Must: "a body belongs to its request, whatever the method", Cases: under("lengths/", "GET with a body; HEAD with a body; POST without any"), Or: loose},
		{Section: "9112 6.3", Must: "a length that is none is answered 400, and the connection ends", Closes: true,
			Cases: under("lengths/bad ", "two that differ; list of two; plus; minus; hexadecimal; hexadecimal digit; exponent; point; blank within; underscore; quoted; parameter; vertical tab; full width; in another case")},
		{Section: "9110 8.6", Must: "equal lengths are refused, or are one", Cases: under("lengths/bad ", "two alike; list of two alike"), Or: append(reject, thenSmuggled("ab"))},
		{Section: "9110 8.6", Must: "a length that no integer holds is not taken for another", Cases: under("lengths/bad ", "2^64+2; 2^63"), Or: append(reject, partly)},
		{Section: "9112 5.2", Must: "a folded line is refused, or unfolded", Cases: under("lengths/bad ", "folded"), Or: append(reject, thenSmuggled("ab"))},
		{Section: "9112 6.1", Must: "of two framings the coding counts, and the connection ends", Or: []Choice{rejected, dropped, alone}, Closes: true,
			Cases: under("codings/bad ", "CL.TE; TE.CL; CL.TE with length 0; listed in Connection, and CL")},
		{Section: "9112 6.3", Must: "a last coding other than chunked is answered 400 or 501, and the connection ends", Closes: true,
			Cases: under("codings/bad ", "TE.TE; identity; chunked, identity; gzip; chunked, gzip; xchunked; chunkedx; chunk; quoted; single quotes; vertical tab; non-breaking blank; Kelvin sign; blank within; colon twice")},
		{Section: "9110 5.5", Must: "NUL in a value is refused, or becomes a blank", Cases: under("codings/bad ", "NUL"), Or: append(reject, thenSmuggled(""))},
		{Section: "9112 5.2", Must: "a folded line is refused, or unfolded", Cases: under("codings/bad ", "folded"), Or: append(reject, thenSmuggled(""))},
		{Section: "9112 2.2", Must: "LF alone is refused, or ends a line as CRLF does", Cases: under("codings/bad ", "bare LF before it; bare LF behind it"), Or: append(reject, thenSmuggled(""))},
		{Section: "9112 2.2", Must: "CR alone is refused, or becomes a blank", Cases: under("codings/bad ", "bare CR before it"),
			Or: append(reject, ending(func(c Case) Case { return either("200 400")(forwarded(put)(c)) }))},
		{Section: "9112 6.1", Must: "a coding in HTTP/1.0 is a faulty framing, and the connection ends", Cases: under("codings/", "HTTP 1.0; HTTP 1.0 kept alive"), Closes: true,
			Or: append(reject, ending(withBody("ab")), ending(withBody("")), both(ending(withBody("ab")), older), both(ending(withBody("")), older))},
		{Section: "9112 7.1", Must: "chunks are understood", Or: loose,
			Cases: append(under("codings/", "chunked; another case; GET; empty body; content coding is another thing"),
				under("chunks/", "several; hexadecimal; leading zeros; CRLF in the data; a last chunk in the data; in pieces; 16 KB in bytes; 300 KB")...)},
		{Section: "9112 7.1.1", Must: "extensions of chunks are ignored, with blanks around them, too", Cases: under("chunks/", "extension; quoted extension; blank before an extension"), Or: loose},
		{Section: "9112 7.1.2", Must: "trailers do not become other fields", Cases: under("chunks/", "trailer that frames"), Or: []Choice{plainly, rejected, dropped}},
		{Section: "9112 7.1", Must: "a size that no integer holds is not taken for another", Cases: under("chunks/bad ", "2^64+3; 2^63"), Or: []Choice{partial(refusals), partial("-"), partly}},
		{Section: "9112 7.1, 8", Must: "a body whose chunks are none does not become a whole one", Or: []Choice{partial(refusals), partial("-")},
			Cases: under("chunks/bad ", "no size; minus; no digit; data too long; data too short; comma between sizes; bare CR after the size")},
	}
}

// alone is the body as its chunks have it, without the length; the connection ends.
func alone(c Case) Case {
	c = outcome(c, "200", put)
	c.Lacks, c.Ends = []string{"content-length: 6", "content-length: 2"}, true
	return c
}

// partial lets the origin see a beginning.
func partial(want string) Choice {
	return func(c Case) Case { c = outcome(c, want, ""); c.Partial = true; return c }
}

// partly is a request that is still waited for.
func partly(c Case) Case {
	c = outcome(c, "-", "")
	c.Partial, c.Waits = true, true
	return c
}

// answerRules are of what an origin says.
func answerRules() []Rule {
	return []Rule{
		{Section: "9112 6.3, 7.1", Must: "answers are understood, however they end", Or: []Choice{plainly},
			Cases: append(under("answers/", "sized; chunked; chunks with extensions; chunks in pieces; to the end; HTTP 1.0 to the end; HTTP 1.0 sized; no words; empty; closes"),
				under("bodies/", "320 KB from the origin; 320 KB in a chunk from the origin; 320 KB to the end from the origin")...)},
		{Section: "9110 15", Must: "a status is passed on, known or not", Cases: under("answers/", "status 201; status 299; status 400; status 404; status 418; status 499; status 500; status 599; range")},
		{Section: "9110 8.6", Must: "equal lengths are one, or the answer is not passed on", Cases: under("answers/", "lengths that agree; a list of lengths that agree"), Or: []Choice{failed}},
		{Section: "9112 5.1", Must: "a blank before the colon of an answer is removed", Cases: under("answers/", "blank before a colon")},
		{Section: "9112 6.3", Must: "of two framings the coding counts, and the length is removed", Cases: under("answers/", "both framings"), Or: []Choice{failed}},
		{Section: "9112 6.3", Must: "bytes behind an answer are none", Cases: under("answers/", "bytes behind the answer; bytes behind the chunks")},
		{Section: "9110 7.6.1", Must: "what Connection lists is removed", Cases: under("answers/", "fields of the connection"),
			Or: []Choice{func(c Case) Case { c.Misses = []string{"x-a"}; return c }}},
		{Section: "9110 5.1", Must: "fields are passed on", Cases: under("answers/", "fields for the client"),
			Or: []Choice{func(c Case) Case { c.Gets = []string{"set-cookie: a=b", "set-cookie: c=d", "x-a: \xe9"}; return c }}},
		{Section: "9110 6.6.1", Must: "an answer without a Date gets one", Cases: under("answers/", "without a Date")},
		{Section: "9110 15.2", Must: "1xx is passed on", Cases: under("answers/", "early hints")},
		{Section: "9110 15.2", Must: "an unexpected 100 is no answer", Cases: under("answers/", "100 unasked"), Or: []Choice{either("100 200")}},
		{Section: "9110 8.6, 9112 6.1", Must: "204 and 304 have no body, 204 no length", Cases: under("answers/", "204; 204 with a length; 304"), Or: []Choice{failed}},
		{Section: "9112 6.3", Must: "an answer to HEAD has no body", Cases: under("answers/", "HEAD; HEAD, chunked; HEAD, with a body all the same"), Or: []Choice{plainly, failed}},
		{Section: "9112 6.1", Must: "a client of HTTP/1.0 gets no chunks", Cases: under("answers/", "HTTP 1.0 client of chunks"), Or: []Choice{older}},
		{Section: "9112 8", Must: "an answer that breaks off does not become a whole one", Or: []Choice{halting, failed, severed},
			Cases: under("answers/", "cut short; chunks cut short; no last chunk; no chunk; chunk too long")},
		{Section: "9112 6.3", Must: "a length that is none is answered 502",
			Cases: under("answers/bad ", "lengths that differ; a list of lengths that differ; length with letters; negative length")},
		{Section: "9112 5.2", Must: "a folded line is answered 502, or unfolded", Cases: under("answers/bad ", "folded"), Or: []Choice{
			gotten("x: y z"), gotten("x: y  z"), gotten("x: y   z")}},
		{Section: "9110 5.5", Must: "NUL and CR in a value are refused, or become blanks", Cases: under("answers/bad ", "NUL in a value"), Or: []Choice{failed, gotten("x: ")}},
		{Section: "9110 5.5", Must: "NUL and CR in a value are refused, or become blanks", Cases: under("answers/bad ", "bare CR in a value"), Or: []Choice{failed, gotten("x: a Set-Cookie: b")}},
		{Section: "9110 2.2, 5.1", Must: "no field is sent whose name is no token", Cases: under("answers/bad ", "no colon; no name; blank in a name"), Or: []Choice{failed, severed, gotten(), gotten("x: ")}},
		{Section: "9112 4", Must: "what has no status line is no answer", Or: []Choice{failed, severed},
			Cases: under("answers/bad ", "nonsense; HTTP 0.9; status of two digits; status of four digits; status with letters; status with a sign; no status; head without an end")},
		{Section: "9110 15.2.2, 7.8", Must: "nobody switches to a protocol that was not asked for", Cases: under("answers/bad ", "101 unasked; 101 to h2c"), Or: []Choice{failed, severed, either("200")}},
	}
}

// gotten is the answer with these lines, which none with a name that is no token stand beside.
func gotten(lines ...string) Choice {
	return func(c Case) Case {
		c.Want, c.Gets, c.Misses = "200", lines, []string{"x y", "x", ""}
		if len(lines) > 0 {
			c.Misses = nil
		}
		return c
	}
}
