package edge

import (
	"net/netip"
	"strings"

	"paas/router/wire"
)

// mostHops is how many entries of X-Forwarded-For are looked at, from the end.
const mostHops = 32

// Client is who asks: the peer of the connection, or if that is a trusted proxy, whom it names. Of the addresses
// that proxies have appended to X-Forwarded-For the last one that is not a trusted proxy's counts; what stands
// before it the client may have made up. trusted tells whether the peer's X-Forwarded-* may be believed.
func Client(peer netip.Addr, fields []wire.Field, proxies []netip.Prefix) (client netip.Addr, trusted bool) {
	client = peer.Unmap().WithZone("")
	if len(proxies) == 0 || !contains(proxies, client) {
		return client, false
	}
	hops := mostHops
	for i := len(fields) - 1; i >= 0; i-- {
		if !is(fields[i].Name, "x-forwarded-for") {
			continue
		}
		list := string(fields[i].Value)
		for more := true; more && hops > 0; hops-- {
			var entry string
			list, entry, more = cutLast(list)
			addr, ok := hop(entry)
			if !ok {
				return client, true
			}
			if client = addr; !contains(proxies, client) {
				return client, true
			}
		}
	}
	return client, true
}

func cutLast(list string) (before, last string, more bool) {
	i := strings.LastIndexByte(list, ',')
	if i < 0 {
		return "", list, false
	}
	return list[:i], list[i+1:], true
}

// hop reads an address, with a port or in brackets as some proxies write it.
func hop(entry string) (netip.Addr, bool) {
	entry = strings.TrimSpace(entry)
	if ap, err := netip.ParseAddrPort(entry); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	addr, err := netip.ParseAddr(strings.Trim(entry, "[]"))
	return addr.Unmap().WithZone(""), err == nil
}
