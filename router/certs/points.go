package certs

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"paas/platform"
)

// Before an authority is asked to look at a name's address, we look ourselves: failed validations count
// against the account. An address is ours when an interface or a setting has it, or when what answers there on
// port 80 knows our secret, as it does behind a router, a load balancer or a CDN.
const (
	lookupTime = 10 * time.Second
	probeTime  = 5 * time.Second
	secretKey  = "probe"
)

// sharedSecret is 32 bytes that all processes over the vault know.
func (m *Manager) sharedSecret(ctx context.Context) (secret []byte, err error) {
	err = m.storage.locked(ctx, secretKey, func() error {
		var err error
		secret, err = m.storage.Load(ctx, secretKey)
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		secret = make([]byte, 32)
		_, _ = rand.Read(secret) // never fails (crypto/rand)
		return m.storage.Store(ctx, secretKey, secret)
	})
	if err == nil && len(secret) != 32 {
		err = fmt.Errorf("the vault's %s is broken", secretKey)
	}
	return secret, err
}

// probeAnswer answers our own question.
func (m *Manager) probeAnswer(token string) (string, bool) {
	return hex.EncodeToString(m.secret[16:]), token == hex.EncodeToString(m.secret[:16])
}

// Leads is an error of kind Failed when a hostname does not lead visitors here. It blocks on DNS and on what
// answers at its addresses.
func (m *Manager) Leads(ctx context.Context, host string) error { return m.pointsHere(ctx, host) }

// AnswersAt tells whether what answers HTTP at an address is this platform. It blocks for probeTime at most.
func (m *Manager) AnswersAt(ctx context.Context, at netip.AddrPort) bool {
	return m.knowsSecret(ctx, "localhost", at.String())
}

// pointsHere is an error of kind Failed when one of the host's addresses is not ours. It blocks on DNS and on
// what answers at the addresses.
func (m *Manager) pointsHere(ctx context.Context, host string) error {
	looking, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	a := m.asked.Load()
	addrs, err := a.resolver.LookupNetIP(looking, "ip", host)
	if err != nil {
		var none *net.DNSError
		if errors.As(err, &none) && none.IsNotFound {
			return platform.Errorf(platform.Failed, "%s has no address in DNS", host)
		}
		return platform.Errorf(platform.Failed, "DNS does not tell where %s is: %v", host, err).Because(err)
	}
	own := append(interfaceAddrs(), a.spec.Addresses...)
	for _, addr := range addrs {
		if addr = addr.Unmap(); !slices.Contains(own, addr) && !m.answers(ctx, host, addr) {
			return platform.Errorf(platform.Failed, "%s points to %s, which is not this host", host, addr)
		}
	}
	return nil
}

func interfaceAddrs() (list []netip.Addr) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil // then the addresses have to answer
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if addr, ok := netip.AddrFromSlice(n.IP); ok {
				list = append(list, addr.Unmap())
			}
		}
	}
	return list
}

// answers asks an address on the world's port 80 whether it leads to us. Addresses that the world cannot reach
// are not asked: a domain must not lead us into somebody's network.
func (m *Manager) answers(ctx context.Context, host string, addr netip.Addr) bool {
	if addr.IsLoopback() || addr.IsPrivate() || addr.IsLinkLocalUnicast() || addr.IsMulticast() || addr.IsUnspecified() {
		return false
	}
	return m.knowsSecret(ctx, host, net.JoinHostPort(addr.String(), strconv.Itoa(m.ProbePort)))
}

func (m *Manager) knowsSecret(ctx context.Context, host, at string) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at+challengePath+hex.EncodeToString(m.secret[:16]), nil)
	if err != nil {
		return false
	}
	req.Host = host
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req) // follows no redirect
	if err != nil {
		return false
	}
	defer func() { _ = res.Body.Close() }()
	want := hex.EncodeToString(m.secret[16:])
	body, err := io.ReadAll(io.LimitReader(res.Body, int64(len(want))+1))
	return err == nil && string(body) == want
}
