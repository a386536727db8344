package gitreceive

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	gossh "golang.org/x/crypto/ssh"
)

// runs runs ssh and returns its stdout, stderr and exit status.
func (d *door) runs(stdin string, args ...string) (out, errs string, code int) {
	d.t.Helper()
	cmd := d.ssh(d.key, args...)
	var o, e bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &o, &e
	_ = cmd.Run()
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

// requestLine ends a failure, and is another one each time.
var requestLine = regexp.MustCompile(`(?m)^ *Request [0-9a-f]+\n`)

func TestVerbs(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for _, c := range []struct {
		stdin, line, out, errs string
		code                   int
	}{
		{line: `words a "b c" 'd  e' f\ g '' --x=1`, out: "<a><b c><d  e><f g><><--x=1>"},
		{line: "whoami", out: "alice true ssh paas\n"},
		{line: "both", out: "to stdout", errs: "to stderr"},
		{line: "exit", code: 7},
		{line: "", out: "this is the help\n", errs: "Pseudo-terminal will not be allocated because stdin is not a terminal.\r\n"}, // says ssh
		{line: "cat", stdin: "all \x00\x01\xff bytes\n", out: "all \x00\x01\xff bytes\n"},
		{line: "words 'open", errs: " !     a quote or a backslash at the end is left open\n", code: 2},
		{line: "git-receive-pack", errs: " !     git-receive-pack takes the name of one app\n", code: 2},
		{line: "terminal", out: "none\n", code: 1},
	} {
		out, errs, code := d.runs(c.stdin, c.line)
		errs = requestLine.ReplaceAllString(errs, "")
		if out != c.out || errs != c.errs || code != c.code {
			t.Errorf("%q: %q, %q, %d", c.line, out, errs, code)
		}
	}
}

func TestMuchGoesThroughAVerb(t *testing.T) {
	t.Parallel()
	much := strings.Repeat("0123456789abcde\n", 1<<18)
	if out, _, _ := newDoor(t).runs(much, "cat"); out != much {
		t.Errorf("%d of %d bytes came back", len(out), len(much))
	}
}

func TestVerbEndsWithItsClient(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	cmd := d.ssh(d.key, "follow", "it")
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	_, err = io.ReadFull(out, make([]byte, len("following\n")))
	must(t, err)
	must(t, cmd.Process.Signal(syscall.SIGINT))
	within(t, time.Second, "the verb ends", func() bool { return slices.Contains(d.commands.cancelled(), "it") })
	_ = cmd.Wait()
}

// TestVerbEndsWithItsChannel closes one session of a shared connection, which stays.
func TestVerbEndsWithItsChannel(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	client := d.dial(d.key)
	for name, end := range map[string]func(*gossh.Session){
		"closed":   func(s *gossh.Session) { _ = s.Close() },
		"signaled": func(s *gossh.Session) { _ = s.Signal(gossh.SIGTERM) },
	} {
		s, err := client.NewSession()
		must(t, err)
		out, err := s.StdoutPipe()
		must(t, err)
		must(t, s.Start("follow "+name))
		_, err = io.ReadFull(out, make([]byte, len("following\n")))
		must(t, err)
		end(s)
		within(t, time.Second, name, func() bool { return slices.Contains(d.commands.cancelled(), name) })
	}
}

// dial connects with Go's own client, for what ssh cannot be made to do.
func (d *door) dial(key string) *gossh.Client {
	d.t.Helper()
	text, err := os.ReadFile(key)
	must(d.t, err)
	signer, err := gossh.ParsePrivateKey(text)
	must(d.t, err)
	client, err := gossh.Dial("tcp", d.addr, &gossh.ClientConfig{
		User: "paas", Auth: []gossh.AuthMethod{gossh.PublicKeys(signer)}, HostKeyCallback: gossh.InsecureIgnoreHostKey(),
	})
	must(d.t, err)
	d.t.Cleanup(func() { _ = client.Close() })
	return client
}

// inTerminal runs ssh -t in a real terminal of the size.
func (d *door) inTerminal(size pty.Winsize, args ...string) (*exec.Cmd, *os.File, *transcript) {
	d.t.Helper()
	cmd := d.ssh(d.key, append([]string{"-tt"}, args...)...)
	// ssh takes options before the host only
	cmd.Args = append(append(cmd.Args[:len(cmd.Args)-len(args)-2], "-tt", "paas@127.0.0.1"), args...)
	cmd.Env = append(os.Environ(), "TERM=xterm-256color")
	tty, err := pty.StartWithSize(cmd, &size)
	must(d.t, err)
	var said transcript
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(&said, tty)
	}()
	d.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = tty.Close()
		<-read
	})
	return cmd, tty, &said
}

