package static

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// site writes files; a content that starts with "-> " makes a symlink.
func site(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func serveSite(t *testing.T, o Options) string {
	t.Helper()
	h, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(func() {
		server.Close()
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return server.URL
}

type answer struct {
	status int
	body   string
	header http.Header
}

// ask sends the path as it is written, without following redirects.
func ask(t *testing.T, method, url string, header ...string) answer {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept-Encoding", "identity")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, string(body), resp.Header}
}

func check(t *testing.T, path string, got answer, status int, body string) {
	t.Helper()
	if got.status != status || body != "" && !strings.Contains(got.body, body) {
		t.Errorf("%s: %d %.60q, want %d %q", path, got.status, got.body, status, body)
	}
}

func TestServe(t *testing.T) {
	outside := site(t, map[string]string{"secret": "SECRET"})
	dir := site(t, map[string]string{
		"index.html": "home", "about.html": "about", "404.html": "lost", "docs/index.html": "docs", "empty/x.txt": "x",
		".env": "SECRET", ".git/config": "SECRET", "docs/.hidden": "SECRET", ".well-known/security.txt": "contact",
		"out": "-> " + outside + "/secret", "up": "-> ../../../../../../etc/passwd", "outdir": "-> " + outside, "in": "-> about.html",
		"sp ace.txt": "space", "ünï.txt": "unicode", "--help": "help", "Procfile": "public here",
	})
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	url := serveSite(t, Options{Root: dir, ErrorPage: "404.html"})
	for _, c := range []struct {
		path   string
		status int
		body   string
	}{
		{"/", 200, "home"}, {"/index.html", 200, "home"}, {"/about.html", 200, "about"}, {"/docs/", 200, "docs"},
		{"/docs", 301, ""}, {"/about", 404, "lost"}, {"/nothing", 404, "lost"}, {"/empty/", 404, "lost"}, {"/about.html/", 404, "lost"},
		{"/.env", 404, "lost"}, {"/.git/config", 404, "lost"}, {"/docs/.hidden", 404, "lost"}, {"/.well-known/security.txt", 200, "contact"},
		{"/docs/../.env", 404, "lost"}, {"/%2e%65nv", 404, "lost"}, {"/..%2f..%2fetc/passwd", 404, "lost"}, {"/%00", 404, "lost"}, {"/a%00b", 404, "lost"},
		{"/out", 404, "lost"}, {"/up", 404, "lost"}, {"/outdir/secret", 404, "lost"}, {"/in", 200, "about"},
		{"/sp%20ace.txt", 200, "space"}, {"/%C3%BCn%C3%AF.txt", 200, "unicode"}, {"/--help", 200, "help"}, {"/pipe", 404, "lost"},
		{"/Procfile", 200, "public here"}, {"//", 200, "home"}, {"/" + strings.Repeat("a", 5000), 404, "lost"},
	} {
		check(t, c.path, ask(t, "GET", url+c.path), c.status, c.body)
	}
	if got := ask(t, "GET", url+"//evil.example%2f..?a=b"); strings.HasPrefix(got.header.Get("Location"), "//") {
		t.Errorf("redirects to %q", got.header.Get("Location"))
	}
	if got := ask(t, "GET", url+"//docs?a=b"); got.header.Get("Location") != "/docs/?a=b" {
		t.Errorf("redirects to %q", got.header.Get("Location"))
	}
}

func TestServeMethods(t *testing.T) {
	url := serveSite(t, Options{Root: site(t, map[string]string{"index.html": "home"})})
	if got := ask(t, "HEAD", url+"/"); got.status != 200 || got.body != "" || got.header.Get("Content-Length") != "4" {
		t.Errorf("HEAD: %+v", got)
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
		if got := ask(t, method, url+"/"); got.status != 405 || got.header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d", method, got.status)
		}
	}
}

func TestServeAppRoot(t *testing.T) {
	t.Chdir(site(t, map[string]string{"index.html": "home", "Procfile": "x", "app.json": "x", "static.json": "x", "Staticfile": "x",
		"package.json": "x", "node_modules/a.js": "x", "sub/Procfile": "fine"}))
	url := serveSite(t, Options{Root: "."})
	for _, path := range []string{"/Procfile", "/app.json", "/static.json", "/Staticfile", "/package.json", "/node_modules/a.js", "/x/../Procfile"} {
		check(t, path, ask(t, "GET", url+path), 404, "nothing here")
	}
	check(t, "/sub/Procfile", ask(t, "GET", url+"/sub/Procfile"), 200, "fine")
}

func TestServeFallback(t *testing.T) {
	url := serveSite(t, Options{Root: site(t, map[string]string{"index.html": "app", "a.js": "js"}), Fallback: "index.html", ErrorPage: "404.html"})
	for path, status := range map[string]int{"/": 200, "/users/7": 200, "/users/jo.doe": 200, "/users/": 200, "/page.html": 200,
		"/a.js": 200, "/gone.js": 404, "/gone.css": 404, "/img/gone.PNG": 404, "/.env": 404} {
		got := ask(t, "GET", url+path)
		check(t, path, got, status, "")
		if status == 200 && path != "/a.js" && got.body != "app" {
			t.Errorf("%s: %q", path, got.body)
		}
	}
}

func TestServeCleanURLs(t *testing.T) {
	url := serveSite(t, Options{Root: site(t, map[string]string{"index.html": "home", "about.html": "about"}), CleanURLs: true})
	check(t, "/about", ask(t, "GET", url+"/about"), 200, "about")
	check(t, "/gone", ask(t, "GET", url+"/gone"), 404, "")
}

func TestServeConditions(t *testing.T) {
	dir := site(t, map[string]string{"a.txt": "one", "404.html": "lost"})
	url := serveSite(t, Options{Root: dir, ErrorPage: "404.html"})
	first := ask(t, "GET", url+"/a.txt")
	tag, modified := first.header.Get("ETag"), first.header.Get("Last-Modified")
	if tag == "" || modified == "" || first.header.Get("Cache-Control") != "no-cache" {
		t.Fatalf("%v", first.header)
	}
	check(t, "same tag", ask(t, "GET", url+"/a.txt", "If-None-Match", tag), 304, "")
	check(t, "other tag", ask(t, "GET", url+"/a.txt", "If-None-Match", `"x"`), 200, "one")
	check(t, "same time", ask(t, "GET", url+"/a.txt", "If-Modified-Since", modified), 304, "")
	check(t, "missing, with a tag", ask(t, "GET", url+"/gone", "If-None-Match", "*"), 404, "lost")
	check(t, "missing, with a range", ask(t, "GET", url+"/gone", "Range", "bytes=0-0"), 404, "lost")

	// A release with a file of the same name, size and time must not look unchanged.
	old, err := os.Stat(filepath.Join(dir, "a.txt"))
	if err != nil {
		t.Fatal(err)
	}
	next := site(t, map[string]string{"a.txt": "two"})
	if err := os.Chtimes(filepath.Join(next, "a.txt"), old.ModTime(), old.ModTime()); err != nil {
		t.Fatal(err)
	}
	check(t, "next release", ask(t, "GET", serveSite(t, Options{Root: next})+"/a.txt", "If-None-Match", tag), 200, "two")
}

func TestServeRanges(t *testing.T) {
	url := serveSite(t, Options{Root: site(t, map[string]string{"a.txt": "0123456789"})})
	got := ask(t, "GET", url+"/a.txt", "Range", "bytes=2-4")
	check(t, "range", got, 206, "234")
	if got.header.Get("Content-Range") != "bytes 2-4/10" {
		t.Errorf("%v", got.header)
	}
	check(t, "past the end", ask(t, "GET", url+"/a.txt", "Range", "bytes=20-"), 416, "")
	check(t, "stale range", ask(t, "GET", url+"/a.txt", "Range", "bytes=2-4", "If-Range", `"x"`), 200, "0123456789")
}

func TestServeEncodings(t *testing.T) {
	url := serveSite(t, Options{Root: site(t, map[string]string{"a.js": "plain", "a.js.gz": "GZ", "a.js.br": "BR", "b.js": "plain"})})
	tags := map[string]bool{}
	for accept, want := range map[string]struct{ body, encoding string }{
		"gzip, deflate, br": {"BR", "br"}, "gzip": {"GZ", "gzip"}, "br;q=0, gzip": {"GZ", "gzip"}, "br;q=0,*": {"GZ", "gzip"},
		"identity": {"plain", ""}, "br; q=nonsense": {"plain", ""}, "*": {"BR", "br"},
	} {
		got := ask(t, "GET", url+"/a.js", "Accept-Encoding", accept)
		if got.body != want.body || got.header.Get("Content-Encoding") != want.encoding {
			t.Errorf("%s: %q as %q", accept, got.body, got.header.Get("Content-Encoding"))
		}
		if got.header.Get("Vary") != "Accept-Encoding" || got.header.Get("Content-Type") != "text/javascript; charset=utf-8" {
			t.Errorf("%s: %v", accept, got.header)
		}
		tags[got.header.Get("ETag")] = true
	}
	if len(tags) != 3 {
		t.Errorf("three representations have %d tags", len(tags))
	}
	if got := ask(t, "GET", url+"/b.js", "Accept-Encoding", "br"); got.header.Get("Vary") != "" || got.body != "plain" {
		t.Errorf("b.js: %+v", got)
	}
}

func TestServeTypes(t *testing.T) {
	files := map[string]string{"x.unknown": "plain words", "noext": "<!doctype html><p>", "x.JS": "", "x.wasm": "", "x.svg": "", "x.woff2": "", "x.mjs": "", "x.webmanifest": ""}
	url := serveSite(t, Options{Root: site(t, files)})
	for name, want := range map[string]string{
		"x.unknown": "text/plain; charset=utf-8", "noext": "text/html; charset=utf-8", "x.JS": "text/javascript; charset=utf-8", "x.wasm": "application/wasm",
		"x.svg": "image/svg+xml", "x.woff2": "font/woff2", "x.mjs": "text/javascript; charset=utf-8", "x.webmanifest": "application/manifest+json",
	} {
		got := ask(t, "GET", url+"/"+name)
		if got.header.Get("Content-Type") != want || got.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", name, got.header)
		}
	}
}

func TestCacheControl(t *testing.T) {
	for name, forever := range map[string]bool{
		"app.3f2a9c1b.js": true, "main-0123456789abcdef.css": true, "assets/index-BfX3k9aQ.js": true, "assets/logo-D1x_abcZ.svg": true,
		"app.js": false, "index.html": false, "my-calendar.js": false, "assets/my-calendar.js": false, "report-20240101.css": false,
		"deadbeef.js": false, "x-deadbeef.js": false, "app.3f2a9c1b.html": false,
	} {
		if got := cacheControl(name, 200); (got != "no-cache") != forever {
			t.Errorf("%s: %s", name, got)
		}
	}
	if cacheControl("app.3f2a9c1b.js", 404) != "no-cache" {
		t.Error("an error is never for good")
	}
}

// started runs Main and returns its address and what it ends with.
func started(t *testing.T, ctx context.Context, args ...string) (string, <-chan error) {
	t.Helper()
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- Main(ctx, args, func(name string) string { return map[string]string{"PORT": "0"}[name] }, w)
		_ = w.Close()
	}()
	line := make([]byte, 500)
	n, err := r.Read(line)
	if err != nil {
		t.Fatalf("no first line: %v", <-done)
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	_, address, _ := strings.Cut(strings.TrimSpace(string(line[:n])), " on ")
	return "http://" + strings.Replace(address, "[::]", "127.0.0.1", 1), done
}

func TestMainFinishesRequests(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 4<<20)
	dir := site(t, map[string]string{"big.bin": big})
	url, done := started(t, t.Context(), "--root", dir)
	resp, err := http.Get(url + "/big.bin")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	refused(t, url)
	body, err := io.ReadAll(resp.Body)
	if err != nil || len(body) != len(big) {
		t.Errorf("the request in flight got %d of %d bytes: %v", len(body), len(big), err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// refused waits until nobody listens any more.
func refused(t *testing.T, url string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for range 200 {
		resp, err := client.Get(url + "/none")
		if err != nil {
			return
		}
		_ = resp.Body.Close()
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("still listening after SIGTERM")
}

func TestMainRefuses(t *testing.T) {
	dir := site(t, nil)
	none := func(string) string { return "" }
	for _, args := range [][]string{{"--root", dir + "/gone"}, {"--nonsense"}, {"extra"}} {
		if err := Main(t.Context(), args, none, io.Discard); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
	for _, port := range []string{"http", "70000", "-1"} {
		err := Main(t.Context(), []string{"--root", dir}, func(string) string { return port }, io.Discard)
		if err == nil || !strings.Contains(err.Error(), "not a port number") {
			t.Errorf("PORT=%s: %v", port, err)
		}
	}
	if err := Main(t.Context(), []string{"--help"}, none, io.Discard); err != nil {
		t.Errorf("--help: %v", err)
	}
}
