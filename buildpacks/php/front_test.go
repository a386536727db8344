package php

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/fcgi"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// newTestFront is a front before the standard library's responder, which tells which script it was asked for.
func newTestFront(t *testing.T, root string, files map[string]string) (*front, *httptest.Server, *bytes.Buffer) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		check(t, os.MkdirAll(filepath.Dir(path), 0o755))
		if target, link := strings.CutPrefix(text, "-> "); link {
			check(t, os.Symlink(strings.ReplaceAll(target, "APP", dir), path))
			continue
		}
		check(t, os.WriteFile(path, []byte(text), 0o644))
	}
	t.Chdir(dir)
	var log bytes.Buffer
	f, err := newFront(options{root: root}, 2, &log)
	check(t, err)
	t.Cleanup(func() { _ = f.files.Close() })
	f.started = time.Now().Add(time.Second)
	f.socket = filepath.Join(dir, ".socket")
	listener, err := net.Listen("unix", f.socket)
	check(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() { _ = fcgi.Serve(listener, http.HandlerFunc(answer)) }()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return f, server, &log
}

func answer(w http.ResponseWriter, r *http.Request) {
	vars := fcgi.ProcessEnv(r)
	name, _ := filepath.Rel(vars["DOCUMENT_ROOT"], vars["SCRIPT_FILENAME"])
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("X-Proxy", r.Header.Get("Proxy"))
	_, _ = fmt.Fprintf(w, "%s info=%q uri=%s https=%v body=%d", name, strings.TrimPrefix(vars["DOCUMENT_URI"], "/"+name), r.URL.RequestURI(), r.TLS != nil, len(body))
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func ask(t *testing.T, server *httptest.Server, method, path string, body io.Reader, headers ...string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, body)
	check(t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	check(t, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	check(t, err)
	return res.StatusCode, string(text), res.Header
}

var site = map[string]string{
	"public/index.php": "secret", "public/style.css": "body", "public/tool.php": "secret", "public/blog/index.php": "", "public/docs/index.html": "docs",
	"public/.env": "secret", "public/.well-known/x": "well", "public/lib.inc": "secret", "public/link": "-> ../storage", "public/abs": "-> APP/storage",
	"public/passwd": "-> /etc/passwd", "public/up": "-> ../..", "storage/a.txt": "stored", "composer.json": "secret", "public/empty/x.css": "x",
}

func TestFrontFinds(t *testing.T) {
	_, server, _ := newTestFront(t, "public", site)
	for path, want := range map[string]string{
		"/": `200 index.php info="" uri=/`, "/style.css": "200 body", "/tool.php": `200 tool.php info=""`, "/tool.php/a/b?c=d": `200 tool.php info="/a/b" uri=/tool.php/a/b?c=d`,
		"/blog/": `200 blog/index.php`, "/blog": "301", "/docs/": "200 docs", "/not/here": `200 index.php info="" uri=/not/here`, "/gone.php": "200 index.php",
		"/.env": "404", "/.well-known/x": "200 well", "/lib.inc": "200 index.php", "/link/a.txt": "200 stored", "/abs/a.txt": "200 stored",
		"/passwd": "200 index.php", "/up/composer.json": "200 index.php", "/%2e%2e/composer.json": "200 index.php", "/..%2fcomposer.json": "200 index.php",
		"/style.css/": "200 index.php", "/a%00b": "404", "/empty": "200 index.php", "/blog/.git/config": "404", "//evil.example/blog": "200 index.php",
	} {
		status, body, _ := ask(t, server, "GET", path, nil)
		if got := fmt.Sprint(status, " ", body); !strings.HasPrefix(got, want) || strings.Contains(got, "secret") {
			t.Errorf("%s: %.80q, want %q", path, got, want)
		}
	}
	if _, _, header := ask(t, server, "GET", "/blog?x=y", nil); header.Get("Location") != "/blog/?x=y" {
		t.Errorf("redirect to %q", header.Get("Location"))
	}
}

// Where the app itself is served, what belongs to the platform and to Composer is not.
func TestFrontHidesWhatIsNoPage(t *testing.T) {
	_, server, _ := newTestFront(t, ".", map[string]string{"index.php": "", "composer.json": "secret", "vendor/phpunit/eval.php": "secret", "Procfile": "secret",
		"package.json": "secret", "a.txt": "a", "data.sqlite": "secret"})
	for path, want := range map[string]string{
		"/a.txt": "200 a", "/composer.json": "404", "/vendor/phpunit/eval.php": "404", "/Procfile": "404", "/package.json": "404", "/data.sqlite": "200 index.php", "/./vendor//phpunit/eval.php": "404",
	} {
		status, body, _ := ask(t, server, "GET", path, nil)
		if got := fmt.Sprint(status, " ", body); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %.80q, want %q", path, got, want)
		}
	}
}

func TestFrontWithoutFrontPage(t *testing.T) {
	_, server, _ := newTestFront(t, "public", map[string]string{"public/a.php": "", "public/b.css": "b"})
	for path, want := range map[string]int{"/a.php": 200, "/b.css": 200, "/": 404, "/c": 404} {
		if status, body, _ := ask(t, server, "GET", path, nil); status != want {
			t.Errorf("%s: %d %q", path, status, body)
		}
	}
	if status, _, header := ask(t, server, "POST", "/b.css", strings.NewReader("x")); status != 405 || header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST to a file: %d", status)
	}
}

