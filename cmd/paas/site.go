package main

import (
	"net/http"

	"paas/controlpanel/api"
	"paas/controlpanel/login"
	"paas/controlpanel/registry"
	"paas/platform"
	"paas/verbs"
)

// table is every verb: one for all doors, since it knows what goes on.
func (r *reign) table() *verbs.Table {
	if r.verbs == nil {
		r.verbs = verbs.New(r.platform, version)
	}
	return r.verbs
}

// ownSite is what the platform's own hostnames serve: images and the API.
func (r *reign) ownSite() http.Handler {
	gate := login.New(r.platform, nil)
	mux := http.NewServeMux()
	mux.Handle(api.Prefix, api.New(api.Options{Platform: r.platform, Verbs: r.table(), Gate: gate, Version: version, Log: r.log}))
	mux.Handle("/", registry.New(registry.Options{Platform: r.platform, Store: r.rooms.shelves(), Gate: gate, Log: r.log}))
	return mux
}

// ownHosts are the names that the platform answers to; clients speak plain HTTP to those after the first two.
func ownHosts(domain string) []string {
	return []string{platform.RegistryHost(domain), platform.PanelHost(domain), "localhost", "127.0.0.1", "::1"}
}
