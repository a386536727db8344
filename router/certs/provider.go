package certs

import (
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/certmagic"
	"github.com/libdns/cloudflare"
	"github.com/libdns/digitalocean"
	"github.com/libdns/gandi"
	"github.com/libdns/hetzner"
	"github.com/libdns/ovh"
	"github.com/libdns/rfc2136"

	"paas/platform"
)

// provider is a DNS provider whose records can be changed. A new one is a line in providers, an import, and
// its module in go.mod.
type provider struct {
	keys []string // credentials that it must be given
	more []string // and that it may be given
	open func(c map[string]string) certmagic.DNSProvider
}

// providers are those built in, by the name that they are set with.
func providers() map[string]provider {
	return map[string]provider{
		"cloudflare": {keys: []string{"api_token"}, more: []string{"zone_token"}, open: func(c map[string]string) certmagic.DNSProvider {
			return &cloudflare.Provider{APIToken: c["api_token"], ZoneToken: c["zone_token"]}
		}},
		"digitalocean": {keys: []string{"api_token"}, open: func(c map[string]string) certmagic.DNSProvider {
			return &digitalocean.Provider{APIToken: c["api_token"]}
		}},
		"gandi": {keys: []string{"bearer_token"}, open: func(c map[string]string) certmagic.DNSProvider {
			return &gandi.Provider{BearerToken: c["bearer_token"]}
		}},
		"hetzner": {keys: []string{"api_token"}, open: func(c map[string]string) certmagic.DNSProvider {
			return &hetzner.Provider{AuthAPIToken: c["api_token"]}
		}},
		"ovh": {keys: []string{"endpoint", "application_key", "application_secret", "consumer_key"}, open: func(c map[string]string) certmagic.DNSProvider {
			return &ovh.Provider{Endpoint: c["endpoint"], ApplicationKey: c["application_key"],
				ApplicationSecret: c["application_secret"], ConsumerKey: c["consumer_key"]}
		}},
		"rfc2136": {keys: []string{"server", "key_name", "key_alg", "key"}, open: func(c map[string]string) certmagic.DNSProvider {
			return &rfc2136.Provider{Server: c["server"], KeyName: c["key_name"], KeyAlg: c["key_alg"], Key: c["key"]}
		}},
	}
}

// Providers implements platform.Certificates.
func (*Manager) Providers() map[string][]string {
	list := map[string][]string{}
	for name, p := range providers() {
		list[name] = p.keys
	}
	return list
}

// openProvider makes the provider that was chosen; nil when none was.
func openProvider(name string, credentials map[string]string) (certmagic.DNSProvider, error) {
	if name == "" {
		return nil, nil
	}
	p, ok := providers()[name]
	if !ok {
		return nil, platform.Errorf(platform.Usage, "%q is no DNS provider that is built in", name).
			WithHint("built in are %s", strings.Join(slices.Sorted(maps.Keys(providers())), ", "))
	}
	for _, key := range p.keys {
		if credentials[key] == "" {
			return nil, platform.Errorf(platform.Usage, "%s needs %s", name, strings.Join(p.keys, ", ")).
				WithHint("ssh paas certs:set --global dns-provider=%s dns-credentials=- < file, with a line like %s=… for each", name, key)
		}
	}
	for key := range credentials {
		if !slices.Contains(p.keys, key) && !slices.Contains(p.more, key) {
			return nil, platform.Errorf(platform.Usage, "%s knows no %q: it takes %s", name, key, strings.Join(append(p.keys, p.more...), ", "))
		}
	}
	return p.open(credentials), nil
}
