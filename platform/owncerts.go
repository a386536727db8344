package platform

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// OwnCertificate is one that an app's owner brought.
type OwnCertificate struct {
	Fingerprint string // hex SHA-256 of the leaf
	KeyPair
	CreatedAt time.Time
}

// OwnCertificates is the part of the Store that keeps them. They go with their app.
type OwnCertificates interface {
	// ReplaceCertificates adds one, if it is not nil, in the place of those with the fingerprints.
	ReplaceCertificates(ctx context.Context, name AppName, remove []string, add *OwnCertificate) error
	Certificates(ctx context.Context, name AppName) ([]OwnCertificate, error) // newest first
}

// expiresSoon is when people are told.
const expiresSoon = 21 * 24 * time.Hour

// AddCertInput is certs:add and certs:update.
type AddCertInput struct {
	App string `arg:"app"`
}

// AddedCertificate is what certs:add, update and generate have done.
type AddedCertificate struct {
	App     AppName   `json:"app"`
	Names   []string  `json:"names"`
	Domains []string  `json:"domains"` // of the app, that it serves
	Issuer  string    `json:"issuer"`
	Expires time.Time `json:"expires_at"`
	Request string    `json:"request,omitempty"` // PEM
}

// Text implements the verbs' output.
func (a AddedCertificate) Text(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%s%s serves %s with a certificate of %s until %s.\n", a.Request, a.App, strings.Join(a.Domains, ", "), a.Issuer, a.Expires.Format(time.DateOnly))
	return err
}

// AddCertificate takes a certificate with its key, in PEM or in a tar archive, from the standard input.
func (p *Platform) AddCertificate(ctx context.Context, call Call, in AddCertInput) (AddedCertificate, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return AddedCertificate{}, err
	}
	text, err := readInput(call)
	if err != nil {
		return AddedCertificate{}, err
	}
	have, err := p.Store.Certificates(ctx, app.Name)
	if err != nil {
		return AddedCertificate{}, err
	}
	pair, err := readPair(text, have)
	if err != nil {
		return AddedCertificate{}, err
	}
	return p.adoptCertificate(ctx, call, app, pair)
}

// UpdateCertificate replaces what the owner brought before.
func (p *Platform) UpdateCertificate(ctx context.Context, call Call, in AddCertInput) (AddedCertificate, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return AddedCertificate{}, err
	}
	if have, err := p.Store.Certificates(ctx, app.Name); err != nil || len(have) == 0 {
		return AddedCertificate{}, errorOr(err, Errorf(NotFound, "%s has no certificate of its own", app.Name).
			WithHint("ssh paas certs:add %s < cert-and-key.pem", app.Name))
	}
	return p.AddCertificate(ctx, call, in)
}

// adoptCertificate checks a certificate against the app's domains and the others it has, and serves it.
func (p *Platform) adoptCertificate(ctx context.Context, call Call, app App, pair KeyPair) (AddedCertificate, error) {
	if err := p.checkPair(call, pair); err != nil {
		return AddedCertificate{}, err
	}
	c, err := tls.X509KeyPair(pair.Chain, pair.Key)
	if err != nil {
		return AddedCertificate{}, err
	}
	out := AddedCertificate{App: app.Name, Names: c.Leaf.DNSNames, Issuer: c.Leaf.Issuer.CommonName, Expires: c.Leaf.NotAfter}
	hosts, err := p.hosts(ctx, app.Name)
	if err != nil {
		return out, err
	}
	for _, host := range hosts {
		if certCovers(c.Leaf, host) {
			out.Domains = append(out.Domains, host)
		}
	}
	if len(out.Domains) == 0 {
		return out, Errorf(Usage, "the certificate is for %s, and %s has none of these domains", strings.Join(c.Leaf.DNSNames, ", "), app.Name).
			WithHint("ssh paas domains:add %s DOMAIN", app.Name)
	}
	have, err := p.Store.Certificates(ctx, app.Name)
	if err != nil {
		return out, err
	}
	own := OwnCertificate{Fingerprint: fingerprintOf(c.Leaf), KeyPair: pair, CreatedAt: p.Now().UTC()}
	if err := p.Store.ReplaceCertificates(ctx, app.Name, sameNames(have, c.Leaf), &own); err != nil {
		return out, err
	}
	p.say(Event{Kind: EventCertAdded, App: app.Name, Actor: call.Actor.Name, Text: fmt.Sprintf("a certificate of %s for %s was added", out.Issuer, strings.Join(out.Domains, ", "))})
	return out, p.rewish(ctx, app)
}

