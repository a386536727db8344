package platform

import (
	"context"
	"encoding/pem"
	"fmt"
	"maps"
	"net/mail"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// CertsTopic is the settings of certificates, of apps and of the platform.
const CertsTopic Topic = "certs"

// certKnob is a key that certs:set takes. value "-" of one with input is read from the standard input.
type certKnob struct {
	key, like, help string
	global          bool // it is about the platform; else about an app, or what holds for apps without an own
	secret          bool
	input           bool
	set             func(r *certRules, value string) error
}

// certRules are what the settings say.
type certRules struct {
	authority Authority
	wish      Wish
	https     HTTPS
}

func usualCertRules() certRules {
	return certRules{
		authority: Authority{Directory: directories()["letsencrypt"], Unknown: "refuse", Oldest: "1.2"},
		wish:      Wish{Issuer: IssuerAuto, Solve: "auto"},
		https:     HTTPS{Redirect: RedirectAuto},
	}
}

// directories are well-known authorities' (their documentation names them).
func directories() map[string]string {
	return map[string]string{
		"letsencrypt":         "https://acme-v02.api.letsencrypt.org/directory",
		"letsencrypt-staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
		"zerossl":             "https://acme.zerossl.com/v2/DV90",
		"google":              "https://dv.acme-v02.api.pki.goog/directory",
	}
}

func certKnobs() []certKnob { return append(authorityKnobs(), appCertKnobs()...) }

func authorityKnobs() []certKnob {
	return []certKnob{
		{key: "server", like: "letsencrypt-staging", global: true, help: "the authority: letsencrypt, letsencrypt-staging, zerossl, google, or the URL of an ACME directory", set: setDirectory},
		{key: "email", like: "you@example.com", global: true, help: "tells the authority who you are, and agrees to its terms", set: setEmail},
		{key: "agree", like: "true", global: true, help: "agrees to the authority's terms without an e-mail address", set: func(r *certRules, v string) error {
			agreed := false
			err := setBool(&agreed, v)
			r.authority.Agreed = r.authority.Agreed || agreed
			return err
		}},
		{key: "profile", like: "shortlived", global: true, help: "the authority's profile of certificates", set: func(r *certRules, v string) error {
			r.authority.Profile = v
			return nil
		}},
		{key: "eab-kid", like: "KEYID", global: true, help: "the account at the authority that ours is bound to", set: func(r *certRules, v string) error {
			r.authority.KeyID = v
			return nil
		}},
		{key: "eab-hmac", like: "-", global: true, secret: true, input: true, help: "the key of that account", set: func(r *certRules, v string) error {
			r.authority.HMAC = strings.TrimSpace(v)
			return nil
		}},
		{key: "trusted-roots", like: "-", global: true, input: true, help: "who may have signed the authority's own certificate, in PEM", set: setRoots},
		{key: "resolver", like: "192.0.2.53:53", global: true, help: "the DNS server for checks", set: setResolver},
		{key: "addresses", like: "203.0.113.7", global: true, help: "this host's addresses as the world sees them", set: setAddresses},
		{key: "dns-provider", like: "cloudflare", global: true, help: "who serves your DNS zones, for wildcards", set: func(r *certRules, v string) error {
			r.authority.Provider = v
			return nil
		}},
		{key: "dns-credentials", like: "-", global: true, secret: true, input: true, help: "lines of key=value that the provider asks for", set: setCredentials},
		{key: "unknown-names", like: "refuse", global: true, help: "refuse clients that ask for a name nobody has, or answer with the platform's own certificate", set: func(r *certRules, v string) error {
			r.authority.Unknown = v
			return oneOf(v, "refuse", "own")
		}},
		{key: "tls-min", like: "1.2", global: true, help: "the oldest version of TLS: 1.2 or 1.3", set: func(r *certRules, v string) error {
			r.authority.Oldest = v
			return oneOf(v, "1.2", "1.3")
		}},
	}
}

func appCertKnobs() []certKnob {
	return []certKnob{
		{key: "issuer", like: "auto", help: "auto, acme, internal or off; auto is internal for private names", set: func(r *certRules, v string) error {
			r.wish.Issuer = Issuer(v)
			return oneOf(v, "auto", "acme", "internal", "off")
		}},
		{key: "challenge", like: "auto", help: "auto (http or tls-alpn), http, tls-alpn or dns", set: func(r *certRules, v string) error {
			r.wish.Solve = v
			return oneOf(v, "auto", "http", "tls-alpn", "dns")
		}},
		{key: "on-demand", like: "true", help: "obtain when the first client asks, also for names below a wildcard", set: func(r *certRules, v string) error {
			return setBool(&r.wish.Lazy, v)
		}},
		{key: "dns-check", like: "false", help: "false: ask the authority also for names that do not point to this host", set: func(r *certRules, v string) error {
			check := true
			err := setBool(&check, v)
			r.wish.Blind = !check
			return err
		}},
		{key: "redirect", like: "auto", help: "plain requests go to HTTPS: auto (once browsers trust the certificate), on or off", set: func(r *certRules, v string) error {
			r.https.Redirect = Redirect(v)
			return oneOf(v, "auto", "on", "off")
		}},
		{key: "hsts", like: "365d", help: "browsers shall ask by HTTPS only for so long; with ,subdomains and ,preload; off by default", set: setHSTS},
	}
}

func oneOf(v string, allowed ...string) error {
	if slices.Contains(allowed, v) {
		return nil
	}
	return Errorf(Usage, "%q is none of %s", v, strings.Join(allowed, ", "))
}

func findCertKnob(key string) (certKnob, error) {
	var known []string
	for _, k := range certKnobs() {
		if k.key == key {
			return k, nil
		}
		known = append(known, k.key)
	}
	e := Errorf(Usage, "%q cannot be set here", key)
	for _, name := range known {
		if Near(key, name) {
			return certKnob{}, e.WithHint("did you mean %s?", name)
		}
	}
	return certKnob{}, e.WithHint("known are %s", strings.Join(known, ", "))
}

func setDirectory(r *certRules, v string) error {
	if known, ok := directories()[v]; ok {
		r.authority.Directory = known
		return nil
	}
	u, err := url.Parse(v)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return Errorf(Usage, "%q is no authority: name one of %s, or an https:// URL", v, strings.Join(slices.Sorted(maps.Keys(directories())), ", "))
	}
	r.authority.Directory = v
	return nil
}

