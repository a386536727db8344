package main

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"paas/platform"
)

func TestHostChecks(t *testing.T) {
	at := func(port int) net.Addr { return &net.TCPAddr{Port: port} }
	for _, c := range []struct {
		host  host
		check string
		grade platform.Grade
		says  string
	}{
		{host{settings: settings{Domain: "localhost"}, httpAddr: at(80), sshAddr: at(2222)}, "http port", platform.Fine, "Port 80"},
		{host{settings: settings{Domain: "localhost"}, httpAddr: at(8080), sshAddr: at(2222)}, "http port", platform.Warning, ":8080"},
		{host{settings: settings{Domain: "localhost"}, httpAddr: at(80), sshAddr: at(2222)}, "ssh port", platform.Fine, "2222"},
		{host{settings: settings{Domain: "localhost"}, httpAddr: at(80), sshAddr: at(2222)}, "domain", platform.Warning, "localhost"},
		{host{settings: settings{Domain: "nowhere.invalid"}, httpAddr: at(80), sshAddr: at(2222)}, "domain", platform.Warning, "has no address"},
		{host{settings: settings{Domain: "localhost"}, httpAddr: at(80), sshAddr: at(2222)}, "service", platform.Warning, "by hand"},
		{host{settings: settings{Domain: "localhost"}, httpAddr: at(80), sshAddr: at(2222)}, "http port", platform.Failing, "not this platform"},
		{host{settings: settings{Domain: "localhost"}, httpAddr: at(80), sshAddr: at(2222), systemd: true}, "service", platform.Fine, "systemd"},
	} {
		found := false
		c.host.names = nobody{}
		if strings.Contains(c.says, "not this platform") {
			c.host.names = lost{}
		}
		for _, f := range c.host.Inspect(context.Background()) {
			if f.Check != c.check {
				continue
			}
			found = true
			if f.Grade != c.grade || !strings.Contains(f.Text, c.says) || f.Grade != platform.Fine && f.Fix == "" {
				t.Errorf("%+v, want %s with %q", f, c.grade, c.says)
			}
		}
		if !found {
			t.Errorf("nobody checks %s", c.check)
		}
	}
}

// nobody answers for names; lost is a host whose port somebody else has.
type (
	nobody struct{}
	lost   struct{ nobody }
)

func (nobody) Leads(_ context.Context, name string) error {
	return platform.Errorf(platform.Failed, "%s has no address in DNS", name)
}
func (nobody) AnswersAt(context.Context, netip.AddrPort) bool { return true }
func (lost) AnswersAt(context.Context, netip.AddrPort) bool   { return false }

func TestFirewallRules(t *testing.T) {
	dir := t.TempDir()
	if _, on := ufwCloses(dir, nil); on {
		t.Error("ufw is on without a file")
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("ufw.conf", "ENABLED=yes\n")
	write("user.rules", "-A ufw-user-input -p tcp --dport 22 -j ACCEPT\n-A ufw-user-input -p tcp -m multiport --dports 80,8000:8100 -j ACCEPT\n"+
		"-A ufw-user-input -p tcp --dport 443 -j DROP\n")
	closed, on := ufwCloses(dir, []string{"22", "80", "8042", "443", "2222"})
	if !on || strings.Join(closed, " ") != "443 2222" {
		t.Errorf("on %v, closed %v", on, closed)
	}
}
