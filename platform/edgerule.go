package platform

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// EdgeKind is a family of rules of requests that come as a list.
type EdgeKind string

// The kinds.
const (
	RedirectRule EdgeKind = "redirect" // key: where from; value: code and where to
	PathKind     EdgeKind = "path"     // key: the prefix; value: "app NAME" or "process NAME", and "strip"
	UserRule     EdgeKind = "user"     // key: the name; value: the password's hash
	PageRule     EdgeKind = "page"     // key: which; value: HTML
)

// EdgeRule is a rule of an app, in the words that it was asked for with.
type EdgeRule struct {
	Kind  EdgeKind
	Key   string
	Value string
}

// Edges keep what apps do with requests beside their settings.
type Edges interface {
	// EdgeRules lists all of an app's, by kind and key.
	EdgeRules(ctx context.Context, name AppName) ([]EdgeRule, error)
	// ChangeEdgeRules stores rules; one with an empty value is removed.
	ChangeEdgeRules(ctx context.Context, name AppName, list []EdgeRule) error
	// Canary is the app's second release. With a share but no release, the next one becomes it; zero is none.
	Canary(ctx context.Context, name AppName) (CanaryShare, error)
	SetCanary(ctx context.Context, name AppName, c CanaryShare) error
}

// Bounds of lists, so that looking through them stays cheap.
const (
	mostRules    = 200 // of a kind
	mostPrefixes = 1000
	mostPage     = 256 << 10 // bytes
)

// edge is what holds for the app's requests. What cannot be read is left out and returned as an error, so that
// one broken rule does not open the others.
func (p *Platform) edge(ctx context.Context, name AppName) (edgeSettings, Edge, error) {
	s, _, err := p.edgeSettings(ctx, name)
	if err != nil {
		return s, Edge{}, err
	}
	e := s.Edge
	rules, err := p.Store.EdgeRules(ctx, name)
	if err != nil {
		return s, e, fmt.Errorf("read rules of %s: %w", name, err)
	}
	for _, r := range rules {
		if err := e.take(r); err != nil {
			return s, e, fmt.Errorf("read rule %s %s of %s: %w", r.Kind, r.Key, name, err)
		}
	}
	e.Canary, err = p.Store.Canary(ctx, name)
	return s, e, err
}

func (e *Edge) take(r EdgeRule) error {
	switch r.Kind {
	case RedirectRule:
		code, to, _ := strings.Cut(r.Value, " ")
		d, err := parseRedirect(r.Key, to, code)
		e.Redirects = append(e.Redirects, d)
		return err
	case PathKind:
		rule, err := parsePath(r.Key, strings.Fields(r.Value))
		e.Paths = append(e.Paths, rule)
		return err
	case UserRule:
		e.Users = append(e.Users, Password{r.Key, r.Value})
	case PageRule:
		if e.Pages == nil {
			e.Pages = map[string][]byte{}
		}
		e.Pages[r.Key] = []byte(r.Value)
	}
	return nil
}

// parseRedirect reads "www.example.com", "/old", "/old/*" or a host with a path, and where it leads to:
// "example.com", "/new", "/new/*" or a URL.
func parseRedirect(from, to, code string) (d Redirection, err error) {
	if d.Code, err = strconv.Atoi(code); err != nil || !slices.Contains([]int{301, 302, 303, 307, 308}, d.Code) {
		return d, Errorf(Usage, "%q is no redirect: it is 301, 302, 303, 307 or 308", code)
	}
	if d.Host, d.Path, err = parsePlace(from); err != nil {
		return d, err
	}
	if d.Path, d.Rest = strings.CutSuffix(d.Path, "*"); d.Rest && !strings.HasSuffix(d.Path, "/") || strings.Contains(d.Path, "*") {
		return d, Errorf(Usage, "%q has its * in the wrong place: it stands for the rest after a slash, like /old/*", from)
	}
	var rest bool
	if d.To, rest, err = parseLocation(to); err != nil {
		return d, err
	}
	switch {
	case rest != d.Rest && rest:
		return d, Errorf(Usage, "%q has a rest and %q has none: write * in both", to, from)
	case d.Rest && !rest && d.To.Path != "":
		return d, Errorf(Usage, "%q has no *: what follows %q would be lost", to, d.Path).WithHint("write the new address like /new/*")
	case d.leadsToItself():
		return d, Errorf(Usage, "%q leads to itself", from)
	}
	return d, nil
}

