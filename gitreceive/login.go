package gitreceive

import (
	"context"
	"errors"
	"net"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"paas/platform"
)

// fingerprintKey is where the proven key's fingerprint stands in a connection's permissions.
const fingerprintKey = "paas-fingerprint"

// publicKeyAlgorithms is every signature OpenSSH makes that does not rest on SHA-1 or DSA.
func publicKeyAlgorithms() []string {
	return []string{
		gossh.KeyAlgoED25519, gossh.KeyAlgoSKED25519, gossh.KeyAlgoECDSA256, gossh.KeyAlgoECDSA384,
		gossh.KeyAlgoECDSA521, gossh.KeyAlgoSKECDSA256, gossh.KeyAlgoRSASHA512, gossh.KeyAlgoRSASHA256,
	}
}

// modern is what both doors speak. The newest OpenSSH finds ML-KEM, one of 2014 finds curve25519.
func modern() *gossh.ServerConfig {
	return &gossh.ServerConfig{
		Config: gossh.Config{
			KeyExchanges: []string{gossh.KeyExchangeMLKEM768X25519, gossh.KeyExchangeCurve25519, gossh.KeyExchangeECDHP256, gossh.KeyExchangeECDHP384},
			Ciphers:      []string{gossh.CipherChaCha20Poly1305, gossh.CipherAES128GCM, gossh.CipherAES256GCM, gossh.CipherAES256CTR, gossh.CipherAES128CTR},
			MACs:         []string{gossh.HMACSHA256ETM, gossh.HMACSHA512ETM, gossh.HMACSHA256},
		},
		PublicKeyAuthAlgorithms: publicKeyAlgorithms(),
		MaxAuthTries:            10, // an agent offers all its keys
	}
}

// remoteConfig records the key that was proven, which is not always the last one that was offered.
func (d *Server) remoteConfig(ctx ssh.Context) *gossh.ServerConfig {
	config := modern()
	config.VerifiedPublicKeyCallback = func(_ gossh.ConnMetadata, key gossh.PublicKey, _ *gossh.Permissions, _ string) (*gossh.Permissions, error) {
		connectionOf(ctx).loggedIn()
		return &gossh.Permissions{Extensions: map[string]string{fingerprintKey: gossh.FingerprintSHA256(key)}}, nil
	}
	return config
}

// offered tells whether a key may be tried. A key nobody added fails as a bad signature would; what goes
// wrong on our side looks the same from outside.
func (d *Server) offered(ctx ssh.Context, key ssh.PublicKey) bool {
	_, err := d.options.Platform.Actor(d.ctx, gossh.FingerprintSHA256(key))
	if err != nil && platform.KindOf(err) != platform.NotFound {
		d.options.Log.Error("look up key", "remote", ctx.RemoteAddr(), "err", err)
	}
	return err == nil
}

// localConfig lets root in without a key.
func (d *Server) localConfig(ctx ssh.Context) *gossh.ServerConfig {
	config := modern()
	config.NoClientAuthCallback = func(gossh.ConnMetadata) (*gossh.Permissions, error) {
		c := connectionOf(ctx)
		uid, err := peer(c.Conn)
		if err != nil || uid != 0 {
			refused := errors.New("the peer is not root")
			return nil, &gossh.BannerError{Err: errors.Join(refused, err), Message: "Only root may use paas's local socket.\n"}
		}
		c.loggedIn()
		return &gossh.Permissions{}, nil
	}
	return config
}

// peer is the user id of the process at the other end (SO_PEERCRED, unix(7)), as it was when it connected.
func peer(conn net.Conn) (uid uint32, err error) {
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		return 0, errors.New("not a unix socket")
	}
	raw, err := unixConn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	err = errors.Join(raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}), err)
	if err != nil {
		return 0, err
	}
	return cred.Uid, nil
}

// actor is who a connection's session acts for. It is asked anew for every session, since a key may be
// removed while its connection stays.
func (d *Server) actor(ctx context.Context, conn *gossh.ServerConn, local bool) (platform.Actor, error) {
	if local {
		return platform.Actor{Name: platform.Root, Admin: true, Creates: true, Door: platform.DoorLocal, Request: platform.NewRequest()}, nil
	}
	a, err := d.options.Platform.Actor(ctx, fingerprint(conn))
	a.Door, a.Remote, a.Request = platform.DoorSSH, address(conn.RemoteAddr()), platform.NewRequest()
	return a, err
}

// address is an address without its port.
func address(a net.Addr) string {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.IP.String()
	}
	return ""
}

func fingerprint(conn *gossh.ServerConn) string {
	if conn.Permissions == nil {
		return ""
	}
	return conn.Permissions.Extensions[fingerprintKey]
}
