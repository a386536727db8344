package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
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
	testscript.Main(runAndClean{m}, map[string]func(){"paas": main})
}

// runAndClean removes the built binary after the last test.
type runAndClean struct{ *testing.M }

func (r runAndClean) Run() int {
	defer func() { _ = os.RemoveAll(ready.dir) }()
	return r.M.Run()
}

func TestScripts(t *testing.T) {
	binary, template := prepared(t)
	t.Cleanup(func() { wholeAudit(t) })
	testscript.Run(t, testscript.Params{
		Dir: "testdata", RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			p, err := newPlatform(binary, template, filepath.Join(env.WorkDir, ".home"))
			if err != nil {
				return err
			}
			env.Values[platformKey{}] = p
			env.Defer(func() { p.tearDown(env.T()); p.removeDisk(env.T()) })
			env.Defer(func() { removeContainers(binary, filepath.Join(env.WorkDir, "state")) })
			for name, value := range p.environ() {
				env.Setenv(name, value)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"daemon": cmdDaemon, "http": cmdHTTP, "eventually": cmdEventually, "repeat": cmdRepeat, "app": cmdApp,
			"disk": cmdDisk, "acme": cmdACME, "port": cmdPort, "wire": cmdWire, "terminal": cmdTerminal,
		},
	})
}

// prepared builds the binary and the template once for all tests of this run.
func prepared(t *testing.T) (binary, template string) {
	t.Helper()
	needPrograms(t, "git", "ssh", "ssh-keygen", "curl", "mmdebstrap")
	if os.Getuid() != 0 {
		t.Fatal("the scenarios make namespaces and mounts: run them as root")
	}
	ready.Do(func() {
		var err error
		if ready.dir, err = os.MkdirTemp("", "paas-bin-"); err != nil { // outlives the test that comes first
			t.Fatal(err)
		}
		ready.binary = buildBinary(t, ready.dir, "-race")
		ready.template = prepareTemplate(t, ready.binary)
	})
	if ready.template == "" {
		t.Fatal("the preparation failed, see above")
	}
	return ready.binary, ready.template
}

var ready struct {
	sync.Once
	dir, binary, template string
}

func needPrograms(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatalf("the scenarios need %s: install it (apt-get install git openssh-client curl mmdebstrap)", name)
		}
	}
}

// buildBinary builds what the Makefile builds into dir; flags are added to the build of paas.
func buildBinary(t *testing.T, dir string, flags ...string) string {
	t.Helper()
	args := append(append([]string{"build"}, flags...), "-o", filepath.Join(dir, "paas"), "paas/cmd/paas")
	for _, cmd := range []*exec.Cmd{exec.Command("go", args...), exec.Command("sh", "../paas-init/build.sh", filepath.Join(dir, "paas-init"))} {
		cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", cmd, err, out)
		}
	}
	return filepath.Join(dir, "paas")
}

// prepareTemplate makes the base image once per machine, or finds it. One process at a time does so.
func prepareTemplate(t *testing.T, binary string) string {
	t.Helper()
	lock, err := os.OpenFile(*templateDir+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Close() }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	old, err := filepath.Glob(filepath.Join(*templateDir, "paas.db*")) // of another version, maybe
	for _, path := range old {
		err = errors.Join(err, os.Remove(path))
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "setup", "--data", *templateDir, "--prepare")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("prepare the base image: %v\n%s", err, &out)
	}
	if out, err := exec.Command(binary, "uninstall", "--data", *templateDir).CombinedOutput(); err != nil { // the image stays
		t.Fatalf("paas uninstall: %v\n%s", err, out)
	}
	return *templateDir
}

type platformKey struct{}

func under(ts *testscript.TestScript) *platformUnderTest {
	return ts.Value(platformKey{}).(*platformUnderTest)
}

// daemon start [FLAG…]|stop|kill|handover
func cmdDaemon(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 || len(args) > 1 && args[0] != "start" {
		ts.Fatalf("usage: daemon start [flag…]|stop|kill|handover")
	}
	p := under(ts)
	switch args[0] {
	case "start":
		ts.Check(p.start(args[1:]...))
	case "stop":
		p.end(syscall.SIGTERM)
	case "handover":
		ts.Check(p.handOver())
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

// eventually COMMAND…: repeats a command for 45 s until it succeeds (with "! eventually": fails).
func cmdEventually(ts *testscript.TestScript, neg bool, args []string) {
	var err error
	for range 450 {
		err = ts.Exec(args[0], args[1:]...)
		if (err == nil) != neg {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	ts.Fatalf("%s: still %v after 45 s", strings.Join(args, " "), err)
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
