package certs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/crypto/ocsp"
)

// Certificates that owners brought are stapled here; those that certmagic obtained it staples itself. A certificate
// names its responder, and its owner may have made it up: only public addresses are asked, over plain HTTP as RFC 6960
// has it, and nothing of an answer is shown but whether it is one.

const (
	staplePrefix = "ocsp-own/"
	stapleLook   = time.Minute // how often they are looked at
	stapleTime   = 10 * time.Second
	stapleMost   = 64 << 10 // bytes of an answer
	stapleRetry  = time.Minute
	stapleCeil   = time.Hour       // between attempts that fail
	stapleSkew   = 5 * time.Minute // a responder's clock may be ahead
	stapleAtOnce = 8
	// stapleWait is how long a handshake waits for the first answer, where clients refuse the certificate without one.
	stapleWait = 5 * time.Second
)

// staple is what a certificate's authority says about it.
type staple struct {
	pair   *tls.Certificate
	issuer *x509.Certificate
	key    string // in the vault
	must   bool   // clients insist on it (RFC 7633)

	served atomic.Pointer[tls.Certificate] // with an answer; nil: there is none
	tried  chan struct{}                   // closed after the first attempt
	once   sync.Once

	mu       sync.Mutex
	next     time.Time // attempt
	until    time.Time // the answer holds
	failures int
	revoked  bool
	problem  error
}

// newStaple is nil for a certificate that names no responder or whose issuer is not known.
func newStaple(pair *tls.Certificate) *staple {
	if pair == nil || len(pair.Leaf.OCSPServer) == 0 || len(pair.Certificate) < 2 {
		return nil
	}
	issuer, err := x509.ParseCertificate(pair.Certificate[1])
	if err != nil {
		return nil
	}
	sum := sha256.Sum256(pair.Certificate[0])
	return &staple{pair: pair, issuer: issuer, key: staplePrefix + hex.EncodeToString(sum[:]), must: mustStaple(pair.Leaf), tried: make(chan struct{})}
}

// mustStaple looks for the TLS feature status_request (RFC 7633, 4.2.3.1).
func mustStaple(leaf *x509.Certificate) bool {
	const statusRequest = 5
	for _, e := range leaf.Extensions {
		var features []int
		if e.Id.Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}) {
			_, err := asn1.Unmarshal(e.Value, &features)
			return err == nil && slices.Contains(features, statusRequest)
		}
	}
	return false
}

// stapled is the owner's certificate as it is served now.
func (m *Manager) stapled(n *name) *tls.Certificate {
	s := n.staple
	if s == nil {
		return n.own
	}
	if s.must && s.served.Load() == nil {
		select {
		case <-s.tried:
		case <-time.After(stapleWait):
		}
	}
	if c := s.served.Load(); c != nil {
		return c
	}
	return n.own
}

// stapleOf is the one of a certificate that is known already, or a new one. The caller holds mu.
func (m *Manager) stapleOf(own *tls.Certificate) *staple {
	s := newStaple(own)
	if s == nil {
		return nil
	}
	if known := m.staples[s.key]; known != nil {
		return known
	}
	m.staples[s.key] = s
	select {
	case m.stapleKick <- struct{}{}:
	default:
	}
	return s
}

// keepStaples looks after all of them until Close.
func (m *Manager) keepStaples() {
	tick := time.NewTicker(m.StapleEvery)
	defer tick.Stop()
	for {
		m.refreshStaples()
		select {
		case <-tick.C:
		case <-m.stapleKick:
		case <-m.life.Done():
			return
		}
	}
}

func (m *Manager) refreshStaples() {
	slots := make(chan struct{}, stapleAtOnce)
	var all sync.WaitGroup
	for _, s := range m.stapleList() {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			m.refresh(s)
		})
	}
	all.Wait()
}

// stapleList are those of certificates that are served; others are forgotten.
func (m *Manager) stapleList() (list []*staple) {
	m.mu.Lock()
	defer m.mu.Unlock()
	used := map[*staple]bool{}
	m.names.Range(func(_, v any) bool {
		used[v.(*name).staple] = true
		return true
	})
	for key, s := range m.staples {
		if used[s] {
			list = append(list, s)
			continue
		}
		delete(m.staples, key)
		if err := m.storage.vault.Drop(m.life, key); err != nil && m.life.Err() == nil {
			m.Log.Error("forget an OCSP answer", "err", err)
		}
	}
	return list
}

