package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// The scenarios drive the real binary with real git, ssh, namespaces and HTTP. Each script has a
// platform of its own: its daemon, ports, data directory, SSH keys. What takes long and is the same
// for all, the base image and toolchains, is made once in a template and linked into each.

var (
	showScripts = flag.Bool("show", false, "print each script's log, passed or not")
	templateDir = flag.String("template", "/var/tmp/paas-test", "directory that keeps the base image between runs")
)

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "paas-init" {
		containerInit()
	}
	testscript.Main(m, map[string]func(){"paas": main})
}

func TestScripts(t *testing.T) {
	needPrograms(t, "git", "ssh", "ssh-keygen", "curl", "mmdebstrap")
	if os.Getuid() != 0 {
		t.Fatal("the scenarios make namespaces and mounts: run them as root")
	}
	binary := buildBinary(t)
	template := prepareTemplate(t, binary)
	testscript.Run(t, testscript.Params{
		Dir: "testdata", RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error { return setUp(env, binary, template) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"daemon": cmdDaemon, "http": cmdHTTP, "eventually": cmdEventually, "repeat": cmdRepeat, "app": cmdApp,
		},
	})
}

func needPrograms(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatalf("the scenarios need %s: install it (apt-get install git openssh-client curl mmdebstrap)", name)
		}
	}
}

// buildBinary builds what the Makefile builds, with the race detector like the tests themselves.
func buildBinary(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	build := func(env string, args ...string) {
		cmd := exec.Command("go", append([]string{"build"}, args...)...)
		cmd.Env = append(os.Environ(), env)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, out)
		}
	}
	build("CGO_ENABLED=1", "-race", "-o", filepath.Join(dir, "paas"), "paas/cmd/paas")
	build("CGO_ENABLED=0", "-ldflags", "-s -w", "-o", filepath.Join(dir, "paas-init"), "paas/cmd/paas-init")
	return filepath.Join(dir, "paas")
}

// prepareTemplate makes the base image once per machine, or finds it.
func prepareTemplate(t *testing.T, binary string) string {
	t.Helper()
	cmd := exec.Command(binary, "setup", "--data", *templateDir, "--prepare")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("prepare the base image: %v\n%s", err, &out)
	}
	return *templateDir
}

// platformUnderTest is one script's platform.
type platformUnderTest struct {
	binary, data string
	http, ssh    int
	mu           sync.Mutex
	process      *exec.Cmd
	exited       chan struct{}
	log          *os.File
}

type platformKey struct{}

func setUp(env *testscript.Env, binary, template string) error {
	data, err := os.MkdirTemp("/var/tmp", "paas-scenario-")
	if err != nil {
		return err
	}
	p := &platformUnderTest{binary: binary, data: data}
	env.Values[platformKey{}] = p
	env.Defer(func() { p.tearDown(env.T()) })
	if p.http, p.ssh, err = freePorts(); err != nil {
		return err
	}
	for _, shared := range []string{"store", "toolchains"} {
		if err := link(filepath.Join(template, shared), filepath.Join(data, shared)); err != nil {
			return err
		}
	}
	return p.clientFiles(env)
}

// link copies a tree by hard links: layers are never written to.
func link(from, to string) error {
	if _, err := os.Stat(from); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if out, err := exec.Command("cp", "-al", from, to).CombinedOutput(); err != nil {
		return fmt.Errorf("link %s: %w\n%s", from, err, out)
	}
	return nil
}

func freePorts() (first, second int, err error) {
	for _, port := range []*int{&first, &second} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, 0, err
		}
		defer func() { _ = l.Close() }()
		*port = l.Addr().(*net.TCPAddr).Port
	}
	return first, second, nil
}

// clientFiles gives the script two people, alice (an admin) and bob, and ssh and git that know "paas".
func (p *platformUnderTest) clientFiles(env *testscript.Env) error {
	home := filepath.Join(env.WorkDir, ".home")
	bin := filepath.Join(home, "bin")
	if err := os.MkdirAll(bin, 0o700); err != nil {
		return err
	}
	for _, who := range []string{"alice", "bob"} {
		key := filepath.Join(home, who)
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", who, "-f", key).CombinedOutput(); err != nil {
			return fmt.Errorf("ssh-keygen: %w\n%s", err, out)
		}
	}
	config := func(name, key string) string {
		return fmt.Sprintf("Host %s\n  HostName 127.0.0.1\n  Port %d\n  User paas\n  IdentityFile %s\n  IdentitiesOnly yes\n"+
			"  UserKnownHostsFile %s/known_hosts\n  StrictHostKeyChecking accept-new\n  BatchMode yes\n  HostKeyAlias paas\n  LogLevel ERROR\n",
			name, p.ssh, filepath.Join(home, key), home)
	}
	files := map[string]string{
		"ssh_config": config("paas", "alice") + config("paas-bob", "bob"),
		"bin/ssh":    fmt.Sprintf("#!/bin/sh\nexec /usr/bin/ssh -F %s/ssh_config \"$@\"\n", home),
		".gitconfig": "[user]\n\tname = Alice\n\temail = alice@example.com\n[init]\n\tdefaultBranch = main\n[advice]\n\tdetachedHead = false\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o700); err != nil {
			return err
		}
	}
	env.Setenv("HOME", home)
	env.Setenv("GIT_SSH_COMMAND", filepath.Join(bin, "ssh"))
	env.Setenv("PATH", bin+":"+filepath.Dir(p.binary)+":"+os.Getenv("PATH"))
	env.Setenv("DATA", p.data)
	env.Setenv("PAAS_DATA", p.data)
	env.Setenv("HTTP_PORT", strconv.Itoa(p.http))
	env.Setenv("SSH_PORT", strconv.Itoa(p.ssh))
	env.Setenv("EXAMPLES", examples())
	return nil
}