// checkPair refuses what no client would take, and warns of what some would not.
func (p *Platform) checkPair(call Call, pair KeyPair) error {
	c, err := tls.X509KeyPair(pair.Chain, pair.Key)
	if err != nil {
		return Errorf(Usage, "certificate and key do not belong together: %v", err)
	}
	now := p.Now()
	if now.After(c.Leaf.NotAfter) {
		return Errorf(Usage, "the certificate expired on %s", c.Leaf.NotAfter.Format(time.DateOnly))
	}
	if len(c.Leaf.DNSNames) == 0 && len(c.Leaf.IPAddresses) == 0 {
		return Errorf(Usage, "the certificate names no host in its subject alternative names, so no client takes it")
	}
	if err := checkChain(c); err != nil {
		return err
	}
	p.warnOf(call, c)
	return nil
}

// checkChain: each certificate must be signed by the next one.
func checkChain(c tls.Certificate) error {
	below := c.Leaf
	for i, der := range c.Certificate[1:] {
		above, err := x509.ParseCertificate(der)
		if err != nil {
			return Errorf(Usage, "certificate %d of the chain cannot be read: %v", i+2, err)
		}
		if err := below.CheckSignatureFrom(above); err != nil {
			return Errorf(Usage, "certificate %d of the chain did not sign the one before it", i+2).WithHint("put the leaf first, then who signed it, and so on")
		}
		below = above
	}
	return nil
}

func (p *Platform) warnOf(call Call, c tls.Certificate) {
	now := p.Now()
	if len(c.Certificate) == 1 && !bytes.Equal(c.Leaf.RawIssuer, c.Leaf.RawSubject) {
		_, _ = fmt.Fprintln(call.Err, "Warning: the chain has no intermediate certificate, and clients that do not know it will refuse this one.")
	}
	if left := c.Leaf.NotAfter.Sub(now); left < expiresSoon {
		_, _ = fmt.Fprintf(call.Err, "Warning: it expires in %s.\n", spellLeft(left))
	}
	if now.Before(c.Leaf.NotBefore) {
		_, _ = fmt.Fprintf(call.Err, "Warning: it is not valid before %s.\n", c.Leaf.NotBefore.Format(time.RFC3339))
	}
}

func certCovers(leaf *x509.Certificate, host string) bool {
	return slices.Contains(leaf.DNSNames, host) || leaf.VerifyHostname(host) == nil
}

func fingerprintOf(leaf *x509.Certificate) string {
	sum := sha256.Sum256(leaf.Raw)
	return hex.EncodeToString(sum[:])
}

