package certs

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
)

// Covers tells whether the certificate that a connection was opened with stands for a request's authority as well:
// clients of HTTP/2 send requests for other names over it only then (RFC 9113, 9.1.1). It looks in memory only.
func (m *Manager) Covers(state *tls.ConnectionState, authority []byte) bool {
	host := string(authority)
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	sni := strings.ToLower(strings.TrimSuffix(state.ServerName, "."))
	if host == sni || sni == "" { // without a name it was chosen by address
		return true
	}
	n := m.find(sni)
	if n == nil {
		return false
	}
	leaf := m.serves(n)
	return leaf != nil && covers(leaf, host)
}

// serves is the certificate that a name's clients get now.
func (m *Manager) serves(n *name) *x509.Certificate {
	switch n.source {
	case fromOwner:
		return n.own.Leaf
	case fromInternal:
		if c := n.leaf.Load(); c != nil {
			return c.Leaf
		}
	case fromACME:
		for _, c := range m.cache.AllMatchingCertificates(n.host) {
			if c.Leaf != nil {
				return c.Leaf
			}
		}
	}
	return nil
}
