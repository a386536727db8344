package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// `make bench` measures us against peers from Debian's packages, side by side in one run, and prints a
// line a figure: figure, ours, peer, ratio. Nothing here is an assertion about time.
var peers = flag.Bool("peers", false, "run the benchmarks against peers (make bench)")

const rounds = 15

func TestPeers(t *testing.T) {
	if !*peers {
		return // `make bench` runs it; a test of the machine's speed has no place among the others
	}
	needPrograms(t, "node", "npm", "nginx", "wrk", "sshd")
	p := newPlainPlatform(t)
	fmt.Println("figure (ms, or requests/s)\tours\tpeer\tratio")
	benchPush(t, p)
	benchProxy(t, p)
}

func figure(name string, ours, peer float64) {
	fmt.Printf("%s\t%.2f\t%.2f\t%.2f\n", name, ours, peer, ours/peer)
}

// interleaved times the functions in turn, round after round, and returns each one's median in ms.
func interleaved(t *testing.T, n int, each ...func() error) []float64 {
	t.Helper()
	samples := make([][]float64, len(each))
	for range n {
		for i, f := range each {
			start := time.Now()
			if err := f(); err != nil {
				t.Fatal(err)
			}
			samples[i] = append(samples[i], float64(time.Since(start).Microseconds())/1000)
		}
	}
	medians := make([]float64, len(each))
	for i, list := range samples {
		slices.Sort(list)
		medians[i] = list[len(list)/2]
	}
	return medians
}

// benchPush times a push of a one-line change, until the new release serves, against a plain git push to
// OpenSSH's sshd plus the time that the app itself needs from its start to its first answer.
func benchPush(t *testing.T, p *platformUnderTest) {
	dir := p.repository(t, filepath.Join(examples(), "node"), "node")
	p.run(t, dir, "git", "push", "paas", "main")
	p.run(t, dir, "sh", "-c", "echo node_modules >> .git/info/exclude && npm ci --silent") // to boot it outside
	plain := p.plainRemote(t)
	p.run(t, dir, "git", "remote", "add", "plain", plain)
	p.run(t, dir, "git", "push", "plain", "main")
	n := 0
	push := func(remote string) func() error {
		return func() error {
			n++
			if err := os.WriteFile(filepath.Join(dir, "line.txt"), []byte(fmt.Sprintln(n)), 0o600); err != nil {
				return err
			}
			for _, line := range []string{"add -A", "commit -qm change"} {
				if out, err := p.try(dir, append([]string{"git"}, strings.Fields(line)...)...); err != nil {
					return fmt.Errorf("git %s: %w\n%s", line, err, out)
				}
			}
			out, err := p.try(dir, "git", "push", remote, "main")
			if err != nil {
				err = fmt.Errorf("push to %s: %w\n%s", remote, err, out)
			}
			return err
		}
	}
	m := interleaved(t, rounds, push("paas"), push("plain"), func() error { return bootNode(dir) })
	figure("push-vs-git-push-plus-boot", m[0], m[1]+m[2])
}

func bootNode(dir string) error { return boot(dir, "node", "server.js") }

// boot starts an app outside of any container and waits for its first answer.
func boot(dir string, argv ...string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return err
	}
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:gosec // our own examples
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "PORT="+strconv.Itoa(port))
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	for range 5000 {
		if status, _, err := get(fmt.Sprintf("http://127.0.0.1:%d/", port), "x"); err == nil && status == 200 {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("%s does not answer", dir)
}

// plainRemote runs an sshd of its own and returns a git remote on it.
func (p *platformUnderTest) plainRemote(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	_, port, err := freePorts()
	if err != nil {
		t.Fatal(err)
	}
	p.run(t, dir, "git", "init", "-q", "--bare", "plain.git")
	p.run(t, dir, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "host")
	p.run(t, dir, "cp", filepath.Join(p.home, "alice.pub"), "authorized")
	config := fmt.Sprintf("Port %d\nListenAddress 127.0.0.1\nHostKey %s/host\nAuthorizedKeysFile %s/authorized\n"+
		"StrictModes no\nPidFile none\nUsePAM no\nPermitRootLogin yes\n", port, dir, dir)
	if err := os.WriteFile(filepath.Join(dir, "sshd_config"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		t.Fatal(err)
	}
	sshd := exec.Command("/usr/sbin/sshd", "-D", "-f", filepath.Join(dir, "sshd_config"))
	if err := sshd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sshd.Process.Kill(); _ = sshd.Wait() })
	stanza := fmt.Sprintf("Host plain\n  HostName 127.0.0.1\n  Port %d\n  User root\n  IdentityFile %s/alice\n"+
		"  IdentitiesOnly yes\n  UserKnownHostsFile %s/known_hosts\n  StrictHostKeyChecking accept-new\n  LogLevel ERROR\n", port, p.home, p.home)
	f, err := os.OpenFile(filepath.Join(p.home, "ssh_config"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(stanza); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	awaitPort(t, port)
	return "plain:" + dir + "/plain.git"
}

func awaitPort(t *testing.T, port int) {
	t.Helper()
	for range 200 {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = conn.Close()
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("nothing listens on %d", port)
}

// benchProxy compares requests per second through the router and through nginx, to one and the same
// instance of an app that answers fast.
func benchProxy(t *testing.T, p *platformUnderTest) {
	dir := p.repository(t, filepath.Join(examples(), "go"), "go")
	p.run(t, dir, "git", "push", "paas", "main")
	var list []struct {
		Address string `json:"address"`
	}
	if err := json.Unmarshal([]byte(p.run(t, dir, "paas", "ps", "go", "--json")), &list); err != nil || len(list) == 0 {
		t.Fatalf("ps: %v", err)
	}
	peer := nginx(t, list[0].Address)
	var ours, theirs []float64
	for range 5 {
		ours = append(ours, wrk(t, p.url("/"), "go.example.test"))
		theirs = append(theirs, wrk(t, peer, "go.example.test"))
	}
	slices.Sort(ours)
	slices.Sort(theirs)
	figure("proxy-requests-per-second-vs-nginx", ours[2], theirs[2])
}

var perSecond = regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`)

func wrk(t *testing.T, url, host string) float64 {
	t.Helper()
	out, err := exec.Command("wrk", "-t1", "-c64", "-d3s", "-H", "Host: "+host, url).CombinedOutput()
	m := perSecond.FindStringSubmatch(string(out))
	if err != nil || m == nil || strings.Contains(string(out), "Non-2xx") {
		t.Fatalf("wrk: %v\n%s", err, out)
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// nginx runs Debian's nginx as a proxy with one worker and keep-alive to the instance.
func nginx(t *testing.T, upstream string) string {
	t.Helper()
	dir := t.TempDir()
	_, port, err := freePorts()
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(`daemon off; worker_processes 2; pid %[1]s/pid; error_log %[1]s/error.log;
events { worker_connections 4096; }
http {
  access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  upstream app { server %[2]s; keepalive 128; }
  server { listen 127.0.0.1:%[3]d; location / {
    proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; } }
}
`, dir, upstream, port)
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nginx", "-c", path, "-p", dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Signal(os.Interrupt); _ = cmd.Wait() })
	awaitPort(t, port)
	return fmt.Sprintf("http://127.0.0.1:%d/", port)
}