func (d Redirection) leadsToItself() bool {
	sameHost := d.To.Host == "" || d.To.Host == d.Host && d.To.Scheme == ""
	path, _, _ := strings.Cut(d.To.Path, "?")
	within := path == d.Path || d.Path == "" || d.Rest && strings.HasPrefix(path, d.Path)
	return sameHost && (d.To.Path == "" || within)
}

// parsePlace splits "host/path"; each may be missing.
func parsePlace(text string) (host, path string, err error) {
	if i := strings.IndexByte(text, '/'); i >= 0 {
		text, path = text[:i], text[i:]
	}
	if text != "" {
		if host, err = plainHost(text); err != nil {
			return "", "", Errorf(Usage, "%q is neither a domain nor a path: write it like www.example.com or /old", text)
		}
	}
	if host == "" && path == "" {
		return "", "", Errorf(Usage, "where from is empty: write it like www.example.com or /old")
	}
	if strings.ContainsAny(path, "?#") || !plainPath(path) {
		return "", "", Errorf(Usage, "%q is no path: write it percent-encoded, without query", path)
	}
	return host, path, nil
}

func parseLocation(text string) (l Location, rest bool, err error) {
	bad := Errorf(Usage, "%q is no address to lead to: write it like example.com, /new, /new/* or https://example.com/new", text)
	scheme, after, isURL := strings.Cut(text, "://")
	if isURL {
		if l.Scheme, text = scheme, after; scheme != "http" && scheme != "https" {
			return l, false, bad
		}
	}
	if i := strings.IndexByte(text, '/'); i >= 0 {
		text, l.Path = text[:i], text[i:]
	}
	if l.Host = text; text == "" && (isURL || l.Path == "") {
		return l, false, bad
	}
	host, port, hasPort := strings.Cut(text, ":")
	if _, err := plainHost(host); text != "" && err != nil {
		return l, false, bad
	}
	if _, err := strconv.ParseUint(port, 10, 16); hasPort && err != nil {
		return l, false, bad
	}
	if l.Path, rest = strings.CutSuffix(l.Path, "*"); rest && !strings.HasSuffix(l.Path, "/") || strings.ContainsAny(l.Path, "*#") ||
		strings.HasPrefix(l.Path, "//") || !plainPath(l.Path) {
		return l, false, bad
	}
	return l, rest, nil
}

// plainPath has only what may stand in a path or query (RFC 3986).
func plainPath(path string) bool {
	for _, c := range []byte(path) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
			return false
		}
	}
	return len(path) <= 1024
}

// parsePath reads "app NAME", "process NAME", and "strip" behind it.
func parsePath(prefix string, words []string) (r PathRule, err error) {
	r.Prefix = prefix
	if len(prefix) > 1 {
		r.Prefix = strings.TrimSuffix(prefix, "/")
	}
	if !strings.HasPrefix(prefix, "/") || strings.HasPrefix(prefix, "//") || strings.ContainsAny(prefix, "?#*") || !plainPath(prefix) {
		return r, Errorf(Usage, "%q is no path prefix: write it like /api", prefix)
	}
	if len(words) < 2 || len(words) > 3 || len(words) == 3 && words[2] != "strip" {
		return r, fmt.Errorf("%q is no path rule", words)
	}
	r.Strip = len(words) == 3
	switch words[0] {
	case "app":
		r.App, err = ParseAppName(words[1])
	case "process":
		r.Process = ProcessType(words[1])
	default:
		err = fmt.Errorf("%q is no path rule", words)
	}
	return r, err
}

func (r PathRule) words() string {
	text := "app " + string(r.App)
	if r.App == "" {
		text = "process " + string(r.Process)
	}
	if r.Strip {
		text += " strip"
	}
	return text
}
