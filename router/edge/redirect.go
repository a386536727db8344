package edge

import (
	"bytes"
	"cmp"
	"strings"

	"paas/platform"
	"paas/router/wire"
)

type redirect struct {
	platform.Redirection
	host, path []byte
}

// compileRedirects puts what says more in front: a host before any, a whole path before a prefix, a longer prefix
// before a shorter one.
func compileRedirects(list []platform.Redirection) []redirect {
	list = sorted(list, func(a, b platform.Redirection) int {
		return cmp.Or(cmp.Compare(len(b.Host), len(a.Host)), cmp.Compare(width(a), width(b)), cmp.Compare(len(b.Path), len(a.Path)))
	})
	var out []redirect
	for _, d := range list {
		out = append(out, redirect{d, []byte(d.Host), []byte(d.Path)})
	}
	return out
}

// width is how many paths a redirect is for: one, many, all.
func width(d platform.Redirection) int {
	switch {
	case d.Path == "":
		return 2
	case d.Rest:
		return 1
	}
	return 0
}

func (r *Rules) redirect(req *wire.Request) *Answer {
	if len(r.redirects) == 0 {
		return nil
	}
	path, query, asked := cut(req.Target, '?')
	if len(path) == 0 || path[0] != '/' { // OPTIONS *
		return nil
	}
	host, port := splitPort(req.Authority)
	for i := range r.redirects {
		d := &r.redirects[i]
		if !d.fits(host, path) {
			continue
		}
		to := d.location(req, port, path)
		if asked && !strings.Contains(d.To.Path, "?") {
			to = append(append(to, '?'), escaped(query)...)
		}
		return &Answer{Status: d.Code, Fields: []wire.Field{{Name: []byte("Location"), Value: to}}}
	}
	return nil
}

func (d *redirect) fits(host, path []byte) bool {
	if len(d.host) > 0 && !bytes.EqualFold(host, d.host) {
		return false
	}
	switch {
	case len(d.path) == 0:
		return true
	case d.Rest:
		return bytes.HasPrefix(path, d.path) || len(path) == len(d.path)-1 && bytes.HasPrefix(d.path, path)
	}
	return bytes.Equal(path, d.path)
}

// location spells the address. What comes from the client is escaped where it could mean something else, and
// never makes the beginning of a path into a host ("//", "/\").
func (d *redirect) location(req *wire.Request, port, path []byte) (to []byte) {
	if d.To.Host != "" {
		to = append(to, cmp.Or(d.To.Scheme, scheme(req))+"://"+d.To.Host...)
		if d.To.Scheme == "" && !strings.Contains(d.To.Host, ":") {
			to = append(to, port...)
		}
	}
	begin := len(to)
	switch {
	case d.To.Path == "":
		to = append(to, escaped(path)...)
	case d.Rest && len(path) >= len(d.path):
		base, query, asks := strings.Cut(d.To.Path, "?")
		to = append(append(to, base...), escaped(path[len(d.path):])...)
		if asks {
			to = append(append(to, '?'), query...)
		}
	default:
		to = append(to, d.To.Path...)
	}
	for d.To.Host == "" && len(to) > begin+1 && to[begin] == '/' && to[begin+1] == '/' {
		to = append(to[:begin], to[begin+1:]...)
	}
	return to
}

func scheme(req *wire.Request) string {
	if req.TLS != nil {
		return "https"
	}
	return "http"
}

// escaped percent-encodes what has no place in a URL (RFC 3986, 2).
func escaped(b []byte) []byte {
	const hex = "0123456789ABCDEF"
	out := make([]byte, 0, len(b))
	for _, c := range b {
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}#", c) >= 0 {
			out = append(out, '%', hex[c>>4], hex[c&15])
			continue
		}
		out = append(out, c)
	}
	return out
}

// splitPort parts ":8080" from an authority.
func splitPort(authority []byte) (host, port []byte) {
	i := bytes.LastIndexByte(authority, ':')
	if i < 0 || bytes.IndexByte(authority[i:], ']') >= 0 {
		return bytes.TrimSuffix(authority, []byte(".")), nil
	}
	return bytes.TrimSuffix(authority[:i], []byte(".")), authority[i:]
}
