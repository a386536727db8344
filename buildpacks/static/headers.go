package static

import (
	"fmt"
	"net/http"
	"net/textproto"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// headerRule is one block of _headers: a path, and below it, indented, headers to set and "! Name" for those to take
// away.
type headerRule struct {
	host   string
	parts  []string // of the path; ":name" stands for one element
	splat  bool     // a "*" follows prefix, and then suffix
	prefix string
	suffix string
	set    [][2]string
	remove []string
}

// reserved are headers that say how an answer is sent. The server alone knows that.
var reserved = map[string]bool{
	"Accept-Ranges": true, "Age": true, "Allow": true, "Alt-Svc": true, "Connection": true, "Content-Encoding": true, "Content-Length": true,
	"Content-Range": true, "Date": true, "Server": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true, "Etag": true,
	"Location": true, "Keep-Alive": true, "Proxy-Connection": true, "Te": true,
}

// parseHeaders reads _headers. What is not understood is left out and told of.
func parseHeaders(text string) (rules []headerRule, problems []string) {
	n := 0
	problem := func(format string, args ...any) {
		problems = append(problems, fmt.Sprintf("%s line %d is left out: ", headersFile, n)+fmt.Sprintf(format, args...))
	}
	for line := range strings.Lines(text) {
		n++
		indented := strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t")
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case !indented && (strings.HasPrefix(line, "/") || strings.Contains(line, "://")):
			if len(rules) == maxRuleCount {
				return rules, append(problems, fmt.Sprintf("%s line %d: only %d rules are read", headersFile, n, maxRuleCount))
			}
			rules = append(rules, newHeaderRule(line))
		case len(rules) == 0:
			problem("a path comes first")
		default:
			if err := rules[len(rules)-1].add(line); err != nil {
				problem("%s", err)
			}
		}
	}
	return rules, problems
}

func newHeaderRule(line string) headerRule {
	var r headerRule
	if _, rest, ok := strings.Cut(line, "://"); ok {
		host, tail, _ := strings.Cut(rest, "/")
		r.host, line = strings.ToLower(host), "/"+tail
	}
	if r.prefix, r.suffix, r.splat = strings.Cut(line, "*"); !r.splat {
		r.parts = elements(line)
	}
	return r
}

func (r *headerRule) add(line string) error {
	if name, ok := strings.CutPrefix(line, "!"); ok {
		r.remove = append(r.remove, textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name)))
		return nil
	}
	name, value, ok := strings.Cut(line, ":")
	name, value = textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name)), strings.TrimSpace(value)
	switch {
	case !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value):
		return fmt.Errorf("%.60q is not \"Name: value\"", line)
	case reserved[name]:
		return fmt.Errorf("%s is the server's to say", name)
	}
	r.set = append(r.set, [2]string{name, value})
	return nil
}

// match tells whether a request is one of the rule's, and what its placeholders stand for.
func (r headerRule) match(host, urlPath string) (map[string]string, bool) {
	if r.host != "" && r.host != host {
		return nil, false
	}
	if !r.splat {
		return pattern{parts: r.parts}.match("", urlPath)
	}
	middle, ok := strings.CutPrefix(urlPath, r.prefix)
	if !ok {
		return nil, false
	}
	middle, ok = strings.CutSuffix(middle, r.suffix)
	return map[string]string{"splat": middle}, ok
}

// apply sets the headers of all rules that match. Several values of one name are joined, as the two services do; the
// first takes the place of what the server would say.
func (h *Handler) apply(header http.Header, r *http.Request) {
	own := map[string]bool{}
	for _, rule := range h.headers {
		if values, ok := rule.match(host(r), r.URL.Path); ok {
			rule.apply(header, values, own)
		}
	}
}

// apply changes the header; own are the names that rules have set so far.
func (r headerRule) apply(header http.Header, values map[string]string, own map[string]bool) {
	for _, pair := range r.set {
		name, value := pair[0], fill(pair[1], values, oneLine)
		switch {
		case !own[name]:
			header.Set(name, value)
		case name == "Set-Cookie":
			header.Add(name, value)
		default:
			header.Set(name, header.Get(name)+", "+value)
		}
		own[name] = true
	}
	for _, name := range r.remove {
		if !reserved[name] {
			header.Del(name)
			own[name] = false
		}
	}
}

// oneLine keeps what a visitor writes into a path from becoming another header.
func oneLine(s string) string {
	if httpguts.ValidHeaderFieldValue(s) {
		return s
	}
	return ""
}

// host is the name that a request is for, without a port.
func host(r *http.Request) string {
	name := strings.ToLower(r.Host)
	if i := strings.LastIndexByte(name, ':'); i >= 0 && !strings.HasSuffix(name, "]") {
		name = name[:i]
	}
	return name
}