// refresh brings one up to date, if it is due.
func (m *Manager) refresh(s *staple) {
	defer s.once.Do(func() { close(s.tried) })
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next.IsZero() {
		if kept, _, err := m.storage.vault.Fetch(m.life, s.key); err == nil {
			_ = s.take(kept, m.Now()) // one that is too old is asked for anew
		}
	}
	if m.Now().After(s.until) {
		s.served.Store(nil)
	}
	if m.Now().Before(s.next) {
		return
	}
	answer, err := m.askResponder(s)
	if err == nil {
		err = s.take(answer, m.Now())
	}
	if err != nil {
		s.fail(err, m.Now())
		m.Log.Warn("no OCSP answer", "names", s.pair.Leaf.DNSNames, "err", err)
		return
	}
	if err := m.storage.vault.Put(m.life, s.key, answer); err != nil && m.life.Err() == nil {
		m.Log.Error("keep an OCSP answer", "err", err)
	}
}

func (s *staple) fail(err error, now time.Time) {
	s.next = now.Add(min(stapleRetry<<min(s.failures, 10), stapleCeil))
	s.failures++
	s.problem = err
}

var errRevoked = errors.New("its authority has revoked it")

// take serves an answer that is the issuer's, about this certificate, good, and of now. The next one is asked for in the
// middle of its time.
func (s *staple) take(answer []byte, now time.Time) error {
	r, err := ocsp.ParseResponseForCert(answer, s.pair.Leaf, s.issuer)
	switch {
	case err != nil:
		return fmt.Errorf("read the responder's answer: %w", err)
	case r.NextUpdate.Before(now) || r.ThisUpdate.After(now.Add(stapleSkew)):
		return fmt.Errorf("the responder's answer is of another time: %s to %s", r.ThisUpdate, r.NextUpdate)
	case r.Status == ocsp.Revoked:
		s.revoked = true
		s.served.Store(nil)
		return errRevoked
	case r.Status != ocsp.Good:
		return errors.New("the responder does not know it")
	}
	c := *s.pair
	c.OCSPStaple = answer
	s.served.Store(&c)
	s.until, s.failures, s.problem, s.revoked = r.NextUpdate, 0, nil, false
	if s.next = r.ThisUpdate.Add(r.NextUpdate.Sub(r.ThisUpdate) / 2); s.next.Before(now.Add(stapleRetry)) {
		s.next = now.Add(stapleRetry)
	}
	return nil
}

// askResponder asks over HTTP (RFC 6960, appendix A).
func (m *Manager) askResponder(s *staple) ([]byte, error) {
	question, err := ocsp.CreateRequest(s.pair.Leaf, s.issuer, nil)
	if err != nil {
		return nil, fmt.Errorf("ask about a certificate: %w", err)
	}
	ctx, cancel := context.WithTimeout(m.life, stapleTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.pair.Leaf.OCSPServer[0], bytes.NewReader(question))
	if err != nil || req.URL.Scheme != "http" {
		return nil, errors.New("the certificate names no responder that speaks HTTP")
	}
	req.Header.Set("Content-Type", "application/ocsp-request")
	res, err := m.responders().Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the responder: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the responder answers with status %d", res.StatusCode)
	}
	return io.ReadAll(io.LimitReader(res.Body, stapleMost))
}

// responders is a client that reaches public addresses only, and follows nobody elsewhere.
func (m *Manager) responders() *http.Client {
	dialer := net.Dialer{Control: func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if a := to.Addr().Unmap(); err != nil || !m.LocalResponders && (!a.IsGlobalUnicast() || a.IsPrivate()) {
			return errors.New("the responder's address is not a public one")
		}
		return nil
	}}
	return &http.Client{
		Transport:     &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// describe tells in a report what keeps clients from taking the certificate.
func (s *staple) describe() string {
	if s == nil {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.revoked:
		return errRevoked.Error()
	case s.must && s.served.Load() == nil && s.problem != nil:
		return "clients want an OCSP answer with it, and there is none: " + s.problem.Error()
	}
	return ""
}
