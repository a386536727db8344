package static

import (
	"fmt"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// The rules of a site lie in two files at its root, as Netlify and Cloudflare Pages define them (Netlify's
// documentation, "Redirects and rewrites" and "Custom headers"; Cloudflare's, "Redirects" and "Headers"). Where the
// two differ, Netlify's meaning counts: the status is 301 if none is given, and a file goes before a rule without "!".
const (
	redirectsFile = "_redirects"
	headersFile   = "_headers"
	maxRules      = 1 << 20 // bytes of such a file
	maxRuleCount  = 5000
)

// pattern is a path in which ":name" stands for one element and "*" for the rest.
type pattern struct {
	host  string // of a whole URL, "" for any
	parts []string
	rest  bool // ends with "*"
}

// parsePattern reads "/a/:b/*" or "https://host/a".
func parsePattern(text string) (p pattern, err error) {
	if i := strings.Index(text, "://"); i >= 0 {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" {
			return p, fmt.Errorf("%.60q is no URL", text)
		}
		p.host, text = strings.ToLower(u.Host), u.Path
	}
	if !strings.HasPrefix(text, "/") && text != "" {
		return p, fmt.Errorf("%.60q does not start with a slash", text)
	}
	if text, p.rest = strings.CutSuffix(text, "*"); p.rest && !strings.HasSuffix(text, "/") {
		return p, fmt.Errorf("%.60q has a * that is no element of its own", text+"*")
	}
	if strings.Contains(text, "*") {
		return p, fmt.Errorf("%.60q has a * before its end", text)
	}
	p.parts = elements(text)
	return p, nil
}

// elements are the parts of a path; slashes at its end, and empty parts, do not count.
func elements(text string) (parts []string) {
	for part := range strings.SplitSeq(text, "/") {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

// match tells whether a path fits, and what the placeholders stand for; that of "*" is called splat.
func (p pattern) match(host, urlPath string) (map[string]string, bool) {
	if p.host != "" && p.host != host {
		return nil, false
	}
	have := elements(urlPath)
	if len(have) < len(p.parts) || len(have) > len(p.parts) && !p.rest {
		return nil, false
	}
	values := map[string]string{}
	for i, part := range p.parts {
		if name, ok := strings.CutPrefix(part, ":"); ok {
			values[name] = have[i]
		} else if part != have[i] {
			return nil, false
		}
	}
	if p.rest {
		values["splat"] = strings.Join(have[len(p.parts):], "/")
	}
	return values, true
}

// fill puts values in the place of ":name". Of names that begin alike the longest counts.
func fill(text string, values map[string]string, escape func(string) string) string {
	var out strings.Builder
	for {
		before, after, ok := strings.Cut(text, ":")
		out.WriteString(before)
		if !ok {
			return out.String()
		}
		end := strings.IndexFunc(after, notName)
		if end < 0 {
			end = len(after)
		}
		value, known := values[after[:end]]
		if known {
			out.WriteString(escape(value))
		} else {
			out.WriteString(":" + after[:end])
		}
		text = after[end:]
	}
}

func notName(r rune) bool {
	return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
}

// rule is one line of _redirects.
type rule struct {
	from   pattern
	query  map[string]string // parameters that must be there; ":name" takes the value, anything else is the value
	to     string
	status int
	force  bool
}

// parseRedirects reads the lines of _redirects. A line that is not understood is left out and told of.
func parseRedirects(text string) (rules []rule, problems []string) {
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if len(rules) == maxRuleCount {
			return rules, append(problems, fmt.Sprintf("%s line %d: only %d rules are read", redirectsFile, n, maxRuleCount))
		}
		r, err := parseRedirect(line)
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s line %d is left out: %s", redirectsFile, n, err))
			continue
		}
		rules = append(rules, r)
	}
	return rules, problems
}

// parseRedirect reads "from [name=value…] to [status[!]] [Condition=…]".
func parseRedirect(line string) (r rule, err error) {
	words := strings.Fields(line)
	for i, word := range words {
		if strings.HasPrefix(word, "#") {
			words = words[:i]
			break
		}
	}
	if r.from, err = parsePattern(words[0]); err != nil {
		return r, err
	}
	words = words[1:]
	r.query = map[string]string{}
	for len(words) > 0 && !isTarget(words[0]) {
		name, value, ok := strings.Cut(words[0], "=")
		if !ok {
			return r, fmt.Errorf("%.60q is neither a parameter nor a target", words[0])
		}
		r.query[name] = value
		words = words[1:]
	}
	if len(words) == 0 {
		return r, fmt.Errorf("there is no target")
	}
	r.to, r.status = words[0], 301
	err = r.parseRest(words[1:])
	return r, err
}

func isTarget(word string) bool { return strings.HasPrefix(word, "/") || strings.Contains(word, "://") }

// parseRest reads the status, and refuses conditions: who a visitor is, is not known here.
func (r *rule) parseRest(words []string) (err error) {
	for _, word := range words {
		if strings.Contains(word, "=") {
			return fmt.Errorf("the condition %.60q is not known here", word)
		}
		number, forced := strings.CutSuffix(word, "!")
		if r.status, err = strconv.Atoi(number); err != nil {
			return fmt.Errorf("%.60q is no status", word)
		}
		r.force = forced
	}
	switch r.status {
	case 200, 301, 302, 303, 307, 308, 400, 401, 403, 404, 410, 451:
	default:
		return fmt.Errorf("the status %d is not one that a rule can have", r.status)
	}
	if !r.moves() && strings.Contains(r.to, "://") {
		return fmt.Errorf("%.60q is another site, which can only be redirected to", r.to)
	}
	return nil
}

// moves tells whether the browser is sent somewhere else.
func (r rule) moves() bool { return r.status >= 300 && r.status < 400 }

// target is where the rule leads from a request, if it is for it.
func (r rule) target(host string, u *url.URL) (string, bool) {
	values, ok := r.from.match(host, u.Path)
	if !ok {
		return "", false
	}
	asked := u.Query()
	for name, want := range r.query {
		if !asked.Has(name) {
			return "", false
		}
		if variable, ok := strings.CutPrefix(want, ":"); ok {
			values[variable] = asked.Get(name)
		} else if asked.Get(name) != want {
			return "", false
		}
	}
	if !r.moves() {
		return path.Clean("/" + fill(r.to, values, func(s string) string { return s })), true
	}
	return r.location(values, u), true
}

// location keeps the parameters of the request, unless the rule took some or has its own.
func (r rule) location(values map[string]string, u *url.URL) string {
	scheme, rest := "", r.to
	if i := strings.Index(r.to, "://"); i >= 0 {
		scheme, rest = r.to[:i+3], r.to[i+3:] // the colon is no placeholder
		host, tail, _ := strings.Cut(rest, "/")
		scheme, rest = scheme+host, "/"+tail
	}
	rest = fill(rest, values, escapePath)
	if scheme == "" {
		rest = "/" + strings.TrimLeft(rest, `/\`) // another slash would name another host
	}
	if !strings.Contains(rest, "?") && len(r.query) == 0 && u.RawQuery != "" {
		before, fragment, ok := strings.Cut(rest, "#")
		rest = before + "?" + u.RawQuery
		if ok {
			rest += "#" + fragment
		}
	}
	return scheme + rest
}

func escapePath(s string) string { return (&url.URL{Path: s}).EscapedPath() }
