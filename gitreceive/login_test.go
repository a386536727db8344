package gitreceive

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"paas/platform"
)

func TestUnknownKeyIsRefused(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	key, _ := makeKey(t)
	out, err := d.ssh(key, "whoami").CombinedOutput()
	if err == nil {
		t.Error("it came in")
	}
	has(t, string(out), "Permission denied (publickey)")
}

func TestHostKeyStays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := HostKey(dir)
	must(t, err)
	second, err := HostKey(dir)
	must(t, err)
	if first != second || !strings.HasPrefix(first, "SHA256:") {
		t.Errorf("%s, then %s", first, second)
	}
	info, err := os.Stat(filepath.Join(dir, hostKeyFile))
	must(t, err)
	if info.Mode() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("%d files", len(left))
	}
}

// signer proves nothing: it offers a key and cannot sign with it.
type unable struct{ gossh.Signer }

func (unable) Sign(io.Reader, []byte) (*gossh.Signature, error) {
	return nil, errors.New("I have only the public half")
}

// TestOfferedKeyIsNoIdentity offers an admin's public key, then proves another one.
func TestOfferedKeyIsNoIdentity(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	admin, bob := readSigner(t, d.key), readSigner(t, d.addKey("bob", false))
	for _, keys := range [][]gossh.Signer{{unable{admin}, bob}, {bob, unable{admin}}} {
		client, err := gossh.Dial("tcp", d.addr, &gossh.ClientConfig{
			Auth: []gossh.AuthMethod{gossh.RetryableAuthMethod(gossh.PublicKeys(keys...), 2)}, HostKeyCallback: gossh.InsecureIgnoreHostKey(),
		})
		if err != nil {
			continue // the client gave up at the key it could not use, so nobody came in
		}
		s, err := client.NewSession()
		must(t, err)
		out, err := s.Output("whoami")
		must(t, err)
		if !strings.HasPrefix(string(out), "bob false") {
			t.Errorf("I am %s", out)
		}
		must(t, client.Close())
	}
}

// TestQueriedKeyIsNoIdentity lets real ssh ask for the admin's key first: it has only the public half of
// it, so it proves bob's.
func TestQueriedKeyIsNoIdentity(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	public, err := os.ReadFile(d.key + ".pub")
	must(t, err)
	half := filepath.Join(t.TempDir(), "half")
	must(t, os.WriteFile(half, public, 0o600))
	must(t, os.WriteFile(half+".pub", public, 0o600))
	line := append(d.sshArgs(half), "-i", d.addKey("bob", false))
	cmd := d.ssh(half)
	cmd.Args = append(line, "paas@127.0.0.1", "whoami")
	out, err := cmd.Output()
	if err != nil || !strings.HasPrefix(string(out), "bob false") {
		t.Errorf("I am %s (%v)", out, err)
	}
}

func readSigner(t *testing.T, path string) gossh.Signer {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	signer, err := gossh.ParsePrivateKey(text)
	must(t, err)
	return signer
}

func TestKeyThatWasRemovedMeanwhile(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	client := d.dial(d.key)
	d.platform.set(func(m *memory) { m.actors = map[string]platform.Actor{} })
	s, err := client.NewSession()
	must(t, err)
	out, err := s.CombinedOutput("whoami")
	var exit *gossh.ExitError
	if !errors.As(err, &exit) || exit.ExitStatus() != 4 {
		t.Errorf("%v: %s", err, out)
	}
	has(t, string(out), "this key may not come in any more")
}

func TestKindsOfKeys(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	old, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	for _, private := range []any{ec, old} {
		signer, err := gossh.NewSignerFromKey(private)
		must(t, err)
		d.platform.set(func(m *memory) {
			m.actors[gossh.FingerprintSHA256(signer.PublicKey())] = platform.Actor{Name: signer.PublicKey().Type()}
		})
		d.mayLogIn(signer, true)
	}
	weak, err := gossh.NewSignerWithAlgorithms(must2(gossh.NewSignerFromKey(old))(t).(gossh.AlgorithmSigner), []string{gossh.KeyAlgoRSA})
	must(t, err)
	d.mayLogIn(weak, false) // SHA-1
}

func must2[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T { must(t, err); return v }
}

func (d *door) mayLogIn(signer gossh.Signer, may bool) {
	d.t.Helper()
	client, err := gossh.Dial("tcp", d.addr, &gossh.ClientConfig{
		Auth: []gossh.AuthMethod{gossh.PublicKeys(signer)}, HostKeyCallback: gossh.InsecureIgnoreHostKey(),
	})
	if (err == nil) != may {
		d.t.Errorf("%s: %v", signer.PublicKey().Type(), err)
	}
	if err == nil {
		must(d.t, client.Close())
	}
}

func TestPasswordsAreRefused(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	_, err := gossh.Dial("tcp", d.addr, &gossh.ClientConfig{
		Auth:            []gossh.AuthMethod{gossh.Password("x"), gossh.KeyboardInteractive(func(string, string, []string, []bool) ([]string, error) { return nil, nil })},
		HostKeyCallback: gossh.InsecureIgnoreHostKey(),
	})
	if err == nil {
		t.Error("it came in")
	}
}

