package router

import (
	"crypto/rand"
	"encoding/hex"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
	"time"
)

// hostOf is the hostname of a Host header, in the table's form.
func hostOf(header string) (string, bool) {
	host := header
	if h, _, err := net.SplitHostPort(header); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "" || len(host) > 253 {
		return "", false
	}
	for _, c := range []byte(host) {
		letter := c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == ':' || c == '[' || c == ']'
		if !letter {
			return "", false
		}
	}
	return host, true
}

// rewrite makes the request that the instance sees. Names that tell who asks are ours to say, and names
// with "_" could be read as such by CGI-style apps; ReverseProxy drops the hop-by-hop ones.
func rewrite(p *httputil.ProxyRequest) {
	x := exchangeOf(p.In)
	out := p.Out.Header
	for name := range out {
		if strings.ContainsRune(name, '_') {
			delete(out, name)
		}
	}
	for _, name := range []string{"X-Real-Ip", "X-Forwarded-Port", "X-Request-Start"} {
		out.Del(name)
	}
	if !isWebSocket(p.In.Header) {
		out.Del("Upgrade")
		out.Del("Connection")
	}
	p.Out.URL.Scheme, p.Out.URL.Host = "http", p.In.Host
	p.Out.URL.RawQuery = p.In.URL.RawQuery // byte for byte
	p.Out.Host = p.In.Host
	p.SetXForwarded()
	out.Set("X-Forwarded-Port", portOf(p.In))
	out.Set("X-Request-Id", x.id)
	out.Set("X-Request-Start", strconv.FormatInt(x.start.UnixMilli(), 10))
	if _, given := out["User-Agent"]; !given {
		out["User-Agent"] = nil // do not let net/http add its own
	}
}

func isWebSocket(h http.Header) bool { return strings.EqualFold(h.Get("Upgrade"), "websocket") }

// portOf is the port that the client typed.
func portOf(req *http.Request) string {
	if _, port, err := net.SplitHostPort(req.Host); err == nil {
		return port
	}
	if req.TLS != nil {
		return "443"
	}
	return "80"
}

const maxRequestID = 128

// requestID keeps a sane id that came with the request, or makes one.
func requestID(req *http.Request) string {
	id := req.Header.Get("X-Request-Id")
	for _, c := range []byte(id) {
		if c <= ' ' || c > '~' || c == '"' {
			id = ""
			break
		}
	}
	if id != "" && len(id) <= maxRequestID {
		return id
	}
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// since is a duration in whole milliseconds, as the access log has it.
func since(start, now time.Time) string {
	return strconv.FormatInt(now.Sub(start).Milliseconds(), 10) + "ms"
}
