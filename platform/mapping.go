package platform

import (
	"context"
	"strconv"
	"strings"
	"time"
)

// Scheme is what a port mapping carries.
type Scheme string

// The schemes.
const (
	HTTPScheme  Scheme = "http"
	HTTPSScheme Scheme = "https"
	TCPScheme   Scheme = "tcp"
	UDPScheme   Scheme = "udp"
)

// Mapping leads a port of the host to a port of an app's instances.
type Mapping struct {
	Scheme   Scheme      `json:"scheme"`
	HostPort int         `json:"host_port"`
	Port     int         `json:"port"` // that the instances listen on
	Type     ProcessType `json:"process_type"`

	// Proxy is the version of the PROXY protocol in which each TCP connection, or with "v2" each datagram, begins
	// with who the client is: "", "v1" or "v2".
	Proxy       string        `json:"proxy_protocol,omitempty"`
	Connections int           `json:"connections,omitempty"` // at a time; 0: DefaultConnections
	Idle        time.Duration `json:"idle,omitempty"`        // after which a silent one is closed; 0: DefaultIdle or DefaultSession
}

// Defaults and bounds of mappings. The time of a UDP session is what RFC 4787 (REQ-5) recommends at least, and
// what nf_conntrack gives a stream; the kernel asks a TCP peer that says nothing for life every 15 s anyway.
const (
	DefaultConnections = 1024
	MostConnections    = 10_000
	DefaultIdle        = time.Hour
	DefaultSession     = 2 * time.Minute
	mostMappings       = 100 // of an app
)

// String spells a mapping as ports:add takes it.
func (m Mapping) String() string {
	return string(m.Scheme) + ":" + strconv.Itoa(m.HostPort) + ":" + strconv.Itoa(m.Port)
}

// Transport is "tcp" or "udp": a port number means something else in each.
func (m Mapping) Transport() string {
	if m.Scheme == UDPScheme {
		return "udp"
	}
	return "tcp"
}

// Same tells whether two mappings want the same port of the host.
func (m Mapping) Same(other Mapping) bool {
	return m.HostPort == other.HostPort && m.Transport() == other.Transport()
}

// Limit is how many connections or sessions it takes at a time.
func (m Mapping) Limit() int {
	if m.Connections == 0 {
		return DefaultConnections
	}
	return m.Connections
}

// Patience is how long a connection or session may be silent.
func (m Mapping) Patience() time.Duration {
	switch {
	case m.Idle > 0:
		return m.Idle
	case m.Scheme == UDPScheme:
		return DefaultSession
	}
	return DefaultIdle
}

// parseMapping reads SCHEME:HOSTPORT:PORT, or SCHEME:PORT for the same port on both sides.
func parseMapping(word string) (m Mapping, err error) {
	parts := strings.Split(word, ":")
	if len(parts) == 2 {
		parts = append(parts, parts[1])
	}
	bad := Errorf(Usage, "%q is no port mapping: write it SCHEME:HOSTPORT:CONTAINERPORT, like tcp:5432:5432", word).
		WithHint("schemes are http, https, tcp and udp")
	if len(parts) != 3 {
		return m, bad
	}
	m.Scheme = Scheme(parts[0])
	switch m.Scheme {
	case HTTPScheme, HTTPSScheme, TCPScheme, UDPScheme:
	default:
		return m, bad
	}
	for i, to := range []*int{&m.HostPort, &m.Port} {
		n, err := strconv.ParseUint(parts[i+1], 10, 16)
		if err != nil || n == 0 {
			return m, bad
		}
		*to = int(n)
	}
	return m, nil
}

// PortRoute is a mapping with the instances it leads to now.
type PortRoute struct {
	Mapping
	Backends []Backend // at the mapping's own port
}

// Ports opens the host's ports. What is behind them comes with the Router's Swap.
type Ports interface {
	// Claim opens a mapping's port for an app, so that a port that cannot be had is known before anything is
	// recorded: an *Error of kind Conflict says who has it. Claiming what the app has is no error. Until the next
	// Swap of the app, which keeps what its route has and closes what it does not, nobody is let in.
	Claim(app AppName, m Mapping) error
	// Usage tells how a mapping fares.
	Usage(app AppName, m Mapping) PortUsage
}

// PortUsage is how a port mapping fares.
type PortUsage struct {
	Connections int    `json:"open"`              // connections or sessions now
	Refused     int64  `json:"refused"`           // since the daemon started, for being too many or finding no instance
	Problem     string `json:"problem,omitempty"` // why nobody listens there
}

type noPorts struct{}

func (noPorts) Claim(AppName, Mapping) error {
	return Errorf(Failed, "this platform maps no ports")
}
func (noPorts) Usage(AppName, Mapping) PortUsage { return PortUsage{} }

// Mappings keep port mappings.
type Mappings interface {
	// Mappings lists an app's, by transport and port.
	Mappings(ctx context.Context, name AppName) ([]Mapping, error)
	// SetMappings replaces all of an app's. A port that another app has is a Conflict.
	SetMappings(ctx context.Context, name AppName, list []Mapping) error
	// MappingOwner is the app that has the mapping's port of the host; NotFound if none does.
	MappingOwner(ctx context.Context, m Mapping) (AppName, error)
}

// routes gives the mappings the instances that serve.
func routePorts(list []Mapping, ready []Instance) (out []PortRoute) {
	for _, m := range list {
		to := PortRoute{Mapping: m}
		for _, i := range ready {
			if i.Type == m.Type {
				to.Backends = append(to.Backends, Backend{ID: i.ID, Name: i.Name(), Addr: addrAt(i, m.Port)})
			}
		}
		out = append(out, to)
	}
	return out
}
