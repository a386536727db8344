package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
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
}

// Inspect implements platform.Host.
func (h host) Inspect(ctx context.Context) []platform.Finding {
	return []platform.Finding{h.webPort(), h.httpsFinding(), h.sshPort(), h.domain(ctx), h.service(), h.firewall()}
}

// webPort: visitors type no port, so 80 it should be.
func (h host) webPort() platform.Finding {
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
	ctx, cancel := context.WithTimeout(ctx, domainTime)
	defer cancel()
	name := "paas-doctor." + h.settings.Domain
	addrs, err := net.DefaultResolver.LookupHost(ctx, name)
	if err != nil {
		f.Grade, f.Text = platform.Warning, fmt.Sprintf("%s has no address: apps are not found by their names.", name)
		f.Fix = fmt.Sprintf("add a DNS record: *.%s A <this host's address>", h.settings.Domain)
		return f
	}
	f.Text = fmt.Sprintf("Names below %s lead to %s.", h.settings.Domain, strings.Join(addrs, ", "))
	return f
}

// service: what is started by hand does not come back after a reboot.
func (h host) service() platform.Finding {
	f := platform.Finding{Check: "service", Grade: platform.Fine, Text: "systemd starts the daemon again, after a crash and after a reboot."}
	if !h.systemd {
		f.Grade, f.Text, f.Fix = platform.Warning, "The daemon was started by hand: it does not come back after a reboot.", "sudo ./install.sh"
	}
	return f
}

// firewall names the managers that may close the ports; they are never gone around.
func (h host) firewall() platform.Finding {
	f := platform.Finding{Check: "firewall manager", Grade: platform.Fine, Text: "Neither ufw nor firewalld runs here."}
	text, err := os.ReadFile("/etc/ufw/ufw.conf")
	if err == nil && strings.Contains(string(text), "ENABLED=yes") {
		f.Grade, f.Text = platform.Warning, "ufw is on: it must let visitors and git in."
		f.Fix = fmt.Sprintf("ufw allow %d/tcp && ufw allow %d/tcp", port(h.httpAddr), port(h.sshAddr))
	}
	if _, err := os.Stat("/run/firewalld"); err == nil {
		f.Grade, f.Text = platform.Warning, "firewalld is on: it must let visitors and git in."
		f.Fix = fmt.Sprintf("firewall-cmd --permanent --add-port=%d/tcp --add-port=%d/tcp && firewall-cmd --reload", port(h.httpAddr), port(h.sshAddr))
	}
	return f
}
