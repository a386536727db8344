// Package examples_test builds and runs every example app as its plan says, with the node, npm, go and python3
// of this machine, in a mount namespace of its own where /app is the app.
package examples_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"paas/buildpacks"
	"paas/buildpacks/plan"
	"paas/buildpacks/static"
	"paas/buildpacks/treetest"
	"paas/platform"
)

// The test binary is also the paas of the static example: it is put into the app's PATH under that name.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) != "paas" {
		os.Exit(m.Run())
	}
	if err := static.Main(context.Background(), os.Args[2:], os.Getenv, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// enter makes a root like this machine's with /app, /cache and /paas added, and runs a command line in it.
const enter = `
mount -t tmpfs tmpfs "$ROOT"
for d in /*; do
  case $d in /app|/cache|/paas) continue ;; esac
  if [ -L "$d" ]; then cp -P "$d" "$ROOT$d"; elif [ -d "$d" ]; then mkdir "$ROOT$d" && mount --rbind "$d" "$ROOT$d"; fi
done
mkdir "$ROOT/app" "$ROOT/cache" "$ROOT/paas"
mount --bind "$APP" "$ROOT/app"
mount --bind "$CACHE" "$ROOT/cache"
cp "$PAAS" "$ROOT/paas/paas"
exec chroot "$ROOT" /bin/bash -c 'cd /app && exec /bin/bash -e -c "$COMMAND"'
`

// box is where one app is built and run.
type box struct {
	app, cache string
	path       []string
}

func newBox(t *testing.T, p plan.Plan) box {
	t.Helper()
	return box{app: t.TempDir(), cache: t.TempDir(), path: p.Path}
}

// command is a command line in the box. Its mounts go with its last process.
func (b box) command(t *testing.T, line string, env map[string]string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "/bin/bash", "-e", "-c", enter)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Env = append(os.Environ(), "ROOT="+t.TempDir(), "APP="+b.app, "CACHE="+b.cache, "PAAS="+self, "COMMAND="+line,
		"PATH="+strings.Join(append(slices.Clone(b.path), "/paas", "/usr/local/go/bin", "/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"), ":"))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		cmd.Env = append(cmd.Env, name+"="+env[name])
	}
	return cmd
}

