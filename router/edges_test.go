package router_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"paas/platform"
	"paas/router"
)

// The rules of package edge over real HTTP, in front of two apps: hello.test, which has them, and other.test, which
// must not notice.

// tells answers with what it got.
func tells(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = fmt.Fprintf(w, "%s %s prefix=%s\n", name, req.RequestURI, req.Header.Get("X-Forwarded-Prefix"))
	}
}

type edgeWorld struct {
	*served
	hello, other *instance
}

func newEdges(t *testing.T, e platform.Edge) *edgeWorld {
	t.Helper()
	w := &edgeWorld{newServed(t, nil), newInstance(t, tells("hello")), newInstance(t, tells("other"))}
	w.Swap(platform.Route{App: "other", Hosts: []string{"other.test"}, Backends: []platform.Backend{w.other.Backend}})
	w.rule(e, platform.Traffic{})
	return w
}

func (w *edgeWorld) rule(e platform.Edge, traffic platform.Traffic, more ...platform.Backend) {
	w.Swap(platform.Route{
		App: "hello", Hosts: []string{"hello.test", "www.hello.test"}, Traffic: traffic, Edge: e,
		Backends: append([]platform.Backend{w.hello.Backend}, more...),
	})
}

func onHost(host string) func(*http.Request) { return func(req *http.Request) { req.Host = host } }

// leaksNothing makes sure that the other app answers as ever.
func (w *edgeWorld) leaksNothing() {
	w.t.Helper()
	if res, body := w.get("/api/x", onHost("other.test")); res.StatusCode != http.StatusOK || body != "other /api/x prefix=\n" || res.Header.Get("Set-Cookie") != "" {
		w.t.Errorf("the other app answers %d %s", res.StatusCode, body)
	}
}

func TestEdgesGuard(t *testing.T) {
	hash, _ := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	users := []platform.Password{{Name: "alice", Hash: string(hash)}}
	here := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	page := map[string][]byte{"maintenance": []byte("<h1>soon</h1>"), "403": []byte("<h1>no</h1>")}
	for name, tc := range map[string]struct {
		edge   platform.Edge
		status int
		says   string
	}{
		"denied":      {platform.Edge{Deny: here, Pages: page}, 403, "<h1>no</h1>"},
		"not allowed": {platform.Edge{Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, 403, "Requests from your address"},
		"allowed":     {platform.Edge{Allow: here}, 200, "hello /"},
		"maintenance": {platform.Edge{Maintenance: true, Pages: page}, 503, "<h1>soon</h1>"},
		"password":    {platform.Edge{Users: users}, 401, "A name and a password"},
		"slow down":   {platform.Edge{Rate: platform.Allowance{Every: time.Hour, Burst: 1}}, 200, "hello /"},
	} {
		w := newEdges(t, tc.edge)
		res, body := w.get("/", nil)
		if res.StatusCode != tc.status || !strings.Contains(body, tc.says) {
			t.Errorf("%s: %d %s", name, res.StatusCode, body)
		}
		w.leaksNothing()
		switch name {
		case "password":
			if res, _ := w.get("/", func(req *http.Request) { req.SetBasicAuth("alice", "secret") }); res.StatusCode != http.StatusOK {
				t.Errorf("with the password: %d", res.StatusCode)
			}
		case "slow down":
			if res, _ := w.get("/", nil); res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") != "3600" {
				t.Errorf("the second request: %d %v", res.StatusCode, res.Header)
			}
			w.leaksNothing()
		}
	}
}

func TestEdgesRedirect(t *testing.T) {
	w := newEdges(t, platform.Edge{Redirects: []platform.Redirection{{Host: "www.hello.test", To: platform.Location{Host: "hello.test"}, Code: 301}}})
	port := strings.TrimPrefix(w.url, "http://127.0.0.1")
	res, _ := w.get("/a?b=c", onHost("www.hello.test"+port))
	if res.StatusCode != http.StatusMovedPermanently || res.Header.Get("Location") != "http://hello.test"+port+"/a?b=c" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
	if res, _ := w.get("/", nil); res.StatusCode != http.StatusOK {
		t.Errorf("the apex: %d", res.StatusCode)
	}
}

