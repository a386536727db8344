package platform

import (
	"net/netip"
	"strconv"
	"strings"
)

// Policy is whom the instances of one app may reach beside each other. The zero Policy: the internet, and
// no other app.
type Policy struct {
	App     AppName
	Links   []Link   // their App is the policy's
	Limited bool     // the internet is closed but for Allow
	Allow   []Egress // means something only if Limited
}

// Link lets every instance of App open connections to instances of To.
type Link struct {
	App  AppName     `json:"app"`
	To   AppName     `json:"to"`
	Type ProcessType `json:"type,omitempty"` // of To; "" is all
	Port int         `json:"port,omitempty"` // TCP and UDP; 0 is all
}

// Egress is one destination outside the platform. Exactly one of Prefix and Host is set.
type Egress struct {
	Prefix netip.Prefix `json:"prefix"`
	Host   string       `json:"host"` // lower case; "*.example.com" is every name below example.com
	Port   int          `json:"port"` // TCP and UDP; 0 is all
}

// ParseEgress reads "203.0.113.0/24", "203.0.113.7:443", "[2001:db8::/32]:443", "api.example.com:443" or
// "*.example.com".
func ParseEgress(s string) (Egress, error) {
	bad := Errorf(Usage, "%q is not a destination", s).
		WithHint("write it like 203.0.113.0/24:443, [2001:db8::/32]:443, api.example.com or *.example.com:443")
	place, port, ok := cutPort(s)
	if !ok {
		return Egress{}, bad
	}
	if addr, err := netip.ParseAddr(place); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return Egress{Prefix: netip.PrefixFrom(addr, addr.BitLen()), Port: port}, nil
	}
	if p, err := netip.ParsePrefix(place); err == nil && !p.Addr().Is4In6() {
		return Egress{Prefix: p.Masked(), Port: port}, nil
	}
	host, err := plainHost(strings.TrimPrefix(place, "*."))
	if err != nil || looksNumeric(host) {
		return Egress{}, bad
	}
	if strings.HasPrefix(place, "*.") {
		host = "*." + host
	}
	return Egress{Host: host, Port: port}, nil
}

// looksNumeric tells a mistyped address from a name: no top-level domain is a number.
func looksNumeric(host string) bool {
	_, err := strconv.Atoi(host[strings.LastIndexByte(host, '.')+1:])
	return err == nil
}

// cutPort splits off ":443"; a bare IPv6 address has colons of its own.
func cutPort(s string) (place string, port int, ok bool) {
	if inside, found := strings.CutPrefix(s, "["); found {
		var rest string
		if place, rest, ok = strings.Cut(inside, "]"); !ok {
			return "", 0, false
		}
		if rest == "" {
			return place, 0, true
		}
		s = "x" + rest
	} else if strings.Count(s, ":") != 1 {
		return s, 0, s != ""
	}
	host, digits, _ := strings.Cut(s, ":")
	if place == "" {
		place = host
	}
	number, err := strconv.ParseUint(digits, 10, 16)
	return place, int(number), err == nil && number > 0 && place != ""
}

// String is what ParseEgress reads.
func (e Egress) String() string {
	place := e.Host
	if e.Host == "" {
		place = e.Prefix.String()
		if e.Prefix.IsSingleIP() {
			place = e.Prefix.Addr().String()
		}
	}
	switch {
	case e.Port == 0:
		return place
	case e.Host == "" && e.Prefix.Addr().Is6():
		return "[" + place + "]:" + strconv.Itoa(e.Port)
	default:
		return place + ":" + strconv.Itoa(e.Port)
	}
}

// MarshalText and UnmarshalText make it a string in JSON.
func (e Egress) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (e *Egress) UnmarshalText(b []byte) (err error) {
	*e, err = ParseEgress(string(b))
	return err
}
