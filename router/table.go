package router

import (
	"bytes"
	"hash/maphash"
	"slices"
	"strings"
	"sync/atomic"
)

// shards is how many parts the table has. A hostname that comes or goes costs a copy of its part: with 100,000
// hostnames that is 400 entries, some 20 µs.
const shards = 256

// maxHost is the longest hostname in bytes (RFC 1035, section 2.3.4).
const maxHost = 253

// table finds the route of a hostname. Reading it takes no lock; writers hold the router's.
type table struct {
	seed  maphash.Seed
	exact [shards]atomic.Pointer[map[string]*route]
	wild  atomic.Pointer[map[string]*route] // by the suffix behind "*."
}

func newTable() *table { return &table{seed: maphash.MakeSeed()} }

// lookup finds the route of a hostname in lower case: its own, else that of the longest wildcard.
func (t *table) lookup(host []byte) *route {
	if m := t.exact[maphash.Bytes(t.seed, host)%shards].Load(); m != nil {
		if rt := (*m)[string(host)]; rt != nil {
			return rt
		}
	}
	wild := t.wild.Load()
	if wild == nil {
		return nil
	}
	for {
		dot := bytes.IndexByte(host, '.')
		if dot < 0 {
			return nil
		}
		host = host[dot+1:]
		if rt := (*wild)[string(host)]; rt != nil {
			return rt
		}
	}
}

// change gives hosts to a route and takes others away from it, each part being copied once.
func (t *table) change(rt *route, add, remove []string) {
	edits := map[int][]edit{}
	for _, host := range remove {
		edits[t.part(host)] = append(edits[t.part(host)], edit{host: host, from: rt})
	}
	for _, host := range add {
		edits[t.part(host)] = append(edits[t.part(host)], edit{host: host, to: rt})
	}
	for part, list := range edits {
		if part == wildcards {
			publish(&t.wild, list)
		} else {
			publish(&t.exact[part], list)
		}
	}
}

// edit is one hostname's change.
type edit struct {
	host     string
	to, from *route // one of them is nil
}

// wildcards is the part of names with "*.".
const wildcards = -1

func (t *table) part(host string) int {
	if strings.HasPrefix(host, "*.") {
		return wildcards
	}
	return int(maphash.String(t.seed, host) % shards) //nolint:gosec // below 256
}

func publish(part *atomic.Pointer[map[string]*route], list []edit) {
	next := map[string]*route{}
	if have := part.Load(); have != nil {
		next = make(map[string]*route, len(*have)+len(list))
		for host, rt := range *have {
			next[host] = rt
		}
	}
	for _, e := range list {
		host := strings.TrimPrefix(e.host, "*.")
		switch {
		case e.to != nil:
			next[host] = e.to
		case next[host] == e.from:
			delete(next, host)
		}
	}
	part.Store(&next)
}

// difference lists what is in a and not in b.
func difference(a, b []string) (out []string) {
	if slices.Equal(a, b) {
		return nil
	}
	if len(a)+len(b) < 8 {
		for _, s := range a {
			if !slices.Contains(b, s) {
				out = append(out, s)
			}
		}
		return out
	}
	in := make(map[string]bool, len(b))
	for _, s := range b {
		in[s] = true
	}
	for _, s := range a {
		if !in[s] {
			out = append(out, s)
		}
	}
	return out
}

// hostOf reads the hostname of an authority into to, in lower case and without a final dot, and tells the port.
// ok is false for what is no hostname.
func hostOf(authority, to []byte) (host, port []byte, ok bool) {
	host = authority
	if i := bytes.LastIndexByte(authority, ':'); i >= 0 && bytes.IndexByte(authority[i:], ']') < 0 {
		host, port = authority[:i], authority[i+1:]
		if bytes.IndexByte(host, ':') >= 0 && host[0] != '[' { // an IPv6 address without brackets
			return nil, nil, false
		}
	}
	if n := len(host); n > 0 && host[n-1] == '.' {
		host = host[:n-1]
	}
	if len(host) == 0 || len(host) > maxHost || len(port) > 5 {
		return nil, nil, false
	}
	to = to[:0]
	for _, c := range host {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if !hostByte(c) {
			return nil, nil, false
		}
		to = append(to, c)
	}
	for _, c := range port {
		if c < '0' || c > '9' {
			return nil, nil, false
		}
	}
	return bytes.Trim(to, "[]"), port, true
}

func hostByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == ':' || c == '[' || c == ']'
}
