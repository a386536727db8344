package network

import (
	"net/netip"
	"os"
	"slices"
	"strings"
)

// Where the host's resolver is configured (resolv.conf(5)), and where systemd-resolved keeps the
// servers it asks itself when it puts its own loopback address into the first.
const (
	hostResolv    = "/etc/resolv.conf"
	systemdResolv = "/run/systemd/resolve/resolv.conf"
)

// resolvFile is a resolv.conf: its servers, and all other lines.
type resolvFile struct {
	servers []netip.Addr
	rest    []string
}

func readResolv(path string) resolvFile {
	data, _ := os.ReadFile(path) // absent is as good as empty
	return parseResolv(string(data))
}

func parseResolv(data string) resolvFile {
	var f resolvFile
	for line := range strings.Lines(data) {
		fields := strings.Fields(line)
		if len(fields) < 2 || strings.HasPrefix(fields[0], "#") || strings.HasPrefix(fields[0], ";") {
			continue
		}
		if fields[0] != "nameserver" {
			f.rest = append(f.rest, strings.Join(fields, " "))
		} else if addr, err := netip.ParseAddr(fields[1]); err == nil {
			f.servers = append(f.servers, addr)
		}
	}
	return f
}

// domains are those that the host looks short names up in.
func (f resolvFile) domains() []string {
	var list []string
	for _, line := range f.rest {
		fields := strings.Fields(line)
		if fields[0] == "search" || fields[0] == "domain" {
			for _, d := range fields[1:] {
				list = append(list, strings.ToLower(strings.Trim(d, ".")))
			}
		}
	}
	return list
}

// hostServers are whom the daemon asks: all that the host asks, those on its loopback too.
func hostServers() []netip.Addr {
	if servers := readResolv(hostResolv).servers; len(servers) > 0 {
		return servers
	}
	return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})} // as the C library does
}

// containerServers are those of the host that a container could ask itself: IPv4, not on the host's loopback.
func containerServers() []netip.Addr {
	for _, file := range []string{hostResolv, systemdResolv} {
		var servers []netip.Addr
		for _, s := range readResolv(file).servers {
			if s.Is4() && !s.IsLoopback() && !slices.Contains(servers, s) {
				servers = append(servers, s)
			}
		}
		if len(servers) > 0 {
			return servers
		}
	}
	return nil
}

// resolv is the container's resolv.conf. It names the gateway alone: some C libraries ask all servers at
// once and take the first answer, and another server knows nothing of our names. While nobody listens at
// the gateway, the walls lead questions to the host's own server.
func (n *Network) resolv() []byte {
	servers := []netip.Addr{n.gateway()}
	if n.names == nil {
		servers = containerServers()
	}
	var b strings.Builder
	for _, s := range servers {
		b.WriteString("nameserver " + s.String() + "\n")
	}
	for _, line := range readResolv(hostResolv).rest {
		b.WriteString(line + "\n")
	}
	return []byte(b.String())
}
