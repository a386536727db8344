// Package acmetest runs a real ACME authority, Pebble, on the loopback for tests: in this process, so that
// they can take it down, count its orders and get between it and its clients. It needs nothing from outside.
package acmetest

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
)

// Options are what an Authority shall be like.
type Options struct {
	HTTPPort, TLSPort int               // where it looks for answers to challenges, on every address
	BadNonces         int               // percentage of good nonces that it refuses; 0: Pebble's 5
	Validity          uint64            // seconds that certificates live; 0: Pebble's 90 days
	EAB               map[string]string // accounts that new ones must be bound to; nil: none need be
	Refuses           []string          // names that it does not sign
	Log               io.Writer         // nil: nowhere
}

// Authority is a running Pebble.
type Authority struct {
	Directory string // URL
	Roots     string // PEM: who signed its own certificate
	Issuers   string // PEM: the root of what it signs
	DNS       *Zone

	server  *httptest.Server
	admin   http.Handler
	orders  atomic.Int64
	mu      sync.Mutex
	between func(w http.ResponseWriter, r *http.Request) bool
}

// Start starts one. Close ends it.
func Start(o Options) (*Authority, error) {
	zone, err := serveDNS()
	if err != nil {
		return nil, err
	}
	if err := environment(o); err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	logger := log.New(o.Log, "pebble ", log.LstdFlags)
	memory := db.NewMemoryStore()
	for id, key := range o.EAB {
		if err := memory.AddExternalAccountKeyByID(id, key); err != nil {
			return nil, err
		}
	}
	for _, name := range o.Refuses {
		if err := memory.AddBlockedDomain(name); err != nil {
			return nil, err
		}
	}
	signer := ca.New(logger, memory, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {Description: "the only one", ValidityPeriod: o.Validity}})
	checker := va.New(logger, o.HTTPPort, o.TLSPort, false, zone.Addr, memory)
	front := wfe.New(logger, memory, checker, signer, []string{"pebble.letsencrypt.org"}, false, o.EAB != nil, 1, 1)
	a := &Authority{DNS: zone, admin: front.ManagementHandler(), Issuers: string(signer.GetRootCert(0).PEM())}
	a.server = httptest.NewTLSServer(a.watched(front.Handler()))
	a.Directory = a.server.URL + wfe.DirectoryPath
	a.Roots = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.server.Certificate().Raw}))
	return a, nil
}

// environment is how Pebble is told the rest.
func environment(o Options) error {
	if err := os.Setenv("PEBBLE_VA_NOSLEEP", "1"); err != nil {
		return err
	}
	if o.BadNonces == 0 {
		return os.Unsetenv("PEBBLE_WFE_NONCEREJECT")
	}
	return os.Setenv("PEBBLE_WFE_NONCEREJECT", strconv.Itoa(o.BadNonces))
}

// Close ends it.
func (a *Authority) Close() {
	a.server.CloseClientConnections()
	a.server.Close()
	a.DNS.close()
}

func (a *Authority) watched(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		between := a.between
		a.mu.Unlock()
		if between != nil && between(w, r) {
			return
		}
		seen := &status{ResponseWriter: w}
		h.ServeHTTP(seen, r)
		if IsOrder(r) && seen.code == http.StatusCreated {
			a.orders.Add(1)
		}
	})
}

// status notes how an answer begins.
type status struct {
	http.ResponseWriter
	code int
}

// WriteHeader implements http.ResponseWriter.
func (s *status) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

// IsOrder tells a request for a new order.
func IsOrder(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/order-plz") }

// Between sees every request first; when it returns true, it has answered. nil takes it away.
func (a *Authority) Between(f func(w http.ResponseWriter, r *http.Request) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.between = f
}

// Orders is how many new orders it took.
func (a *Authority) Orders() int { return int(a.orders.Load()) }

// Down breaks every connection off, as a host that lost power does.
func (a *Authority) Down(down bool) {
	if !down {
		a.Between(nil)
		return
	}
	a.Between(func(w http.ResponseWriter, _ *http.Request) bool {
		if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
			_ = c.Close()
		}
		return true
	})
}

// Status is what its own books say about a certificate: "Valid" or "Revoked". serial is in hex.
func (a *Authority) Status(serial string) string {
	w := httptest.NewRecorder()
	a.admin.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/cert-status-by-serial/"+serial, nil))
	return w.Body.String()
}
