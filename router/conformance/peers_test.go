package conformance_test

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"paas/platform"
	"paas/router"
	"paas/router/conformance"
	"paas/router/peers"
)

// `make conformance-http` measures us and other people's proxies, as they come, by the rules of RFC 9110 and 9112 and
// by h2spec, and writes the table.
var (
	againstPeers = flag.Bool("peers", false, "measure other people's proxies, too (make conformance-http)")
	document     = flag.String("document", "", "the file that the table is written to")
	onlyPeer     = flag.String("only", "", "measure this one alone, and print what is wrong")
)

// peer is a proxy in front of an origin. It serves HTTP on one port and HTTPS with HTTP/2 on the other.
type peer struct {
	name  string
	about string
	start func(t *testing.T, f *files, plain, secure int, origin net.Addr)

	verdicts []conformance.Verdict
	h2       h2result
}

func TestPeers(t *testing.T) {
	if !*againstPeers {
		return // `make conformance-http` runs it; ours alone is in TestRouter and TestH2Spec of the router
	}
	list := everybody(t)
	for _, p := range list {
		p.measure(t)
	}
	ours := list[0]
	for _, v := range ours.verdicts {
		if v.Fault != "" {
			t.Errorf("%s (%s: %s): %s", v.Case, v.Rule.Section, v.Rule.Must, v.Fault)
		}
	}
	for _, p := range list[1:] {
		if p.right() >= ours.right() {
			t.Errorf("%s gets %d cases right, we %d", p.name, p.right(), ours.right())
		}
	}
	if *document == "" {
		return
	}
	if err := os.WriteFile(*document, []byte(page(list)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func everybody(t *testing.T) []*peer {
	dir := t.TempDir()
	list := []*peer{
		{name: "paas", about: "ours", start: startOurs},
		{name: "nginx", about: packaged(t, "nginx", "nginx-light"), start: startNginx},
		{name: "HAProxy", about: packaged(t, "haproxy", "haproxy"), start: startHAProxy},
	}
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	if caddy, err := peers.Caddy(ctx, dir); err == nil {
		list = append(list, &peer{name: "Caddy", about: peers.CaddyVersion, start: startCaddy(caddy)})
	} else {
		t.Log("without Caddy:", err)
	}
	if *onlyPeer == "" {
		return list
	}
	for _, p := range list {
		if p.name == *onlyPeer {
			return []*peer{p}
		}
	}
	t.Fatalf("there is no %s", *onlyPeer)
	return nil
}

// packaged is the version of a Debian package.
func packaged(t *testing.T, program, name string) string {
	if _, err := exec.LookPath(program); err != nil {
		t.Fatalf("%s is needed: apt-get install %s", program, name)
	}
	out, err := exec.Command("dpkg-query", "-W", "-f", "${Version}", name).Output()
	if err != nil {
		return "of unknown version"
	}
	return string(out)
}

func (p *peer) measure(t *testing.T) {
	f := newFiles(t)
	secure := freePort(t)
	p.verdicts = conformance.Score(t, func(t *testing.T, origin net.Addr) string {
		plain := freePort(t)
		p.start(t, f, plain, secure, origin)
		await(t, plain)
		await(t, secure)
		return fmt.Sprint("127.0.0.1:", plain)
	})
	p.h2 = runH2Spec(t, secure)
	t.Logf("%s %s: %d of %d, h2spec %d of %d", p.name, p.about, p.right(), len(p.verdicts), p.h2.passed, p.h2.cases)
	for _, v := range p.verdicts {
		if v.Fault != "" && *onlyPeer != "" {
			t.Logf("%s (%s): %.300s", v.Case, v.Rule.Section, v.Fault)
		}
	}
}

// right is how many cases are.
func (p *peer) right() (n int) {
	for _, v := range p.verdicts {
		if v.Fault == "" {
			n++
		}
	}
	return n
}

func startOurs(t *testing.T, f *files, plain, secure int, origin net.Addr) {
	r := router.New(router.Options{})
	r.Swap(platform.Route{App: "a", Hosts: []string{"a.test", "127.0.0.1"}, Backends: []platform.Backend{
		{ID: "a-1", Addr: netip.MustParseAddrPort(origin.String())},
	}})
	cert, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12}
	done := make(chan error, 2)
	for _, port := range []int{plain, secure} {
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port))
		if err != nil {
			t.Fatal(err)
		}
		if port == secure {
			l = tls.NewListener(l, config)
		}
		go func() { done <- r.Serve(l) }()
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = r.Shutdown(ctx) // what h2spec left open is cut
		<-done
		<-done
	})
}

func startNginx(t *testing.T, f *files, plain, secure int, origin net.Addr) {
	run(t, f, "nginx", "-c", f.write("nginx.conf", fmt.Sprintf(`daemon off; user root; worker_processes 1; pid %[1]s/nginx.pid; error_log /dev/null crit;
events { worker_connections 512; }
http { access_log off;
client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
upstream app { server %[2]s; keepalive 16; }
server { listen 127.0.0.1:%[3]d; listen 127.0.0.1:%[4]d ssl http2; ssl_certificate %[5]s; ssl_certificate_key %[6]s;
location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Host $host; proxy_set_header Connection "";
proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme; } } }
`, f.dir, origin, plain, secure, f.cert, f.key)))
}

func startHAProxy(t *testing.T, f *files, plain, secure int, origin net.Addr) {
	run(t, f, "haproxy", "-db", "-f", f.write("haproxy.cfg", fmt.Sprintf(`
defaults
  mode http
  timeout client 30s
  timeout server 30s
  timeout connect 5s
  option forwardfor
frontend f
  bind 127.0.0.1:%d
  bind 127.0.0.1:%d ssl crt %s alpn h2,http/1.1
  default_backend app
backend app
  server a %s
`, plain, secure, f.both, origin)))
}

func startCaddy(program string) func(*testing.T, *files, int, int, net.Addr) {
	return func(t *testing.T, f *files, plain, secure int, origin net.Addr) {
		run(t, f, program, "run", "--adapter", "caddyfile", "--config", f.write("Caddyfile", fmt.Sprintf(`{
	admin off
	persist_config off
	auto_https off
	storage file_system %s
	default_sni localhost
}
http://:%d {
	reverse_proxy %s
}
https://:%d {
	tls %s %s
	reverse_proxy %[3]s
}
`, filepath.Join(f.dir, "storage"), plain, origin, secure, f.cert, f.key)))
	}
}