// leafOf reads the first certificate of a stored chain.
func leafOf(c OwnCertificate) (*x509.Certificate, error) {
	block, _ := pem.Decode(c.Chain)
	if block == nil {
		return nil, errors.New("the stored certificate is no PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}

// sameNames are the fingerprints of those that are for the same names: a new one takes their place.
func sameNames(have []OwnCertificate, leaf *x509.Certificate) (list []string) {
	for _, c := range have {
		if old, err := leafOf(c); err == nil && slices.Equal(slices.Sorted(slices.Values(old.DNSNames)), slices.Sorted(slices.Values(leaf.DNSNames))) {
			list = append(list, c.Fingerprint)
		}
	}
	return list
}

// readPair finds certificates and a key in PEM or in the files of a tar archive. A certificate without a key is
// for the key that certs:generate made.
func readPair(text []byte, have []OwnCertificate) (pair KeyPair, err error) {
	text, err = untar(text)
	if err != nil {
		return pair, err
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		switch {
		case block.Type == "CERTIFICATE":
			pair.Chain = append(pair.Chain, pem.EncodeToMemory(block)...)
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			if _, locked := block.Headers["DEK-Info"]; locked || block.Type == "ENCRYPTED PRIVATE KEY" {
				return pair, Errorf(Usage, "the key is locked with a passphrase").WithHint("openssl pkey -in server.key -out open.key")
			}
			pair.Key = pem.EncodeToMemory(block)
		}
	}
	if len(pair.Chain) == 0 {
		return pair, Errorf(Usage, "there is no certificate on the standard input").
			WithHint("cat server.crt server.key | ssh paas certs:add APP, or a tar archive of both")
	}
	for _, c := range have {
		if _, err := tls.X509KeyPair(pair.Chain, c.Key); pair.Key == nil && err == nil {
			pair.Key = c.Key
		}
	}
	if pair.Key == nil {
		return pair, Errorf(Usage, "there is a certificate, but no private key").WithHint("cat server.crt server.key | ssh paas certs:add APP")
	}
	return pair, nil
}

// untar joins the files of a tar archive; what is none stays as it is. The magic is at 257 (tar(5)).
func untar(text []byte) ([]byte, error) {
	if len(text) < 512 || string(text[257:262]) != "ustar" {
		return text, nil
	}
	var all []byte
	for r := tar.NewReader(bytes.NewReader(text)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, Errorf(Usage, "the archive cannot be read: %v", err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		part, err := io.ReadAll(io.LimitReader(r, maxInput))
		if err != nil {
			return nil, Errorf(Usage, "the archive cannot be read: %v", err)
		}
		all = append(append(all, part...), '\n')
	}
}

// RemoveCertInput is certs:remove.
type RemoveCertInput struct {
	App  string `arg:"app"`
	Host string `arg:"domain" optional:"true"`
}

// RemoveCertificate takes certificates away that the owner brought: all, or those for a domain.
func (p *Platform) RemoveCertificate(ctx context.Context, call Call, in RemoveCertInput) (Done, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return Done{}, err
	}
	list, err := p.ownFor(ctx, app, in.Host)
	if err != nil {
		return Done{}, err
	}
	var gone []string
	for _, c := range list {
		gone = append(gone, c.Fingerprint)
	}
	if err := p.Store.ReplaceCertificates(ctx, app.Name, gone, nil); err != nil {
		return Done{}, err
	}
	p.say(Event{Kind: EventCertRemoved, App: app.Name, Actor: call.Actor.Name, Text: fmt.Sprintf("%d certificates of its own were removed", len(gone))})
	return donef("Removed %d certificates from %s.", len(gone), app.Name), p.rewish(ctx, app)
}

// ownFor are the app's own certificates, all or those for a host. There is at least one.
func (p *Platform) ownFor(ctx context.Context, app App, named string) ([]OwnCertificate, error) {
	list, err := p.Store.Certificates(ctx, app.Name)
	if err == nil && named != "" {
		host, wrong := p.parseHost(named)
		if wrong != nil {
			return nil, wrong
		}
		list = slices.DeleteFunc(list, func(c OwnCertificate) bool {
			leaf, err := leafOf(c)
			return err != nil || !certCovers(leaf, host)
		})
	}
	if err == nil && len(list) == 0 {
		err = Errorf(NotFound, "%s has no such certificate of its own", app.Name).WithHint("see what serves: ssh paas certs:report %s", app.Name)
	}
	return list, err
}

// ShowCertInput is certs:show.
type ShowCertInput struct {
	App  string `arg:"app"`
	What string `arg:"crt|key"`
	Host string `arg:"domain" optional:"true"`
}

// ShownCertificate is certs:show.
type ShownCertificate struct {
	PEM string `json:"pem"`
}

// Text implements the verbs' output.
func (s ShownCertificate) Text(w io.Writer) error {
	_, err := io.WriteString(w, s.PEM)
	return err
}

// ShowCertificate prints a certificate that the owner brought, or its key.
func (p *Platform) ShowCertificate(ctx context.Context, call Call, in ShowCertInput) (ShownCertificate, error) {
	if err := oneOf(in.What, "crt", "key"); err != nil {
		return ShownCertificate{}, err
	}
	app, err := p.find(ctx, in.App)
	if err != nil {
		return ShownCertificate{}, err
	}
	list, err := p.ownFor(ctx, app, in.Host)
	if err != nil {
		return ShownCertificate{}, err
	}
	if in.What == "key" {
		call.Audit.Changed("private key of "+list[0].Fingerprint, "hidden", "shown")
		return ShownCertificate{string(list[0].Key)}, nil
	}
	return ShownCertificate{string(list[0].Chain)}, nil
}

// GenerateCertInput is certs:generate.
type GenerateCertInput struct {
	App   string   `arg:"app"`
	Hosts []string `arg:"domain" rest:"required"`
}

// GenerateCertificate makes a key, serves the domains with a certificate of the internal authority for it, and
// prints the request that another authority would sign. What that one returns goes to certs:add, without the key.
func (p *Platform) GenerateCertificate(ctx context.Context, call Call, in GenerateCertInput) (AddedCertificate, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return AddedCertificate{}, err
	}
	hosts, err := p.hostsNamed(ctx, app, in.Hosts)
	if err != nil {
		return AddedCertificate{}, err
	}
	pair, request, err := p.Certificates.Generate(hosts)
	if err != nil {
		return AddedCertificate{}, err
	}
	out, err := p.adoptCertificate(ctx, call, app, pair)
	out.Request = string(request)
	return out, err
}
