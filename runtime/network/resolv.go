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

// readResolv makes a resolv.conf for containers of the host's, and tells its servers. Servers that a
// container cannot reach are left out: those on the host's loopback, and all of IPv6.
func readResolv() (content []byte, servers []netip.Addr) {
	for _, file := range []string{hostResolv, systemdResolv} {
		data, _ := os.ReadFile(file) // absent is as good as empty: glibc then asks loopback
		content, servers = filterResolv(string(data))
		if len(servers) > 0 {
			break
		}
	}
	return content, servers
}

func filterResolv(data string) (content []byte, servers []netip.Addr) {
	for line := range strings.Lines(data) {
		fields := strings.Fields(line)
		if len(fields) < 2 || strings.HasPrefix(fields[0], "#") || strings.HasPrefix(fields[0], ";") {
			continue
		}
		if fields[0] == "nameserver" {
			addr, err := netip.ParseAddr(fields[1])
			if err != nil || !addr.Is4() || addr.IsLoopback() {
				continue
			}
			servers = append(servers, addr)
		}
		content = append(content, strings.Join(fields, " ")+"\n"...)
	}
	return content, servers
}

// resolv is the container's resolv.conf; the walls let it ask these servers.
func (n *Network) resolv() ([]byte, error) {
	content, servers := readResolv()
	n.mu.Lock()
	defer n.mu.Unlock()
	if slices.Equal(servers, n.resolvers) {
		return content, nil
	}
	if err := n.allowResolvers(servers); err != nil {
		return nil, err
	}
	n.resolvers = servers
	return content, nil
}
