package main

import (
	"os"

	"github.com/rogpeppe/go-internal/testscript"

	"paas/router/certs/acmetest"
)

// acme start|down|up|revoked SERIAL: a certificate authority that looks at this platform's ports. Its directory
// is $ACME, its DNS server $ACME_DNS; who signed its own certificate is in acme-roots.pem, and what clients must
// trust in trust.pem.
func cmdACME(ts *testscript.TestScript, _ bool, args []string) {
	p := under(ts)
	switch args[0] {
	case "start":
		a, err := acmetest.Start(acmetest.Options{HTTPPort: p.http, TLSPort: p.https})
		ts.Check(err)
		p.acme = a
		ts.Setenv("ACME", a.Directory)
		ts.Setenv("ACME_DNS", a.DNS.Addr)
		ts.Check(os.WriteFile(ts.MkAbs("acme-roots.pem"), []byte(a.Roots), 0o600))
		ts.Check(os.WriteFile(ts.MkAbs("trust.pem"), []byte(a.Issuers), 0o600))
	case "down", "up":
		p.acme.Down(args[0] == "down")
	case "nowhere":
		p.acme.DNS.Point(args[1], "192.0.2.1") // TEST-NET-1 of RFC 5737
	case "here":
		p.acme.DNS.Point(args[1], "127.0.0.1")
	default:
		ts.Fatalf("acme %s?", args[0])
	}
}
