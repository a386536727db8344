package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"paas/platform"
)

const domainTime = 3 * time.Second

// host checks what of the machine no room answers for.
type host struct {
	settings  settings
	httpAddr  net.Addr
	httpsAddr net.Addr // nil: HTTPS is not served
	sshAddr   net.Addr
	systemd   bool // it was started by systemd
	names     locator
}

// locator knows where hostnames lead, and who answers at an address.
type locator interface {
	Leads(ctx context.Context, host string) error
	AnswersAt(ctx context.Context, at netip.AddrPort) bool
}

// Leads implements platform.Host.
func (h host) Leads(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, domainTime)
	defer cancel()
	return h.names.Leads(ctx, name)
}

// Inspect implements platform.Host.
func (h host) Inspect(ctx context.Context) []platform.Finding {
	return []platform.Finding{h.webPort(ctx), h.httpsFinding(), h.sshPort(), h.domain(ctx), h.service(), h.firewall(), daemonFinding()}
}

// webPort: visitors type no port, so 80 it should be, and we should be who answers there.
func (h host) webPort(ctx context.Context) platform.Finding {
	if at, ok := ownAddress(h.httpAddr); ok && h.settings.HTTPProxyProtocol == "" && h.names != nil && !h.names.AnswersAt(ctx, at) {
		return platform.Finding{Check: "http port", Grade: platform.Failing, Fix: fmt.Sprintf("ss -ltnp sport = :%d", at.Port()),
			Text: fmt.Sprintf("What answers at %s is not this platform.", at)}
	}
	if n := port(h.httpAddr); n != 80 {
		return platform.Finding{Check: "http port", Grade: platform.Warning, Fix: "paas serve --http :80",
			Text: fmt.Sprintf("Visitors must type :%d behind every name.", n)}
	}
	return platform.Finding{Check: "http port", Grade: platform.Fine, Text: "Port 80 is served."}
}

func (h host) sshPort() platform.Finding {
	return platform.Finding{Check: "ssh port", Grade: platform.Fine, Text: fmt.Sprintf("git and commands come in on port %d.", port(h.sshAddr))}
}

// domain asks whether a name of an app leads anywhere.
func (h host) domain(ctx context.Context) platform.Finding {
	f := platform.Finding{Check: "domain", Grade: platform.Fine}
	if h.settings.Domain == "localhost" {
		f.Grade, f.Text = platform.Warning, "Apps answer below localhost: nobody else finds them."
		f.Fix = "paas serve --domain apps.example.com, and point *.apps.example.com to this host"
		return f
	}
	if err := h.Leads(ctx, "paas-doctor."+h.settings.Domain); err != nil {
		f.Grade, f.Text = platform.Warning, fmt.Sprintf("Apps are not found by their names: %v.", err)
		f.Fix = fmt.Sprintf("add a DNS record: *.%s A <this host's address>", h.settings.Domain)
		return f
	}
	f.Text = fmt.Sprintf("Names below %s lead here.", h.settings.Domain)
	return f
}

// ownAddress is where a listening socket can be reached from this machine.
func ownAddress(a net.Addr) (netip.AddrPort, bool) {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}, false
	}
	at := tcp.AddrPort()
	if at.Addr().IsUnspecified() || !at.Addr().IsValid() {
		at = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port())
	}
	return at, true
}

// service: what is started by hand does not come back after a reboot.
func (h host) service() platform.Finding {
	f := platform.Finding{Check: "service", Grade: platform.Fine, Text: "systemd starts the daemon again, after a crash and after a reboot."}
	if !h.systemd {
		f.Grade, f.Text, f.Fix = platform.Warning, "The daemon was started by hand: it does not come back after a reboot.", "sudo ./install.sh"
	}
	return f
}
