package verbs

import "paas/platform"

// names is every verb about what apps are called and how that is proven. Most are Dokku's, by name and words.
func names() []Verb {
	type p = platform.Platform
	return []Verb{
		define(Verb{Name: "domains:add", Access: Manage, Summary: "Let an app answer to more hostnames",
			Example: "domains:add blog www.example.com"}, (*p).AddDomain),
		define(Verb{Name: "domains:remove", Access: Manage, Summary: "Take hostnames away from an app",
			Example: "domains:remove blog www.example.com"}, (*p).RemoveDomain),
		define(Verb{Name: "domains:set", Access: Manage, Summary: "Replace an app's own hostnames",
			Example: "domains:set blog example.com '*.example.com'"}, (*p).SetDomains),
		define(Verb{Name: "domains:clear", Access: Manage, Summary: "Take all of an app's own hostnames away",
			Example: "domains:clear blog"}, (*p).ClearDomains),
		define(Verb{Name: "domains:report", Aliases: []string{"domains"}, Access: View, Summary: "Show an app's hostnames, or the platform's domains",
			Example: "domains:report blog"}, (*p).Domains),
		define(Verb{Name: "domains:add-global", Summary: "Give every app a name below more domains",
			Example: "domains:add-global apps.example.org"}, (*p).AddGlobalDomain),
		define(Verb{Name: "domains:set-global", Summary: "Replace the domains that every app has a name below",
			Example: "domains:set-global apps.example.org"}, (*p).SetGlobalDomains),
		define(Verb{Name: "domains:remove-global", Summary: "Take such a domain away",
			Example: "domains:remove-global apps.example.org"}, (*p).RemoveGlobalDomain),
		define(Verb{Name: "domains:clear-global", Summary: "Take them all away but the configured one",
			Example: "domains:clear-global"}, (*p).ClearGlobalDomains),

		define(Verb{Name: "certs:report", Aliases: []string{"certs"}, Access: View, Summary: "Show how it stands with certificates",
			Example: "certs:report blog"}, (*p).ReportCertificates),
		define(Verb{Name: "certs:set", Summary: "Set who signs certificates, and how apps use them",
			Example: "certs:set --global server=letsencrypt-staging email=you@example.com"}, (*p).SetCertificates),
		define(Verb{Name: "certs:renew", Access: Deploy, Summary: "Ask for an app's certificates now, whatever failed before",
			Example: "certs:renew blog www.example.com"}, (*p).RenewCertificates),
		define(Verb{Name: "certs:revoke", Summary: "Declare a certificate void, and get another",
			Example: "certs:revoke blog www.example.com --reason key-compromise"}, (*p).RevokeCertificate),
		define(Verb{Name: "certs:add", Access: Manage, Summary: "Serve an app's domains with a certificate of your own",
			Example: "certs:add blog < certificate-and-key.pem"}, (*p).AddCertificate),
		define(Verb{Name: "certs:update", Access: Manage, Summary: "Replace a certificate of your own",
			Example: "certs:update blog < certificate-and-key.tar"}, (*p).UpdateCertificate),
		define(Verb{Name: "certs:remove", Access: Manage, Summary: "Take certificates of your own away",
			Example: "certs:remove blog www.example.com"}, (*p).RemoveCertificate),
		define(Verb{Name: "certs:generate", Access: Manage, Summary: "Make a key, a certificate for now, and a request to sign",
			Example: "certs:generate blog www.example.com"}, (*p).GenerateCertificate),
		define(Verb{Name: "certs:show", Summary: "Print a certificate of your own, or its key",
			Example: "certs:show blog crt"}, (*p).ShowCertificate),
		define(Verb{Name: "certs:ca", Access: Anyone, Summary: "Print the root that signs private names, to trust it",
			Example: "certs:ca > paas.pem"}, (*p).InternalRoot),
	}
}
