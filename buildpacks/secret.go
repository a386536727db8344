package buildpacks

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"paas/platform"
)

// secret is a random key of this host. Names of layers are seen by many, and a plain hash of a short secret
// in one could be guessed from; with the key it cannot (RFC 2104). Who loses the key builds again.
type secret []byte

const (
	secretName  = "secret.key"
	secretBytes = 32
)

// openSecret reads the key, or makes it.
func openSecret(dir string) (secret, error) {
	path := filepath.Join(dir, secretName)
	key, err := os.ReadFile(path)
	if err == nil && len(key) == secretBytes {
		return key, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the key of build steps: %w", err)
	}
	key = make([]byte, secretBytes)
	_, _ = rand.Read(key)          // never fails (crypto/rand)
	return key, replace(path, key) // with mode 0600, as os.CreateTemp makes files
}

// digests are those of config vars, by name.
func (k secret) digests(c platform.Config) map[string]string {
	out := make(map[string]string, len(c))
	for name, value := range c {
		h := hmac.New(sha256.New, k)
		_, _ = fmt.Fprintf(h, "%q=%s", name, value) // a hash never fails
		out[name] = hex.EncodeToString(h.Sum(nil))
	}
	return out
}

// derived is a key of its own for one purpose.
func (k secret) derived(purpose string) []byte {
	h := hmac.New(sha256.New, k)
	_, _ = h.Write([]byte(purpose)) // a hash never fails
	return h.Sum(nil)
}