func TestFrontPassesRequests(t *testing.T) {
	_, server, log := newTestFront(t, "public", site)
	_, body, header := ask(t, server, "POST", "/x?y", strings.NewReader("12345"), "Proxy", "evil", "X-Forwarded-Proto", "https")
	if !strings.Contains(body, "uri=/x?y https=true body=5") || header.Get("X-Proxy") != "" {
		t.Errorf("%q %v", body, header)
	}
	if _, body, _ := ask(t, server, "PUT", "/x", io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<20)), strings.NewReader("y"))); !strings.Contains(body, "body=1048577") {
		t.Errorf("a body of unknown length: %q", body)
	}
	if log.Len() > 0 {
		t.Errorf("log: %s", log)
	}
}

// A file that the app writes while it runs may change: it is not answered from memory.
func TestFrontServesUploads(t *testing.T) {
	f, server, _ := newTestFront(t, "public", site)
	_, _, header := ask(t, server, "GET", "/style.css", nil)
	if header.Get("ETag") == "" || header.Get("Content-Type") != "text/css; charset=utf-8" {
		t.Errorf("%v", header)
	}
	for _, text := range []string{"one", "two"} {
		path := filepath.Join(f.app, "public", "upload.css")
		check(t, os.WriteFile(path, []byte(text), 0o644))
		check(t, os.Chtimes(path, time.Now(), time.Now().Add(time.Hour)))
		if _, body, header := ask(t, server, "GET", "/upload.css", nil); body != text || header.Get("Content-Type") != "text/css; charset=utf-8" {
			t.Errorf("%q %v", body, header)
		}
	}
}

func TestFrontSaysWhenPHPIsAway(t *testing.T) {
	f, server, log := newTestFront(t, "public", site)
	f.socket += "-gone"
	if status, body, _ := ask(t, server, "GET", "/", nil); status != 502 || !strings.Contains(body, "PHP does not answer") || !strings.Contains(log.String(), "GET /: dial") {
		t.Errorf("%d %q\n%s", status, body, log)
	}
}

func TestOptions(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, root := range []string{"..", "/etc", "gone", "a/../.."} {
		if _, err := newFront(options{root: root}, 1, io.Discard); err == nil {
			t.Errorf("%s is served", root)
		}
	}
	for value, want := range map[string]int{"7": 7, "100000": maxWorkers} {
		if got := countWorkers(func(string) string { return value }); got != want {
			t.Errorf("%s: %d", value, got)
		}
	}
	if got := countWorkers(func(string) string { return "0" }); got < 1 {
		t.Errorf("%d workers", got)
	}
}
