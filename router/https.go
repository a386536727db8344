package router

import (
	"io"
	"net/http"
	"strconv"
	"strings"

	"paas/platform"
)

// challenged answers an ACME authority that looks whether a name leads here (RFC 8555, 8.3). It comes before any
// routing, for apps that redirect, sleep or are stopped as well.
func (r *Router) challenged(w http.ResponseWriter, req *http.Request, host string) bool {
	if r.challenge == nil || req.Method != http.MethodGet || !strings.HasPrefix(req.URL.Path, "/.well-known/acme-challenge/") {
		return false
	}
	answer, ok := r.challenge(host, req.URL.Path)
	if !ok {
		return false
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, answer)
	return true
}

// upgraded sends a plain request to HTTPS where the app's policy asks for that and the host has a certificate.
// 308 keeps method and body (RFC 9110, 15.4.9).
func (r *Router) upgraded(w http.ResponseWriter, req *http.Request, rt *route, host string) bool {
	p := rt.info.Load().HTTPS
	if req.TLS != nil || p.Port == 0 || p.Redirect == platform.RedirectNever || p.Redirect == "" || r.secured == nil {
		return false
	}
	if !r.secured(host, p.Redirect == platform.RedirectAuto) {
		return false
	}
	to := "https://" + host
	if p.Port != 443 {
		to += ":" + strconv.Itoa(p.Port)
	}
	w.Header().Set("Location", to+req.URL.RequestURI())
	w.WriteHeader(http.StatusPermanentRedirect)
	return true
}

// harden tells browsers to come by HTTPS only, if that is the app's policy. Plain answers must not say it
// (RFC 6797, 7.2).
func harden(res *http.Response) error {
	x := exchangeOf(res.Request)
	if p := x.route.info.Load().HTTPS; p.HSTS != "" && x.secure {
		res.Header.Set("Strict-Transport-Security", p.HSTS)
	}
	return nil
}

// lookup finds a host's route: its own, or that of the wildcard above it.
func (r *Router) lookup(host string) *route {
	table := *r.table.Load()
	if rt := table[host]; rt != nil {
		return rt
	}
	for _, rest, ok := strings.Cut(host, "."); ok; _, rest, ok = strings.Cut(rest, ".") {
		if rt := table["*."+rest]; rt != nil {
			return rt
		}
	}
	return nil
}
