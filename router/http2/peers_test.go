package http2

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"paas/router/wire"
)

var (
	peers  = flag.Bool("peers", false, "measure beside nginx: CPU time for the same answers (root; apt: nginx-light nghttp2-client)")
	serves = flag.Bool("serves", false, "be the server that -peers measures, until stdin ends")
	rounds = flag.Int("rounds", 5, "of -peers")
)

// fixed answers 1 KiB, or as much as the path says.
type fixed struct{ body []byte }

func (f fixed) Serve(x wire.Exchange) {
	if len(x.Request().Target) > 2 {
		file{}.Serve(x)
		return
	}
	_ = x.Head(200, []wire.Field{
		{Name: []byte("Content-Type"), Value: []byte("text/plain")}, {Name: []byte("Server"), Value: []byte("nginx/1.22.1")},
		{Name: []byte("Date"), Value: []byte("Sat, 21 Nov 2026 16:19:53 GMT")},
	}, int64(len(f.body)))
	_, _ = x.Write(f.body)
	_ = x.End(nil)
}

// TestServes is ours, in a process of its own on the first core.
func TestServes(t *testing.T) {
	if !*serves {
		return
	}
	addr := listen(t, &Server{Handler: fixed{bytes.Repeat([]byte("a"), 1024)}, Limits: Limits{Idle: time.Hour}}, true)
	fmt.Printf("listening on %s\n", addr)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// TestPeers prints figure, ours, nginx's, and their ratio: above 1 ours needs less. Both run on core 0, the client
// on core 1, in turns. nginx answers from its configuration: what is measured is HTTP/2 alone.
func TestPeers(t *testing.T) {
	if !*peers {
		return
	}
	program(t, "h2load", "nghttp2-client")
	ours, theirs := startOurs(t), startNginx(t)
	for _, c := range []struct {
		name, path string
		n          int
		args       []string
	}{
		{"http2-answer-us", "/", 60000, []string{"-c64", "-m1"}},
		{"http2-answers-us", "/", 200000, []string{"-c64", "-m16"}},
		{"http2-download-ms", "/1073741824", 1, []string{"-c1", "-m1", "-w20", "-W20"}},
	} {
		unit := time.Microsecond
		if c.n == 1 {
			unit = time.Millisecond
		}
		var a, b, ratio []float64
		for range *rounds {
			mine, other := ours.load(t, c.path, c.n, c.args), theirs.load(t, c.path, c.n, c.args)
			a, b = append(a, mine/float64(unit)), append(b, other/float64(unit))
			ratio = append(ratio, other/mine)
		}
		fmt.Printf("%s\t%.2f\t%.2f\t%.2f\n", c.name, median(a), median(b), median(ratio))
	}
	fmt.Printf("http2-idle-tls-kb\t%.1f\t%.1f\t\n", ours.idle(t), theirs.idle(t))
}

func median(of []float64) float64 { slices.Sort(of); return of[len(of)/2] }

// subject is a server that is measured.
type subject struct {
	pid  int
	addr string
}

func startOurs(t *testing.T) subject {
	cmd := exec.Command("taskset", "-c", "0", os.Args[0], "-test.run", "^TestServes$", "-serves")
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return subject{cmd.Process.Pid, strings.TrimSpace(strings.TrimPrefix(line, "listening on "))}
}

func startNginx(t *testing.T) subject {
	dir := t.TempDir()
	writeKeys(t, dir)
	for i, size := range map[string]int64{"1073741824": 1 << 30} {
		if err := os.WriteFile(filepath.Join(dir, i), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(filepath.Join(dir, i), size); err != nil {
			t.Fatal(err)
		}
	}
	addr := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	conf := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/err; user root;
events { worker_connections 20000; }
http { access_log off; keepalive_requests 1000000000; default_type text/plain;
 client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
 server { listen %[3]s ssl http2; ssl_certificate %[1]s/cert; ssl_certificate_key %[1]s/key; root %[1]s;
 location = / { return 200 %[2]s; } } }`, dir, strings.Repeat("a", 1024), addr)
	if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("taskset", "-c", "0", program(t, "nginx", "nginx-light"), "-c", filepath.Join(dir, "conf"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for range 100 {
		if c, err := net.Dial("tcp", addr); err == nil {
			_ = c.Close()
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return subject{cmd.Process.Pid, addr}
}

func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

func writeKeys(t *testing.T, dir string) {
	cert := certificate(t)
	key, err := x509.MarshalECPrivateKey(cert.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert": {Type: "CERTIFICATE", Bytes: cert.Certificate[0]}, "key": {Type: "EC PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// load asks n times, and returns the server's CPU time for one.
func (s subject) load(t *testing.T, path string, n int, args []string) float64 {
	before := s.cpu(t)
	args = append([]string{"-c", "1", "h2load", "-n" + strconv.Itoa(n)}, args...)
	out, err := exec.Command("taskset", append(args, "https://"+s.addr+path)...).CombinedOutput()
	if err != nil || !strings.Contains(string(out), " 0 failed, 0 errored, 0 timeout") {
		t.Fatalf("h2load: %s, %v", out, err)
	}
	return float64(s.cpu(t)-before) / float64(n)
}

// cpu is what the process took so far: fields 14 and 15 of /proc/PID/stat, in hundredths of a second (proc(5)).
func (s subject) cpu(t *testing.T) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+2:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// idle is the memory of the process for one connection that has asked once, in kB.
func (s subject) idle(t *testing.T) float64 {
	const n = 2000
	before := s.memory(t)
	config := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}, ClientSessionCache: nil}
	ask := append([]byte(preface), appendFrameHead(nil, 0, frameSettings, 0, 0)...)
	ask = append(appendFrameHead(ask, 15, frameHeaders, flagEnd|flagEndHeaders, 1), 0x82, 0x84, 0x87, 0x41, 10)
	ask = append(ask, "hello.test"...)
	for range n {
		c, err := tls.Dial("tcp", s.addr, config)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if _, err := c.Write(ask); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAtLeast(c, make([]byte, 4096), 1024); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(3 * time.Second)
	return float64(s.memory(t)-before) / n
}

// memory is the proportional set size in kB.
func (s subject) memory(t *testing.T) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", s.pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\nPss:")
	kb, _ := strconv.Atoi(strings.Fields(rest)[0])
	return kb
}
