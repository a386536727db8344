package gitreceive

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	gossh "golang.org/x/crypto/ssh"

	"paas/platform"
)

const hostKeyName = "ssh_host_ed25519_key"

// HostKey makes the host key in dir if it is missing and returns its fingerprint.
func HostKey(dir string) (fingerprint string, err error) {
	signer, err := hostKey(dir)
	if err != nil {
		return "", err
	}
	return gossh.FingerprintSHA256(signer.PublicKey()), nil
}

func hostKey(dir string) (gossh.Signer, error) {
	path := filepath.Join(dir, hostKeyName)
	text, err := os.ReadFile(filepath.Clean(path))
	if errors.Is(err, fs.ErrNotExist) {
		text, err = makeHostKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("host key: %w", err)
	}
	signer, err := gossh.ParsePrivateKey(text)
	if err != nil {
		return nil, platform.Errorf(platform.Failed, "the host key %s is damaged", path).Because(err).
			WithHint("restore it from a backup, or remove it: clients will then see a new host")
	}
	return signer, nil
}

// makeHostKey writes a new key in OpenSSH's format, whole or not at all.
func makeHostKey(path string) ([]byte, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := gossh.MarshalPrivateKey(private, "paas")
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(block)
	return text, writeDurably(path, text, 0o600)
}

// writeDurably replaces a file so that it is whole after a crash at any moment.
func writeDurably(path string, text []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func asError(err error, e **platform.Error) bool { return errors.As(err, e) }