func TestTerminal(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	cmd, tty, said := d.inTerminal(pty.Winsize{Rows: 12, Cols: 90}, "terminal")
	within(t, 5*time.Second, "the size", func() bool { return strings.Contains(said.String(), "xterm-256color 90x12\r\n") })
	must(t, pty.Setsize(tty, &pty.Winsize{Rows: 11, Cols: 70}))
	within(t, 5*time.Second, "the new size", func() bool { return strings.Contains(said.String(), "70x11\r\n") })
	_, err := tty.Write([]byte{ctrlC}) // the verb reads nothing, so it is cancelled
	must(t, err)
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit status %d: %s", code, said)
	}
}

func TestTerminalBytesBelongToAVerbThatReads(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	_, tty, said := d.inTerminal(pty.Winsize{Rows: 12, Cols: 90}, "echo")
	within(t, 5*time.Second, "it reads", func() bool { return strings.Contains(said.String(), "ready") })
	_, err := tty.Write([]byte{ctrlC, 'x'})
	must(t, err)
	within(t, 5*time.Second, "the byte", func() bool { return strings.Contains(said.String(), "\x03x") })
}

// TestManySizesAndSignals sends more than anybody takes, which must not hold up the session.
func TestManySizesAndSignals(t *testing.T) {
	t.Parallel()
	s, err := newDoor(t).dialSession()
	must(t, err)
	must(t, s.RequestPty("xterm", 24, 80, nil))
	var out bytes.Buffer
	s.Stdout = &out
	in, err := s.StdinPipe()
	must(t, err)
	must(t, s.Start("cat"))
	for i := range 500 {
		must(t, s.WindowChange(20+i%10, 80))
		must(t, s.Signal("USR1"))
	}
	_, err = in.Write([]byte("alive"))
	must(t, err)
	must(t, in.Close())
	must(t, s.Wait())
	if out.String() != "alive" {
		t.Errorf("said %q", &out)
	}
}

func (d *door) dialSession() (*gossh.Session, error) { return d.dial(d.key).NewSession() }

func TestForwardingAndSubsystemsAreRefused(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	client := d.dial(d.key)
	if _, err := client.Dial("tcp", "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "unsupported channel type") {
		t.Errorf("forwarding: %v", err)
	}
	if _, err := client.Listen("tcp", "127.0.0.1:0"); err == nil {
		t.Error("it listens for us")
	}
	s, err := client.NewSession()
	must(t, err)
	for _, name := range []string{"auth-agent-req@openssh.com", "x11-req", "env"} {
		if ok, err := s.SendRequest(name, true, nil); ok || err != nil {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
	if err := s.RequestSubsystem("sftp"); err == nil {
		t.Error("there is sftp")
	}
}

// local serves a unix socket and returns its path.
func (d *door) local() string {
	d.t.Helper()
	path := filepath.Join(d.t.TempDir(), "sock")
	l, err := net.Listen("unix", path)
	must(d.t, err)
	served := make(chan error, 1)
	go func() { served <- d.ServeLocal(l) }()
	d.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = d.Shutdown(ctx)
		must(d.t, <-served)
	})
	return path
}

func TestLocalSocket(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	path := d.local()
	conn, err := net.Dial("unix", path)
	must(t, err)
	c, chans, reqs, err := gossh.NewClientConn(conn, "local", &gossh.ClientConfig{HostKeyCallback: gossh.InsecureIgnoreHostKey()})
	must(t, err)
	client := gossh.NewClient(c, chans, reqs)
	defer func() { _ = client.Close() }()
	s, err := client.NewSession()
	must(t, err)
	out, err := s.Output("whoami")
	must(t, err)
	if string(out) != "root true paas\n" {
		t.Errorf("I am %s", out)
	}
}

// TestLocalSocketIsForRootAlone connects as another user, by this test program run again.
func TestLocalSocketIsForRootAlone(t *testing.T) {
	if path := os.Getenv("PAAS_TEST_SOCKET"); path != "" {
		dialAsNobody(t, path)
		return
	}
	t.Parallel()
	if os.Getuid() != 0 {
		t.Fatal("this test must run as root, to become somebody else")
	}
	path := newDoor(t).local()
	must(t, os.Chmod(path, 0o777))
	for dir := filepath.Dir(path); dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		must(t, os.Chmod(dir, 0o755))
	}
	self := copySelf(t)
	cmd := exec.Command(self, "-test.run=^TestLocalSocketIsForRootAlone$")
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "PAAS_TEST_SOCKET="+path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// copySelf puts the test program where everybody may run it.
func copySelf(t *testing.T) string {
	t.Helper()
	self, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	dir, err := os.MkdirTemp("", "gitreceive-self-")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	path := filepath.Join(dir, "self")
	must(t, os.WriteFile(path, self, 0o755))
	return path
}

func dialAsNobody(t *testing.T, path string) {
	conn, err := net.Dial("unix", path)
	must(t, err)
	var banner string
	_, _, _, err = gossh.NewClientConn(conn, "local", &gossh.ClientConfig{
		HostKeyCallback: gossh.InsecureIgnoreHostKey(),
		BannerCallback:  func(text string) error { banner = text; return nil },
	})
	if err == nil || !strings.Contains(banner, "Only root") {
		t.Errorf("nobody got in: %v, %q", err, banner)
	}
}
