package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const (
	routerKey      = "router.key"
	routerKeyBytes = 32
)

// openRouterKey reads the key that signs the cookies of sticky clients, or makes it: they stay where they are when
// the daemon is restarted. One that cannot be read whole is made anew; then they are led anew, once.
func openRouterKey(dir string) ([]byte, error) {
	path := filepath.Join(dir, routerKey)
	key, err := os.ReadFile(path)
	if err == nil && len(key) == routerKeyBytes {
		return key, nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read the router's key: %w", err)
	}
	key = make([]byte, routerKeyBytes)
	_, _ = rand.Read(key) // never fails (crypto/rand)
	if err := os.WriteFile(path, key, 0o600); err != nil {
		return nil, fmt.Errorf("keep the router's key: %w", err)
	}
	return key, nil
}
