package platform

import (
	"context"
	"net/netip"
	"time"
)

// Certificates obtains and keeps what hostnames are served over TLS with. All methods are safe for concurrent
// use; those that do not say otherwise neither block nor fail.
type Certificates interface {
	// Configure says which authority is asked from now on. It is asked nothing before it is agreed to.
	Configure(a Authority) error
	// Want replaces what the app's hostnames shall be served with; "" is the platform's own. What lacks is
	// obtained in the background, and renewed for as long as it is wanted.
	Want(app AppName, w Wish)
	// Forget ends what Want began. Certificates that were obtained stay in the store until they expire.
	Forget(app AppName)
	// Secured tells whether the host would be served now; trusted: with a certificate that browsers know,
	// rather than one of the internal authority.
	Secured(host string, trusted bool) bool
	// Status tells about hostnames that are wanted, in their order.
	Status(hosts []string) []CertificateStatus
	// Obtain asks the authority for the host's certificate at once, whatever failed before; anew: also when
	// there is one. It blocks until that is decided.
	Obtain(ctx context.Context, host string, anew bool) error
	// Revoke has the authority declare the host's certificate void (RFC 5280, 5.3.1, has the reasons), and
	// begins to obtain another. It blocks.
	Revoke(ctx context.Context, host string, reason int) error
	// Generate makes a key, a certificate of the internal authority for it, and a request for one of another.
	Generate(hosts []string) (pair KeyPair, request []byte, err error)
	// Root is the internal authority's certificate, in PEM.
	Root() []byte
	// ASCII is a hostname's form in DNS: lower case, with punycode (UTS 46). A leading "*." stays.
	ASCII(host string) (string, error)
	// Providers are the DNS providers that DNS-01 challenges can be solved with, and what each must be told.
	Providers() map[string][]string
	// News delivers what became of obtaining and renewing. The channel is never closed. It must be read.
	News() <-chan CertificateNews
}

// Authority is whom certificates are asked of, and how. The zero value is asked nothing.
type Authority struct {
	Directory   string // URL of the ACME directory
	Agreed      bool   // an admin agreed to its terms
	Email       string
	Profile     string            // of RFC 8555's successor drafts; "": the authority's default
	KeyID, HMAC string            // external account binding (RFC 8555, 7.3.4); HMAC is base64url
	Roots       string            // PEM: who signed the directory's own certificate; "": the system's
	Resolver    string            // host:port of the DNS server for checks; "": the system's
	Addresses   []netip.Addr      // of this host as the world sees them, beside its interfaces'
	Provider    string            // of DNS, for wildcards
	Credentials map[string]string // of the provider
	Unknown     string            // what clients that ask for an unknown name get: "refuse" or "own"
	Oldest      string            // TLS version: "1.2" or "1.3"
}

// Wish is what an app wants to be served with.
type Wish struct {
	Hosts  []string  // in DNS form; "*.example.com" covers one label
	Own    []KeyPair // that the owner brought; newest first
	Issuer Issuer
	Solve  string // "auto", "http", "tls-alpn" or "dns"
	Lazy   bool   // obtain at a client's first handshake; also for names below a wildcard
	Blind  bool   // ask though a name's addresses are not this host's
}

// Issuer is who signs certificates.
type Issuer string

// The issuers. The automatic choice is the internal one for names that no public authority signs.
const (
	IssuerAuto     Issuer = "auto"
	IssuerACME     Issuer = "acme"
	IssuerInternal Issuer = "internal"
	IssuerNone     Issuer = "off"
)

// KeyPair is a certificate with its chain, leaf first, and its private key; both in PEM.
type KeyPair struct{ Chain, Key []byte }

// CertificateStatus is how it stands with one hostname.
type CertificateStatus struct {
	Host     string     `json:"host"`
	Source   string     `json:"source"`           // "own", "internal", "acme", "off"
	State    string     `json:"state"`            // "valid", "expired", "pending", "failing", "waiting", "off"
	Issuer   string     `json:"issuer,omitempty"` // who signed it
	Names    []string   `json:"names,omitempty"`  // that it is for
	Serial   string     `json:"serial,omitempty"` // in hex
	Expires  *time.Time `json:"expires_at,omitempty"`
	Error    string     `json:"error,omitempty"` // why there is none, or why it was not renewed
	Failures int        `json:"failures,omitempty"`
	Next     *time.Time `json:"next_try_at,omitempty"`
}

// CertificateNews is one attempt's outcome.
type CertificateNews struct {
	App     AppName
	Host    string
	Renewal bool
	Err     error // nil: there is a new certificate
	Next    time.Time
}

// HTTPS is how an app's plain requests are met, and what browsers are told about that.
type HTTPS struct {
	Redirect Redirect
	Port     int    // that visitors reach HTTPS on; 443 is left out of addresses. 0: HTTPS is not served
	HSTS     string // the value of Strict-Transport-Security; "": none
}

// Redirect is when a plain request is sent to HTTPS.
type Redirect string

// The redirects. Automatic is: as soon as there is a certificate that browsers trust.
const (
	RedirectAuto   Redirect = "auto"
	RedirectAlways Redirect = "on" // as soon as there is any
	RedirectNever  Redirect = "off"
)