func TestEdgesPaths(t *testing.T) {
	w := newEdges(t, platform.Edge{})
	admin := newInstance(t, tells("admin"))
	admin.Pool = "admin"
	w.rule(platform.Edge{Paths: []platform.PathRule{
		{Prefix: "/api", App: "other", Strip: true}, {Prefix: "/kept", App: "other"}, {Prefix: "/admin", Process: "admin"}, {Prefix: "/gone", App: "gone"},
	}}, platform.Traffic{}, admin.Backend)
	for path, want := range map[string]string{
		"/x": "hello /x prefix=", "/api/x?y=1": "other /x?y=1 prefix=/api", "/api": "other / prefix=/api", "/apis": "hello /apis prefix=",
		"/kept/x": "other /kept/x prefix=", "/admin/x": "admin /admin/x prefix=", "/gone": "The app gone, which this path leads to, is gone.",
	} {
		if _, body := w.get(path, func(req *http.Request) { req.Header.Set("X-Forwarded-Prefix", "/forged") }); body != want+"\n" {
			t.Errorf("%s: %s", path, body)
		}
	}
	w.leaksNothing()
	w.Swap(platform.Route{App: "other", Edge: platform.Edge{Maintenance: true}, Backends: []platform.Backend{w.other.Backend}})
	if res, _ := w.get("/api/x", nil); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a path is a way around the other app's maintenance: %d", res.StatusCode)
	}
}

func TestEdgesCanary(t *testing.T) {
	w := newEdges(t, platform.Edge{})
	canary := newInstance(t, tells("canary"))
	canary.Pool = platform.CanaryPool
	share := platform.Edge{Canary: platform.CanaryShare{Release: 2, Percent: 50}}
	w.rule(share, platform.Traffic{}, canary.Backend)
	counts := map[string]int{}
	for range 40 {
		res, body := w.get("/", nil)
		cookies := res.Cookies()
		if len(cookies) != 1 || cookies[0].Name != "paas-canary" {
			t.Fatalf("cookies %v", cookies)
		}
		counts[body]++
		if again, same := w.get("/", func(req *http.Request) { req.AddCookie(cookies[0]) }); same != body || len(again.Cookies()) != 0 {
			t.Fatalf("%s, then %s", body, same)
		}
	}
	if len(counts) != 2 {
		t.Errorf("%v", counts)
	}
	on := func(req *http.Request) { req.Header.Set("Cookie", "paas-canary=on") }
	canary.die()
	if res, body := w.get("/", on); res.StatusCode != http.StatusOK || !strings.HasPrefix(body, "hello") {
		t.Errorf("a dead canary: %d %s", res.StatusCode, body)
	}
	w.rule(share, platform.Traffic{})
	if res, body := w.get("/", on); res.StatusCode != http.StatusOK || !strings.HasPrefix(body, "hello") {
		t.Errorf("no canary: %d %s", res.StatusCode, body)
	}
	w.leaksNothing()
}

func TestEdgesCompress(t *testing.T) {
	w := newEdges(t, platform.Edge{Compress: platform.CompressAny})
	text := strings.Repeat("to be or not to be, ", 50_000)
	next := make(chan bool)
	w.hello = newInstance(t, func(rw http.ResponseWriter, req *http.Request) {
		rw.Header().Set("Content-Type", "text/html")
		rw.Header().Set("ETag", `"1"`)
		if req.URL.Path == "/stream" {
			_, _ = io.WriteString(rw, "first")
			_ = http.NewResponseController(rw).Flush()
			<-next
		}
		_, _ = io.WriteString(rw, text)
	})
	w.rule(platform.Edge{Compress: platform.CompressAny}, platform.Traffic{})
	gzips := func(req *http.Request) { req.Header.Set("Accept-Encoding", "gzip") }
	res, body := w.get("/", gzips)
	if res.Header.Get("Content-Encoding") != "gzip" || res.Header.Get("Vary") != "Accept-Encoding" || res.Header.Get("ETag") != `W/"1"` || len(body) > len(text)/20 {
		t.Fatalf("%v, %d bytes", res.Header, len(body))
	}
	in, err := gzip.NewReader(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := io.ReadAll(in); err != nil || string(plain) != text {
		t.Fatalf("%d bytes, %v", len(plain), err)
	}
	if res, body := w.get("/", nil); body != text || res.Header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("whoever does not ask gets %d bytes, %v", len(body), res.Header)
	}
	if res, body, err := w.request(http.MethodHead, "/", gzips); err != nil || body != "" || res.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("HEAD: %v %v", res.Header, err)
	}
	w.streams(gzips, next)
	w.leaksNothing()
}