func setEmail(r *certRules, v string) error {
	if a, err := mail.ParseAddress(v); err != nil || a.Address != v {
		return Errorf(Usage, "%q is no e-mail address", v)
	}
	r.authority.Email, r.authority.Agreed = v, true
	return nil
}

func setRoots(r *certRules, v string) error {
	if b, _ := pem.Decode([]byte(v)); b == nil || b.Type != "CERTIFICATE" {
		return Errorf(Usage, "the trusted roots hold no certificate in PEM")
	}
	r.authority.Roots = v
	return nil
}

func setResolver(r *certRules, v string) error {
	if _, err := netip.ParseAddrPort(v); err != nil {
		return Errorf(Usage, "%q is no DNS server: write address and port, like 192.0.2.53:53", v)
	}
	r.authority.Resolver = v
	return nil
}

func setAddresses(r *certRules, v string) error {
	r.authority.Addresses = nil
	for word := range strings.SplitSeq(v, ",") {
		a, err := netip.ParseAddr(word)
		if err != nil {
			return Errorf(Usage, "%q is no address: write it like 203.0.113.7", word)
		}
		r.authority.Addresses = append(r.authority.Addresses, a)
	}
	return nil
}

func setCredentials(r *certRules, v string) error {
	r.authority.Credentials = map[string]string{}
	for line := range strings.Lines(v) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return Errorf(Usage, "the credentials are lines of key=value")
		}
		r.authority.Credentials[strings.TrimSpace(key)] = strings.TrimSpace(value)
	}
	return nil
}

// preloadAge is what hstspreload.org asks for.
const preloadAge = 365 * 24 * time.Hour

// setHSTS takes "365d,subdomains,preload" (RFC 6797, 6.1).
func setHSTS(r *certRules, v string) error {
	r.https.HSTS = ""
	if v == "off" {
		return nil
	}
	age, rest, _ := strings.Cut(v, ",")
	d, err := parseTerm(age)
	if err != nil {
		return err
	}
	header := fmt.Sprintf("max-age=%d", int(d.Seconds()))
	words := strings.Split(rest, ",")
	for _, word := range words {
		switch word {
		case "":
		case "subdomains":
			header += "; includeSubDomains"
		case "preload":
			if d < preloadAge || !slices.Contains(words, "subdomains") {
				return Errorf(Usage, "lists of browsers take names with 365d,subdomains,preload only")
			}
			header += "; preload"
		default:
			return Errorf(Usage, "%q is no part of hsts: write it like 365d,subdomains,preload", word)
		}
	}
	r.https.HSTS = header
	return nil
}

// take applies settings: of the platform first, then the app's own.
func (r *certRules) take(list []Setting, sources map[string]string, source string) error {
	for _, s := range list {
		if s.Topic != CertsTopic {
			continue
		}
		k, err := findCertKnob(s.Key)
		if err == nil {
			err = k.set(r, s.Value)
		}
		if err != nil {
			return fmt.Errorf("read setting %s of certificates: %w", s.Key, err)
		}
		sources[s.Key] = source
	}
	return nil
}

// certRules are what holds for an app, or with "" for the platform, and where each comes from.
func (p *Platform) certRules(ctx context.Context, app AppName) (r certRules, sources map[string]string, err error) {
	r, sources = usualCertRules(), map[string]string{}
	list, err := p.Store.GlobalSettings(ctx)
	if err != nil {
		return r, sources, fmt.Errorf("read settings of certificates: %w", err)
	}
	if err := r.take(list, sources, "global"); err != nil || app == "" {
		return r, sources, err
	}
	if list, err = p.Store.Settings(ctx, app); err != nil {
		return r, sources, fmt.Errorf("read settings of certificates of %s: %w", app, err)
	}
	return r, sources, r.take(list, sources, "app")
}
