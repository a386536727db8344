package certs

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"
)

// Session tickets let a client come back without a full handshake. Their keys are in the vault: a client may
// come back to another process. Whoever has a key can read the sessions of its time, so it is used for half a
// day and kept for two.
const (
	ticketsKey  = "tickets"
	ticketsKept = 4
)

// ticketKey is one of them.
type ticketKey struct {
	Key  [32]byte  `json:"key"`
	Made time.Time `json:"made"`
}

// tickets are the configurations that use the keys.
type tickets struct {
	mu      sync.Mutex
	keys    []ticketKey // newest first
	configs []*tls.Config
	stricts map[*tls.Config]*tls.Config
}

func (t *tickets) join(c *tls.Config) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.configs = append(t.configs, c)
	t.apply()
}

// apply gives the keys to every configuration. The first one encrypts, the others decrypt.
func (t *tickets) apply() {
	var keys [][32]byte
	for _, k := range t.keys {
		keys = append(keys, k.Key)
	}
	for _, c := range t.configs {
		c.SetSessionTicketKeys(keys)
	}
}

// strict is c for TLS 1.3 alone.
func (t *tickets) strict(c *tls.Config) *tls.Config {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.stricts[c]; s != nil {
		return s
	}
	s := c.Clone()
	s.MinVersion, s.GetConfigForClient = tls.VersionTLS13, nil
	if t.stricts == nil {
		t.stricts = map[*tls.Config]*tls.Config{}
	}
	t.stricts[c] = s
	t.configs = append(t.configs, s)
	t.apply()
	return s
}

func (t *tickets) replace(keys []ticketKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.keys = keys
	t.apply()
}

// rotateTickets reads the keys that all processes share, and adds a new one when it is time.
func (m *Manager) rotateTickets(ctx context.Context) error {
	return m.storage.locked(ctx, "tickets", func() error {
		keys, err := m.loadTickets(ctx)
		if err != nil {
			return err
		}
		if len(keys) == 0 || m.Now().Sub(keys[0].Made) >= m.KeepTicket {
			k := ticketKey{Made: m.Now().UTC()}
			_, _ = rand.Read(k.Key[:]) // never fails (crypto/rand)
			keys = append([]ticketKey{k}, keys...)
			keys = keys[:min(len(keys), ticketsKept)]
			text, err := json.Marshal(keys)
			if err != nil {
				return err
			}
			if err := m.storage.Store(ctx, ticketsKey, text); err != nil {
				return err
			}
		}
		m.tickets.replace(keys)
		return nil
	})
}

func (m *Manager) loadTickets(ctx context.Context) (keys []ticketKey, err error) {
	text, err := m.storage.Load(ctx, ticketsKey)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &keys); err != nil {
		return nil, fmt.Errorf("read %s: %w", ticketsKey, err)
	}
	return keys, nil
}

// keepTickets rotates the keys, and sees those of others in time.
func (m *Manager) keepTickets() {
	tick := time.NewTicker(m.KeepTicket / 4)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-m.life.Done():
			return
		}
		if err := m.rotateTickets(m.life); err != nil && !errors.Is(err, context.Canceled) {
			m.Log.Error("rotate session tickets", "err", err)
		}
	}
}
