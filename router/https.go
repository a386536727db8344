package router

import (
	"bytes"
	"strconv"

	"paas/platform"
)

// challengePath is where ACME authorities look for an answer (RFC 8555, 8.3).
var challengePath = []byte("/.well-known/acme-challenge/")

// challenged answers an authority that looks whether a name leads here. It comes before any routing, for apps that
// redirect, sleep or are stopped as well.
func (f *flight) challenged() bool {
	if f.r.challenge == nil || !bytes.HasPrefix(f.req.Target, challengePath) || string(f.req.Method) != "GET" {
		return false
	}
	path, _, _ := bytes.Cut(f.req.Target, []byte("?"))
	answer, ok := f.r.challenge(string(f.host), string(path))
	if !ok {
		return false
	}
	f.status = 200
	f.fields = append(f.fields[:0],
		field{Name: []byte("Content-Type"), Value: []byte("application/octet-stream")},
		field{Name: []byte("Cache-Control"), Value: []byte("no-store")})
	f.sayPage(answer)
	return true
}

// upgraded sends a plain request to HTTPS where the app's policy asks for that and the host has a certificate.
// 308 keeps method and body (RFC 9110, 15.4.9). What a trusted proxy took over TLS is not sent there again.
func (f *flight) upgraded() bool {
	p := &f.info.HTTPS
	if f.req.TLS != nil || p.Port == 0 || p.Redirect == platform.RedirectNever || p.Redirect == "" || f.r.secured == nil {
		return false
	}
	if string(f.said("x-forwarded-proto")) == "https" || !f.r.secured(string(f.host), p.Redirect == platform.RedirectAuto) {
		return false
	}
	to := append([]byte("https://"), f.host...)
	if p.Port != 443 {
		to = strconv.AppendInt(append(to, ':'), int64(p.Port), 10)
	}
	if len(f.req.Target) > 0 && f.req.Target[0] == '/' {
		to = append(to, f.req.Target...)
	}
	f.status = 308
	f.fields = append(f.fields[:0], field{Name: []byte("Location"), Value: to})
	f.sayPage("")
	return true
}

var strictTransport = []byte("Strict-Transport-Security")

// hsts is what browsers are told about coming by HTTPS only. Plain answers must not say it (RFC 6797, 7.2).
func (f *flight) hsts() string {
	if f.req.TLS == nil || f.site == nil {
		return ""
	}
	return f.site.HTTPS.HSTS
}

// harden puts the app's policy in the place of what the instance says about it.
func (f *flight) harden(fields []field, policy string) []field {
	out := f.fields[:0]
	for _, h := range fields {
		if !bytes.EqualFold(h.Name, strictTransport) {
			out = append(out, h)
		}
	}
	f.fields = append(out, field{Name: strictTransport, Value: []byte(policy)})
	return f.fields
}
