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
)

const hostKeyFile = "ssh_host_ed25519_key" // OpenSSH's name and format

// HostKey returns the fingerprint of the host key in dir ("SHA256:…") and makes the key if there is none.
func HostKey(dir string) (string, error) {
	signer, err := hostSigner(dir)
	if err != nil {
		return "", err
	}
	return gossh.FingerprintSHA256(signer.PublicKey()), nil
}

func hostSigner(dir string) (gossh.Signer, error) { return keyIn(dir, hostKeyFile) }

// keyIn reads a private key, and makes it if there is none.
func keyIn(dir, name string) (gossh.Signer, error) {
	path := filepath.Join(dir, name)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeHostKey(dir, path); err == nil {
			text, err = os.ReadFile(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	signer, err := gossh.ParsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("read key %s: %w", path, err)
	}
	return signer, nil
}

// makeHostKey writes a new key aside, readable by root alone, and links it to its name: of two processes
// that do so at once the second one's key is dropped, not the first one's replaced.
func makeHostKey(dir, path string) error {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	block, err := gossh.MarshalPrivateKey(private, "paas")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, filepath.Base(path)+"-") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(pem.EncodeToMemory(block))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(dir)
}