func examples() string {
	wd, err := os.Getwd()
	if err != nil {
		panic(err) // start-up of the test
	}
	return filepath.Join(wd, "..", "..", "examples")
}

// start runs the daemon until it listens.
func (p *platformUnderTest) start(home string) error {
	setup := exec.Command(p.binary, "setup", "--data", p.data, "--name", "alice", "--admin-key", filepath.Join(home, "alice.pub"))
	if out, err := setup.CombinedOutput(); err != nil {
		return fmt.Errorf("paas setup: %w\n%s", err, out)
	}
	log, err := os.OpenFile(filepath.Join(p.data, "daemon.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	cmd := exec.Command(p.binary, "serve", "--data", p.data, "--http", fmt.Sprintf("127.0.0.1:%d", p.http),
		"--ssh", fmt.Sprintf("127.0.0.1:%d", p.ssh), "--domain", "example.test")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	p.mu.Lock()
	p.process, p.exited, p.log = cmd, make(chan struct{}), log
	exited := p.exited
	p.mu.Unlock()
	go func() { _ = cmd.Wait(); close(exited) }()
	return p.awaitListening(exited)
}

func (p *platformUnderTest) awaitListening(exited <-chan struct{}) error {
	for range 600 {
		select {
		case <-exited:
			return errors.New("paas serve ended at once")
		case <-time.After(50 * time.Millisecond):
		}
		conn, err := net.Dial("unix", filepath.Join(p.data, socketName))
		if err == nil {
			return conn.Close()
		}
	}
	return errors.New("paas serve does not listen after 30 s")
}

// end sends the daemon a signal and waits for it.
func (p *platformUnderTest) end(sig syscall.Signal) {
	p.mu.Lock()
	cmd, exited := p.process, p.exited
	p.process = nil
	p.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Signal(sig)
	<-exited
	_ = p.log.Close()
}

// tearDown removes everything the platform made and fails if anything is left.
func (p *platformUnderTest) tearDown(t testscript.T) {
	p.end(syscall.SIGTERM)
	text, _ := os.ReadFile(filepath.Join(p.data, "daemon.log"))
	host, _ := os.Hostname()
	out, err := exec.Command(p.binary, "uninstall", "--data", p.data, "--purge", "--confirm", host).CombinedOutput()
	if failed, ok := t.(interface{ Failed() bool }); *showScripts || ok && failed.Failed() {
		t.Log("the daemon's log:\n" + string(text))
	}
	switch {
	case err != nil:
		t.Fatal(fmt.Sprintf("paas uninstall: %v\n%s", err, out))
	case bytes.Contains(text, []byte("DATA RACE")):
		t.Fatal("the daemon has a data race:\n" + string(text))
	}
	if _, err := os.Stat(p.data); err == nil {
		_ = os.RemoveAll(p.data)
		t.Fatal("paas uninstall --purge left " + p.data)
	}
}

func under(ts *testscript.TestScript) *platformUnderTest {
	return ts.Value(platformKey{}).(*platformUnderTest)
}

// daemon start|stop|kill|crash
func cmdDaemon(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: daemon start|stop|kill")
	}
	p := under(ts)
	switch args[0] {
	case "start":
		ts.Check(p.start(ts.Getenv("HOME")))
	case "stop":
		p.end(syscall.SIGTERM)
	case "kill":
		p.end(syscall.SIGKILL)
	default:
		ts.Fatalf("daemon %s?", args[0])
	}
}

// http [-host HOST] [-status N] PATH: GETs and puts the body in stdout; "! http" wants any failure.
func cmdHTTP(ts *testscript.TestScript, neg bool, args []string) {
	set := flag.NewFlagSet("http", flag.ContinueOnError)
	host := set.String("host", "hello.example.test", "")
	status := set.Int("status", http.StatusOK, "")
	ts.Check(set.Parse(args))
	got, body, err := get(fmt.Sprintf("http://127.0.0.1:%d%s", under(ts).http, set.Arg(0)), *host)
	_, _ = ts.Stdout().Write(body)
	fits := err == nil && got == *status
	if fits == neg {
		ts.Fatalf("GET %s of %s: status %d, error %v\n%s", set.Arg(0), *host, got, err, body)
	}
}

func get(url, host string) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	req.Host = host
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	return res.StatusCode, body, err
}

// eventually COMMAND…: repeats a command for 20 s until it succeeds (with "!": fails).
func cmdEventually(ts *testscript.TestScript, neg bool, args []string) {
	var err error
	for range 200 {
		err = ts.Exec(args[0], args[1:]...)
		if (err == nil) != neg {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	ts.Fatalf("%s: still %v after 20 s", strings.Join(args, " "), err)
}

// repeat N COMMAND…: runs a command N times; each must succeed.
func cmdRepeat(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	for range n {
		ts.Check(ts.Exec(args[1], args[2:]...))
	}
}

// app NAME SOURCE: makes a git repository in directory NAME, with the remote paas:NAME, of a test app or
// an example.
func cmdApp(ts *testscript.TestScript, _ bool, args []string) {
	dir, source := ts.MkAbs(args[0]), filepath.Join(examples(), "..", "cmd", "paas", "testdata", "apps", args[1])
	if _, err := os.Stat(source); err != nil {
		source = filepath.Join(examples(), args[1])
	}
	ts.Check(os.CopyFS(dir, os.DirFS(source)))
	for _, line := range []string{"init -q", "add -A", "commit -q -m first", "remote add paas paas:" + args[0]} {
		ts.Check(ts.Exec("git", append([]string{"-C", dir}, strings.Fields(line)...)...))
	}
}