// streams makes sure that what an instance flushes comes at once, compressed or not.
func (w *edgeWorld) streams(gzips func(*http.Request), next chan bool) {
	w.t.Helper()
	req, _ := http.NewRequest(http.MethodGet, w.url+"/stream", nil)
	req.Host = "hello.test"
	gzips(req)
	res, err := (&http.Transport{DisableKeepAlives: true, DisableCompression: true}).RoundTrip(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	in, err := gzip.NewReader(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	first := make([]byte, 5)
	if _, err := io.ReadFull(in, first); err != nil || string(first) != "first" {
		w.t.Fatalf("%q %v", first, err)
	}
	next <- true
	if _, err := io.Copy(io.Discard, in); err != nil {
		w.t.Fatal(err)
	}
}

func TestEdgesMirror(t *testing.T) {
	w := newEdges(t, platform.Edge{Mirror: platform.Mirror{App: "other", Percent: 100}})
	copies := make(chan string, 10)
	seen := newInstance(t, func(_ http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		copies <- fmt.Sprintf("%s %s %s %s mirrored=%s", req.Method, req.Host, req.RequestURI, body, req.Header.Get("X-Mirrored"))
	})
	w.Swap(platform.Route{App: "other", Backends: []platform.Backend{seen.Backend}})
	w.hello = newInstance(t, func(rw http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		_, _ = rw.Write(body)
	})
	w.rule(platform.Edge{Mirror: platform.Mirror{App: "other", Percent: 100}}, platform.Traffic{})
	for _, body := range []string{"small", strings.Repeat("x", 40_000)} {
		res, got, err := w.request(http.MethodPost, "/p?q", func(req *http.Request) {
			req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		})
		if err != nil || res.StatusCode != http.StatusOK || got != body {
			t.Fatalf("%v %d bytes", err, len(got))
		}
		select {
		case c := <-copies:
			if c != "POST hello.test /p?q "+body+" mirrored=1" {
				t.Errorf("the copy is %.80s", c)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("no copy")
		}
	}
	seen.die()
	if res, _ := w.get("/", nil); res.StatusCode != http.StatusOK {
		t.Errorf("a dead mirror: %d", res.StatusCode)
	}
}

func TestEdgesPages(t *testing.T) {
	w := newEdges(t, platform.Edge{})
	w.hello.die()
	pages := map[string][]byte{"502": []byte("<h1>own 502</h1>"), "503": []byte("<h1>own 503</h1>"), "504": []byte("<h1>own 504</h1>"), "413": []byte("<h1>own 413</h1>")}
	w.rule(platform.Edge{Pages: pages}, platform.Traffic{MaxBody: 10})
	if res, body := w.get("/", nil); res.StatusCode != http.StatusServiceUnavailable || body != "<h1>own 503</h1>" || res.Header.Get("Content-Type") != "text/html; charset=utf-8" || res.Header.Get("Retry-After") == "" {
		t.Errorf("%d %v %s", res.StatusCode, res.Header, body)
	}
	large := func(req *http.Request) {
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(make([]byte, 11))), 11
	}
	if res, body, err := w.request(http.MethodPost, "/", large); err != nil || res.StatusCode != http.StatusRequestEntityTooLarge || body != "<h1>own 413</h1>" {
		t.Errorf("%d %s %v", res.StatusCode, body, err)
	}
	if res, body := w.get("/", onHost("nobody.test")); res.StatusCode != http.StatusNotFound || strings.Contains(body, "own") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	w.leaksNothing()
}

func TestEdgesTrustProxies(t *testing.T) {
	w := newEdges(t, platform.Edge{Deny: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}})
	forged := func(req *http.Request) { req.Header.Set("X-Forwarded-For", "198.51.100.7") }
	if res, _ := w.get("/", forged); res.StatusCode != http.StatusOK {
		t.Errorf("a stranger is believed: %d", res.StatusCode)
	}
	w.Configure(platform.Intake{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	if res, _ := w.get("/", forged); res.StatusCode != http.StatusForbidden {
		t.Errorf("a proxy is not believed: %d", res.StatusCode)
	}
}

func TestConfigureBeforeServing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &served{Router: router.New(router.Options{}), t: t, url: "http://" + l.Addr().String()}
	s.Configure(platform.Intake{MaxFields: 10, MaxTarget: 300})
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Shutdown(context.Background()) })
	s.swap(newInstance(t, says("x")))
	many := func(req *http.Request) {
		for n := range 20 {
			req.Header.Set(fmt.Sprint("X-", n), "x")
		}
	}
	if res, _ := s.get("/", many); res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("20 fields: %d", res.StatusCode)
	}
	if res, _ := s.get("/"+strings.Repeat("x", 300), nil); res.StatusCode != http.StatusRequestURITooLong {
		t.Errorf("a long address: %d", res.StatusCode)
	}
	if res, _ := s.get("/", nil); res.StatusCode != http.StatusOK {
		t.Errorf("any other: %d", res.StatusCode)
	}
}
