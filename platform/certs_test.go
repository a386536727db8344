package platform

import (
	"archive/tar"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"strings"
	"testing"
	"time"
)

// signed is a certificate with its key, signed by another one or by itself.
type signed struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
	crt []byte
	pem []byte // of the key
}

func sign(t *testing.T, by *signed, change func(*x509.Certificate)) *signed {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "one"}, DNSNames: []string{"www.example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour),
	}
	change(c)
	s := &signed{}
	s.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	parent, key := c, s.key
	if by != nil {
		parent, key = by.Certificate, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, s.key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	s.Certificate, _ = x509.ParseCertificate(der)
	s.crt = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	secret, _ := x509.MarshalPKCS8PrivateKey(s.key)
	s.pem = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	return s
}

func asCA(c *x509.Certificate) {
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	c.Subject.CommonName, c.DNSNames = "authority", nil
}

// What owners bring is looked at before anybody is served with it.
func TestOwnCertificatesAreChecked(t *testing.T) {
	ca := sign(t, nil, asCA)
	other := sign(t, nil, asCA)
	leaf := sign(t, ca, func(*x509.Certificate) {})
	self := sign(t, nil, func(*x509.Certificate) {})
	old := sign(t, ca, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	nameless := sign(t, ca, func(c *x509.Certificate) { c.DNSNames = nil })
	soon := sign(t, ca, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(3 * 24 * time.Hour) })
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	archive := func(parts ...[]byte) []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for i, p := range parts {
			_ = w.WriteHeader(&tar.Header{Name: string(rune('a' + i)), Mode: 0o600, Size: int64(len(p)), Typeflag: tar.TypeReg})
			_, _ = w.Write(p)
		}
		_ = w.Close()
		return b.Bytes()
	}
	p := &Platform{Rooms: Rooms{Now: time.Now, Log: slog.New(slog.DiscardHandler)}}
	for name, try := range map[string]struct {
		input  []byte
		refuse string // "": accepted
		warn   string
	}{
		"chain":         {join(leaf.crt, ca.crt, leaf.pem), "", ""},
		"key first":     {join(leaf.pem, leaf.crt, ca.crt), "", ""},
		"tar":           {archive(leaf.crt, ca.crt, leaf.pem), "", ""},
		"self-signed":   {join(self.crt, self.pem), "", ""},
		"no chain":      {join(leaf.crt, leaf.pem), "", "no intermediate"},
		"soon":          {join(soon.crt, ca.crt, soon.pem), "", "expires in"},
		"expired":       {join(old.crt, ca.crt, old.pem), "expired on", ""},
		"other chain":   {join(leaf.crt, other.crt, leaf.pem), "did not sign", ""},
		"other key":     {join(leaf.crt, ca.crt, other.pem), "do not belong together", ""},
		"no name":       {join(nameless.crt, ca.crt, nameless.pem), "names no host", ""},
		"no key":        {leaf.crt, "no private key", ""},
		"nothing":       {nil, "no certificate", ""},
		"no PEM":        {[]byte("hello"), "no certificate", ""},
		"locked":        {join(leaf.crt, []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")), "passphrase", ""},
		"broken tar":    {archive(leaf.crt)[:700], "cannot be read", ""},
		"key of before": {join(leaf.crt, ca.crt), "", ""},
	} {
		var have []OwnCertificate
		if name == "key of before" {
			have = []OwnCertificate{{KeyPair: KeyPair{Chain: self.crt, Key: self.pem}}, {KeyPair: KeyPair{Chain: leaf.crt, Key: leaf.pem}}}
		}
		var said strings.Builder
		pair, err := readPair(try.input, have)
		if err == nil {
			err = p.checkPair(Call{Err: &said}, pair)
		}
		if (err == nil) != (try.refuse == "") || err != nil && (KindOf(err) != Usage || !strings.Contains(err.Error(), try.refuse)) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && (try.warn == "" && said.Len() > 0 || !strings.Contains(said.String(), try.warn)) {
			t.Errorf("%s: warned %q", name, said.String())
		}
	}
}

// Words of certs:set mean what the documentation says, and no others are taken.
func TestCertSettings(t *testing.T) {
	for _, try := range []struct {
		words  string
		global bool
		ok     bool
	}{
		{"server=letsencrypt email=a@example.com", true, true}, {"server=ftp://x", true, false}, {"server=nobody", true, false},
		{"email=Alice<a@example.com>", true, false}, {"email=a@example.com", false, false}, {"agree=maybe", true, false},
		{"resolver=192.0.2.1:53 addresses=203.0.113.7,2001:db8::7", true, true}, {"resolver=localhost", true, false}, {"addresses=here", true, false},
		{"unknown-names=own tls-min=1.3", true, true}, {"tls-min=1.1", true, false}, {"dns-credentials=abc", true, false},
		{"issuer=internal challenge=dns on-demand=true dns-check=false", false, true}, {"issuer=me", false, false}, {"challenge=smtp", false, false},
		{"hsts=365d,subdomains,preload", false, true}, {"hsts=30d,subdomains,preload", false, false}, {"hsts=365d,preload", false, false},
		{"hsts=forever", false, false}, {"hsts=off redirect=on", true, true}, {"redirect=sometimes", false, false}, {"hsts=clear", false, true},
	} {
		_, err := certChanges(Call{}, strings.Fields(try.words), try.global)
		if (err == nil) != try.ok || err != nil && KindOf(err) != Usage {
			t.Errorf("%s: %v", try.words, err)
		}
	}
	r := usualCertRules()
	if r.authority.Agreed || r.https.HSTS != "" || r.wish.Blind {
		t.Errorf("the defaults are %+v", r)
	}
	if err := setHSTS(&r, "365d,subdomains"); err != nil || r.https.HSTS != "max-age=31536000; includeSubDomains" {
		t.Errorf("%q, %v", r.https.HSTS, err)
	}
	if err := setCredentials(&r, "# mine\napi_token = a=b \n\n"); err != nil || r.authority.Credentials["api_token"] != "a=b" {
		t.Errorf("%v, %v", r.authority.Credentials, err)
	}
	secret := []Setting{{Topic: CertsTopic, Key: "dns-credentials", Value: "api_token=x"}, {Topic: CertsTopic, Key: "email", Value: "a@b.c"}}
	if shown := veiled(secret); shown[0].Value == "api_token=x" || shown[1].Value != "a@b.c" || secret[0].Value != "api_token=x" {
		t.Errorf("%+v", shown)
	}
}
