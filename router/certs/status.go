package certs

import (
	"bytes"
	"crypto/x509"
	"slices"

	"paas/platform"
)

// Secured implements platform.Certificates. Those who only know our own authority are not many.
func (m *Manager) Secured(host string, trusted bool) bool {
	n := m.find(host)
	if n == nil || m.HTTPSPort == 0 {
		return false
	}
	switch n.source {
	case fromOwner:
		return !trusted || !m.selfMade(n.own.Leaf)
	case fromInternal:
		return !trusted
	case fromACME:
		wide := m.above(n.host)
		return n.ready.Load() || wide != nil && wide.ready.Load()
	default:
		return false
	}
}

// selfMade tells whether no authority that browsers know has signed it.
func (m *Manager) selfMade(leaf *x509.Certificate) bool {
	return bytes.Equal(leaf.RawIssuer, leaf.RawSubject) || bytes.Equal(leaf.RawIssuer, m.internal.cert.RawSubject)
}

// Status implements platform.Certificates.
func (m *Manager) Status(hosts []string) []platform.CertificateStatus {
	list := []platform.CertificateStatus{}
	for _, host := range hosts {
		if v, ok := m.names.Load(host); ok {
			list = append(list, m.status(v.(*name)))
		}
	}
	return list
}

func (m *Manager) status(n *name) platform.CertificateStatus {
	s := platform.CertificateStatus{Host: n.host, Source: string(n.source)}
	switch n.source {
	case fromOwner:
		m.describeLeaf(&s, n.own.Leaf)
		s.Error = n.staple.describe()
	case fromInternal:
		c, err := m.internalLeaf(n)
		if err != nil {
			s.State, s.Error = "failing", err.Error()
			return s
		}
		m.describeLeaf(&s, c.Leaf)
	case fromNobody:
		s.State = "off"
	case fromACME:
		m.describeACME(&s, n)
	}
	return s
}

func (m *Manager) describeACME(s *platform.CertificateStatus, n *name) {
	n.mu.Lock()
	s.State, s.Error, s.Failures = n.phase, n.failure.Text, n.failure.Count
	if n.failure.Count > 0 {
		next := n.failure.Next
		s.Next = &next
	}
	n.mu.Unlock()
	for _, c := range m.cache.AllMatchingCertificates(n.host) {
		if c.Leaf != nil && (slices.Contains(c.Names, n.host) || s.Expires == nil) {
			m.describeLeaf(s, c.Leaf)
		}
	}
	if s.Expires != nil && s.Failures == 0 {
		s.Error = ""
	}
}

func (m *Manager) describeLeaf(s *platform.CertificateStatus, leaf *x509.Certificate) {
	until := leaf.NotAfter.UTC()
	s.Expires, s.Issuer, s.Serial = &until, leaf.Issuer.CommonName, leaf.SerialNumber.Text(16)
	s.Names, s.State = leaf.DNSNames, "valid"
	for _, ip := range leaf.IPAddresses {
		s.Names = append(s.Names, ip.String())
	}
	if m.Now().After(until) {
		s.State = "expired"
	}
}
