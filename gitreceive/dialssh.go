package gitreceive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"paas/platform"
)

const deployKeyFile = "deploy_ed25519_key"

// dialSSH runs git-upload-pack at the other side. Its host key must be known.
func (r *Repos) dialSSH(ctx context.Context, u *url.URL, known platform.GitHost, d *net.Dialer) (remote, error) {
	signer, err := keyIn(filepath.Dir(r.dir), deployKeyFile)
	if err != nil {
		return nil, err
	}
	user := u.User.Username()
	if user == "" {
		user = "git"
	}
	config := &gossh.ClientConfig{User: user, Auth: []gossh.AuthMethod{gossh.PublicKeys(signer)}, HostKeyCallback: trusted(known), Timeout: dialTimeout}
	if known.User == user && known.Password != "" {
		config.Auth = append(config.Auth, gossh.Password(known.Password))
	}
	client, err := shake(ctx, withPort(u.Host, "22"), d, config)
	if err != nil {
		return nil, explainSSH(err, known.Host)
	}
	w, err := startSSH(client, u.Path)
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return w, nil
}

func startSSH(client *gossh.Client, path string) (*wire, error) {
	session, err := client.NewSession()
	if err != nil {
		return nil, err
	}
	in, err := session.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := session.StdoutPipe()
	if err != nil {
		return nil, err
	}
	path = strings.TrimPrefix(path, "/~/")
	if strings.HasPrefix(path, "-") {
		return nil, platform.Errorf(platform.Usage, "the path %q begins like an option", path)
	}
	return newWire(in, out, client), session.Start("git-upload-pack '" + strings.ReplaceAll(path, "'", `'\''`) + "'")
}

// shake connects and logs in.
func shake(ctx context.Context, address string, d *net.Dialer, config *gossh.ClientConfig) (*gossh.Client, error) {
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	_ = conn.SetDeadline(time.Now().Add(dialTimeout)) // a TCP connection has deadlines
	c, channels, requests, err := gossh.NewClientConn(conn, address, config)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	_ = conn.SetDeadline(time.Time{})
	return gossh.NewClient(c, channels, requests), nil
}

var errUnknownHost = errors.New("the host key is not known")

// trusted accepts the host keys that an admin has allowed.
func trusted(known platform.GitHost) gossh.HostKeyCallback {
	return func(_ string, _ net.Addr, key gossh.PublicKey) error {
		for line := range strings.Lines(known.Keys) {
			have, _, _, _, err := gossh.ParseAuthorizedKey([]byte(line))
			if err == nil && bytes.Equal(have.Marshal(), key.Marshal()) {
				return nil
			}
		}
		return fmt.Errorf("%w: %s", errUnknownHost, gossh.FingerprintSHA256(key))
	}
}

func explainSSH(err error, host string) error {
	var human *platform.Error
	switch {
	case errors.As(err, &human):
		return human
	case errors.Is(err, errUnknownHost) || strings.Contains(err.Error(), errUnknownHost.Error()):
		return platform.Errorf(platform.Denied, "the SSH host key of %s is not one that was allowed", host).Because(err).
			WithHint("an admin allows it: ssh paas git:allow-host %s", host)
	case strings.Contains(err.Error(), "unable to authenticate"):
		return platform.Errorf(platform.Denied, "%s does not let our key in", host).Because(err).
			WithHint("add it there: ssh paas git:public-key")
	}
	return platform.Errorf(platform.Failed, "%s cannot be reached", host).Because(err)
}

// HostKeys implements platform.Fetcher.
func (r *Repos) HostKeys(ctx context.Context, host string) (string, error) {
	var line string
	config := &gossh.ClientConfig{User: "git", Timeout: dialTimeout, HostKeyCallback: func(_ string, _ net.Addr, key gossh.PublicKey) error {
		line = string(gossh.MarshalAuthorizedKey(key))
		return errUnknownHost // that was all
	}}
	client, err := shake(ctx, withPort(host, "22"), &net.Dialer{Timeout: dialTimeout}, config)
	if err == nil {
		_ = client.Close() // never: the callback refuses
	}
	if line == "" {
		return "", platform.Errorf(platform.Failed, "%s shows no SSH host key", host).Because(err)
	}
	return strings.TrimSpace(line), nil
}

// DeployKey implements platform.Fetcher.
func (r *Repos) DeployKey() (string, error) {
	signer, err := keyIn(filepath.Dir(r.dir), deployKeyFile)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(gossh.MarshalAuthorizedKey(signer.PublicKey()))) + " paas", nil
}
