package runtime

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"paas/platform"
)

// Listening implements platform.Runner: it reads the tables of the instance's network namespace.
func (r *Runtime) Listening(id platform.InstanceID) ([]netip.AddrPort, error) {
	c, err := r.running(id)
	if err != nil {
		return nil, err
	}
	var out []netip.AddrPort
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", c.init.pid, table))
		if errors.Is(err, os.ErrNotExist) { // a kernel without IPv6, or the instance just ended
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("find listening sockets of %s: %w", id, err)
		}
		out = append(out, parseListening(string(text))...)
	}
	slices.SortFunc(out, netip.AddrPort.Compare)
	return slices.Compact(out), nil
}

const stateListen = "0A" // TCP_LISTEN, include/net/tcp_states.h

// parseListening reads proc_pid_net(5) tcp tables: "sl local_address rem_address st …", the address as
// hex of its bytes in memory, four at a time in host order.
func parseListening(table string) []netip.AddrPort {
	var out []netip.AddrPort
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[3] != stateListen {
			continue
		}
		if a, ok := parseAddress(fields[1]); ok {
			out = append(out, a)
		}
	}
	return out
}

func parseAddress(s string) (netip.AddrPort, bool) {
	address, portText, _ := strings.Cut(s, ":")
	port, err := strconv.ParseUint(portText, 16, 16)
	b, err2 := hex.DecodeString(address)
	if err != nil || err2 != nil || len(b)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(b); i += 4 { // little-endian hosts
		slices.Reverse(b[i : i+4])
	}
	a, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(a.Unmap(), uint16(port)), ok
}
