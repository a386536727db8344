package router_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"paas/platform"
	"paas/router"
	"paas/router/sockets"
)

// playEnv makes the test binary play another part.
const playEnv = "PAAS_ROUTER_PLAY"

func (b *contest) certificate() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		b.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		b.t.Fatal(err)
	}
	cert := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	b.write("cert.pem", cert)
	private := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
	b.write("key.pem", private)
	b.write("both.pem", cert+private)
}

const nginxHead = `daemon off; master_process %s; worker_processes 1; pid %s; error_log /dev/null crit;
worker_rlimit_nofile 16384;
events { worker_connections 8192; }
http { access_log off; keepalive_requests 1000000000; keepalive_timeout 300s; sendfile on; tcp_nopush on; tcp_nodelay on;
client_body_temp_path %[3]s/body; proxy_temp_path %[3]s/proxy; fastcgi_temp_path %[3]s/f; uwsgi_temp_path %[3]s/u; scgi_temp_path %[3]s/s;
proxy_max_temp_file_size 0;
`

func (b *contest) nginxApp(port int) string {
	return fmt.Sprintf(nginxHead, "off", filepath.Join(b.dir, "app.pid"), b.dir) +
		fmt.Sprintf("open_file_cache max=10; server { listen 127.0.0.1:%d backlog=4096; root %s; } }\n", port, b.dir)
}

func (b *contest) nginxProxy(r *rival, app, echo int) string {
	return fmt.Sprintf(nginxHead, "off", filepath.Join(b.dir, "proxy.pid"), b.dir) + fmt.Sprintf(`
log_format router '$time_iso8601 method=$request_method path="$uri" host=$host fwd="$remote_addr" service=$request_time status=$status bytes=$body_bytes_sent';
access_log %[5]s/nginx-access.log router buffer=64k flush=1s;
upstream app { server 127.0.0.1:%[3]d; keepalive 1024; keepalive_requests 1000000000; }
upstream echo { server 127.0.0.1:%[4]d; }
server { listen 127.0.0.1:%[1]d backlog=4096; listen 127.0.0.1:%[2]d ssl http2 backlog=4096;
http2_max_concurrent_streams 128;
ssl_certificate %[5]s/cert.pem; ssl_certificate_key %[5]s/key.pem; ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets off;
proxy_http_version 1.1; proxy_set_header Host $host; proxy_set_header Connection "";
proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Request-Id $request_id;
location / { proxy_pass http://app; }
location /ws { proxy_pass http://echo; proxy_set_header Upgrade websocket; proxy_set_header Connection upgrade; }
} }
`, r.http, r.https, app, echo, b.dir)
}

func (b *contest) haproxy(r *rival, app, echo int) string {
	return fmt.Sprintf(`
global
  nbthread 1
  maxconn 8000
defaults
  mode http
  timeout client 300s
  timeout server 300s
  timeout connect 5s
  option forwardfor
frontend f
  bind 127.0.0.1:%d
  bind 127.0.0.1:%d ssl crt %s/both.pem alpn h2,http/1.1
  use_backend echo if { path_beg /ws }
  default_backend app
backend app
  http-reuse always
  server a 127.0.0.1:%d
backend echo
  server e 127.0.0.1:%d
`, r.http, r.https, b.dir, app, echo)
}

// caddyfile lets Caddy write its access log, which it has no short form of, and keep connections to the instance.
func (b *contest) caddyfile(r *rival, app, echo int) string {
	return fmt.Sprintf(`{
	admin off
	persist_config off
	auto_https off
	storage file_system %[5]s/caddy-storage
	log {
		output discard
	}
	servers {
		protocols h1 h2
	}
}
(site) {
	bind 127.0.0.1
	log {
		output file %[5]s/caddy-access.log {
			roll_disabled
		}
	}
	reverse_proxy /ws 127.0.0.1:%[4]d
	reverse_proxy 127.0.0.1:%[3]d {
		transport http {
			keepalive 300s
			keepalive_idle_conns_per_host 1024
		}
	}
}
http://:%[1]d {
	import site
}
https://127.0.0.1:%[2]d {
	import site
	tls %[5]s/cert.pem %[5]s/key.pem
}
`, r.http, r.https, app, echo, b.dir)
}

// playProxy is our router in a process of its own.
func playProxy() {
	var plain, secure, app, echo int
	var dir string
	if _, err := fmt.Sscanf(os.Getenv("BENCH"), "%d %d %d %d %s", &plain, &secure, &app, &echo, &dir); err != nil {
		log.Fatal(err)
	}
	lines, err := os.Create(filepath.Join(dir, "access.log"))
	if err != nil {
		log.Fatal(err)
	}
	var text []byte
	var mu sync.Mutex
	r := router.New(router.Options{Access: func(_ platform.AppName, list []platform.AccessLine) {
		mu.Lock()
		defer mu.Unlock()
		text = text[:0]
		for _, l := range list {
			text = append(append(text, l.Text...), '\n')
		}
		_, _ = lines.Write(text)
	}})
	route := func(name platform.AppName, port int, hosts ...string) {
		r.Swap(platform.Route{App: name, Hosts: hosts, Backends: []platform.Backend{{
			ID: platform.InstanceID(name), Name: "web.1", Addr: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port)), //nolint:gosec // a port
		}}})
	}
	route("app", app, "127.0.0.1")
	route("echo", echo, "ws.test")
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		log.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true}
	go func() { log.Fatal(r.Serve(listenOn(plain))) }()
	go func() { log.Fatal(r.Serve(tls.NewListener(listenOn(secure), config))) }()
	if at := os.Getenv("PROFILE"); at != "" {
		go profile(at)
	}
	interrupted()
}

// listenOn listens as the daemon does.
func listenOn(port int) net.Listener {
	l, err := sockets.NewSet(nil, nil).Listen(strconv.Itoa(port), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err == nil {
		err = l.HoldBack()
	}
	if err != nil {
		log.Fatal(err)
	}
	return l
}

func interrupted() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt)
	<-stop
}

// playEcho is a WebSocket server.
func playEcho() {
	go func() {
		log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), http.HandlerFunc(rawEcho))) //nolint:gosec // a test's
	}()
	interrupted()
}

// rawEcho answers the handshake and sends back every byte: what comes is not looked at.
func rawEcho(w http.ResponseWriter, _ *http.Request) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	buf := make([]byte, 4096)
	for {
		n, err := rw.Read(buf)
		if err != nil {
			return
		}
		if _, err := conn.Write(buf[:n]); err != nil {
			return
		}
	}
}
