package certs_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"paas/platform"
	"paas/router/certs"
	"paas/router/certs/acmetest"
	"paas/store"
)

func discard() *log.Logger { return log.New(io.Discard, "", 0) }

// order is what another daemon, a process of its own, is told to obtain.
type order struct {
	Path      string
	HTTP, TLS int
	Authority platform.Authority
	Wish      platform.Wish
}

const orderVariable = "PAAS_TEST_ORDER"

// TestMain is also the main function of that process.
func TestMain(m *testing.M) {
	if text := os.Getenv(orderVariable); text != "" {
		if err := carryOut(text); err != nil {
			log.Fatal(err)
		}
		return
	}
	os.Exit(m.Run())
}

func carryOut(text string) error {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	db, err := store.Open(context.Background(), o.Path)
	if err != nil {
		return err
	}
	m, err := certs.Open(context.Background(), certs.Options{Vault: db.Vault(), HTTPPort: o.HTTP, HTTPSPort: o.TLS, LockLease: lease})
	if err != nil {
		return err
	}
	if err := m.Configure(o.Authority); err != nil {
		return err
	}
	m.Want("blog", o.Wish)
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		st := m.Status(o.Wish.Hosts)
		if st[0].State == "valid" {
			m.Close()
			return db.Close()
		}
		if time.Now().After(end) || st[0].State == "failing" {
			return fmt.Errorf("%+v", st)
		}
	}
}

const lease = 2 * time.Second

// another starts the other daemon.
func (s *site) another(w platform.Wish) *exec.Cmd {
	s.t.Helper()
	text, err := json.Marshal(order{s.path, s.o.HTTPPort, s.o.HTTPSPort, s.authority(), w})
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), orderVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd
}

// What another daemon over the same store asks for is answered here, where the authority looks, and what it
// obtained is here.
func TestChallengesOfAnotherDaemon(t *testing.T) {
	s := newSite(t, acmetest.Options{})
	silent := s.authority()
	silent.Agreed = false
	if err := s.Configure(silent); err != nil {
		t.Fatal(err)
	}
	for solve, host := range map[string]string{"http": "www.example.com", "tls-alpn": "api.example.com"} {
		w := wish(host)
		w.Solve = solve
		s.Want(platform.AppName(solve), w)
		s.state(host, "waiting")
		if err := s.another(w).Wait(); err != nil {
			t.Errorf("%s: %v", solve, err)
		}
	}
	s.agree()
	s.served("www.example.com")
	s.served("api.example.com")
	if s.ca.Orders() != 2 {
		t.Errorf("%d orders for 2 names", s.ca.Orders())
	}
}

// A daemon that is killed in the middle of an order holds the next one up for its lease, no longer.
func TestKilledInAnOrder(t *testing.T) {
	s := newSite(t, acmetest.Options{})
	s.o.LockLease = lease
	s.stop()
	s.listen()
	s.open()
	var once sync.Once
	reached, killed := make(chan struct{}), make(chan struct{})
	s.ca.Between(func(_ http.ResponseWriter, r *http.Request) bool {
		if !acmetest.IsOrder(r) {
			return false
		}
		once.Do(func() { close(reached) })
		<-killed
		return true
	})
	other := s.another(wish("www.example.com"))
	select {
	case <-reached:
	case <-time.After(15 * time.Second):
		t.Error("no order came")
	}
	_ = other.Process.Kill()
	_ = other.Wait()
	close(killed)
	s.ca.Between(nil)
	s.agree()
	s.Want("blog", wish("www.example.com"))
	s.served("www.example.com")
}