// build does what the engine does, without layers: the box ends up with what the image would have in /app.
func build(t *testing.T, app string) (plan.Plan, box) {
	t.Helper()
	tree := treetest.Dir(t, app)
	p, err := buildpacks.Detect(t.Context(), tree)
	if err != nil {
		t.Fatal(err)
	}
	b := newBox(t, p)
	for _, c := range p.Steps {
		for _, cache := range c.Caches {
			if err := os.MkdirAll(filepath.Join(b.cache, strings.TrimPrefix(cache.Dir, "/cache")), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		tree.Write(t, b.app, c.Sees)
		for _, line := range c.Commands {
			if out, err := b.command(t, line, c.Env).CombinedOutput(); err != nil {
				t.Fatalf("%s: %s: %v\n%s", c.Name, line, err, out)
			}
		}
	}
	return p, b.image(t, p, tree)
}

// image leaves out what only the build needed.
func (b box) image(t *testing.T, p plan.Plan, tree *treetest.Tree) box {
	t.Helper()
	if !slices.ContainsFunc(p.Steps, func(s plan.Step) bool { return s.Build }) {
		return b
	}
	img := newBox(t, p)
	for _, s := range p.Steps {
		if s.Build {
			continue
		}
		tree.Write(t, img.app, s.Sees)
		for _, out := range s.Output {
			if err := os.CopyFS(filepath.Join(img.app, out), os.DirFS(filepath.Join(b.app, out))); err != nil {
				t.Fatal(err)
			}
		}
	}
	return img
}

// server is a web process that runs.
type server struct {
	url  string
	cmd  *exec.Cmd
	out  *bytes.Buffer
	done chan error
}

func start(t *testing.T, p plan.Plan, b box) *server {
	t.Helper()
	port := freePort(t)
	env := maps.Clone(p.Env)
	if env == nil {
		env = map[string]string{}
	}
	env["PORT"], env["DYNO"], env["PAAS_RELEASE"] = port, "web.1", "v7"
	s := &server{url: "http://127.0.0.1:" + port, out: &bytes.Buffer{}, done: make(chan error, 1)}
	s.cmd = b.command(t, p.Processes[platform.Web], env)
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.done <- s.cmd.Wait() }()
	t.Cleanup(func() { _ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) })
	s.await(t)
	return s
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func (s *server) await(t *testing.T) {
	t.Helper()
	for range 600 {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err == nil {
			_ = c.Close()
			return
		}
		select {
		case err := <-s.done:
			t.Fatalf("it ended: %v\n%s", err, s.out)
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Fatal("it does not listen")
}

func (s *server) says(t *testing.T, path, want string) {
	t.Helper()
	if status, body := get(t, s.url+path); status != http.StatusOK || !strings.Contains(body, want) {
		t.Errorf("%s: %d %q, want %q", path, status, body, want)
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return resp.StatusCode, string(body)
}

// stop signals the process group, as the runtime does, and wants a clean end.
func (s *server) stop(t *testing.T) {
	t.Helper()
	http.DefaultClient.CloseIdleConnections()
	if err := syscall.Kill(-s.cmd.Process.Pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-s.done:
		if err != nil {
			t.Errorf("after SIGTERM: %v\n%s", err, s.out)
		}
	case <-time.After(20 * time.Second):
		t.Error("it does not end after SIGTERM")
	}
}

func TestNode(t *testing.T) {
	p, b := build(t, "node")
	s := start(t, p, b)
	s.says(t, "/", "Hello from Node.js")
	s.says(t, "/", "v7 web.1")
	s.says(t, "/healthz", "ok")
	echo(t, s.url+"/ws")
	slow := make(chan string, 1)
	go func() {
		_, body := get(t, s.url+"/slow?ms=1000")
		slow <- body
	}()
	time.Sleep(300 * time.Millisecond)
	s.stop(t)
	if body := <-slow; !strings.Contains(body, "Waited 1000 ms") {
		t.Errorf("the request in flight got %q", body)
	}
}

func echo(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	c, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.CloseNow() }()
	if err := c.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, got, err := c.Read(ctx); err != nil || string(got) != "hello" {
		t.Errorf("echo: %q, %v", got, err)
	}
}

func TestNodeBuild(t *testing.T) {
	p, b := build(t, "node-build")
	if _, err := os.Stat(filepath.Join(b.app, "node_modules/marked")); !os.IsNotExist(err) {
		t.Errorf("what only the build needs is still there: %v", err)
	}
	s := start(t, p, b)
	s.says(t, "/", "<strong>not</strong> part of the running app")
	s.stop(t)
}

func TestGo(t *testing.T) {
	p, b := build(t, "go")
	for _, name := range []string{"main.go", "go.mod", ".go"} {
		if _, err := os.Stat(filepath.Join(b.app, name)); !os.IsNotExist(err) {
			t.Errorf("%s is in the image: %v", name, err)
		}
	}
	s := start(t, p, b)
	s.says(t, "/", "Hello from go1.")
	s.stop(t)
}

func TestPython(t *testing.T) {
	p, b := build(t, "python")
	s := start(t, p, b)
	s.says(t, "/", "Hello from Python 3.")
	s.stop(t)
}

func TestStatic(t *testing.T) {
	p, b := build(t, "static")
	s := start(t, p, b)
	s.says(t, "/", "Just files")
	s.says(t, "/about", "about.html")
	s.says(t, "/docs", "Documents")
	if status, body := get(t, s.url+"/static.json"); status != http.StatusNotFound || !strings.Contains(body, "Begin again") {
		t.Errorf("/static.json: %d %q", status, body)
	}
	s.stop(t)
}

func TestProcfile(t *testing.T) {
	p, b := build(t, "procfile")
	s := start(t, p, b)
	s.says(t, "/", "Hello from Perl")
	if status, _ := get(t, s.url+"/gone"); status != http.StatusNotFound {
		t.Errorf("/gone: %d", status)
	}
	s.stop(t)
	out, err := b.command(t, p.Processes[platform.ReleasePhase], map[string]string{"PAAS_RELEASE": "v7"}).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "ready as v7") {
		t.Errorf("release: %v\n%s", err, out)
	}
}
