package main

import (
	"context"
	"net"
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
		{host{settings: settings{Domain: "localhost"}, httpAddr: at(80), sshAddr: at(2222), systemd: true}, "service", platform.Fine, "systemd"},
	} {
		found := false
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