func TestOldAlgorithmsAreRefused(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for _, option := range []string{"KexAlgorithms=diffie-hellman-group14-sha1", "MACs=hmac-sha1", "Ciphers=aes128-cbc"} {
		line := slices.Insert(d.sshArgs(d.key), 1, "-o", option, "-o", "Ciphers=aes128-ctr")
		cmd := d.ssh(d.key)
		cmd.Args = append(line, "paas@127.0.0.1", "whoami")
		out, err := cmd.CombinedOutput()
		if err == nil {
			t.Errorf("%s was taken", option)
		}
		has(t, string(out), "no matching")
	}
}

func TestSessionsPerKey(t *testing.T) {
	t.Parallel()
	d := newDoor(t, func(o *Options) { o.Sessions = 2 })
	client := d.dial(d.key)
	for i := range 2 {
		s, err := client.NewSession()
		must(t, err)
		must(t, s.Start(fmt.Sprint("follow ", i)))
	}
	if _, err := client.NewSession(); err == nil {
		t.Error("a third session was opened")
	}
	out, err := d.ssh(d.key, "whoami").CombinedOutput()
	if err == nil {
		t.Error("a third session was opened on a connection of its own")
	}
	has(t, string(out), "2 sessions are open with this key")
	if out, err := d.ssh(d.addKey("bob", false), "whoami").Output(); err != nil || !strings.HasPrefix(string(out), "bob") {
		t.Errorf("another key: %s, %v", out, err)
	}
	must(t, client.Close())
	within(t, 5*time.Second, "room again", func() bool { return d.ssh(d.key, "whoami").Run() == nil })
}

func TestTimeToLogIn(t *testing.T) {
	t.Parallel()
	d := newDoor(t, func(o *Options) { o.Login = 300 * time.Millisecond })
	conn, err := net.Dial("tcp", d.addr)
	must(t, err)
	defer func() { _ = conn.Close() }()
	must(t, conn.SetDeadline(time.Now().Add(5*time.Second)))
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Errorf("it stays open: %v", err)
	}
	if out, err := d.ssh(d.key, "whoami").Output(); err != nil {
		t.Errorf("%s, %v", out, err)
	}
}

func TestIdleConnectionIsClosedAndASilentSessionIsNot(t *testing.T) {
	t.Parallel()
	d := newDoor(t, func(o *Options) { o.Idle = 300 * time.Millisecond })
	idle, used := d.dial(d.key), d.dial(d.key)
	s, err := used.NewSession()
	must(t, err)
	must(t, s.Start("follow quietly"))
	closed := make(chan error, 1)
	go func() { closed <- idle.Wait() }()
	select {
	case <-closed:
	case <-time.After(5 * time.Second):
		t.Error("the idle connection stays")
	}
	if got := d.commands.cancelled(); len(got) > 0 {
		t.Errorf("%v was cut", got)
	}
}

func TestSilentGitClientIsCut(t *testing.T) {
	t.Parallel()
	d := newDoor(t, func(o *Options) { o.Idle = 300 * time.Millisecond })
	s, err := d.dialSession()
	must(t, err)
	_, err = s.StdinPipe()
	must(t, err)
	must(t, s.Start("git-receive-pack 'hello'"))
	over := make(chan error, 1)
	go func() { over <- s.Wait() }()
	select {
	case <-over:
	case <-time.After(5 * time.Second):
		t.Error("it stays")
	}
}

// TestDeadClientIsCut answers no keepalive.
func TestDeadClientIsCut(t *testing.T) {
	t.Parallel()
	d := newDoor(t, func(o *Options) { o.Alive = 100 * time.Millisecond })
	conn, err := net.Dial("tcp", d.addr)
	must(t, err)
	c, _, _, err := gossh.NewClientConn(conn, d.addr, &gossh.ClientConfig{
		Auth: []gossh.AuthMethod{gossh.PublicKeys(readSigner(t, d.key))}, HostKeyCallback: gossh.InsecureIgnoreHostKey(),
	})
	must(t, err)
	ch, _, err := c.OpenChannel("session", nil)
	must(t, err)
	_, err = ch.SendRequest("exec", false, gossh.Marshal(struct{ Line string }{"follow dead"}))
	must(t, err)
	within(t, 5*time.Second, "it is cut", func() bool { return slices.Contains(d.commands.cancelled(), "dead") })
}

func TestShutdownWaitsThenCuts(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	s, err := d.dialSession()
	must(t, err)
	out, err := s.StdoutPipe()
	must(t, err)
	must(t, s.Start("follow on"))
	_, err = io.ReadFull(out, make([]byte, len("following\n")))
	must(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if err := d.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("shut down: %v", err)
	}
	if got := d.commands.cancelled(); !slices.Contains(got, "on") {
		t.Error("the session was not cancelled")
	}
	if _, err := net.DialTimeout("tcp", d.addr, time.Second); err == nil {
		t.Error("it still listens")
	}
}
