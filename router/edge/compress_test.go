package edge

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"paas/platform"
)

func head(status int, length int64, fields ...string) *Head {
	h := &Head{Status: status, Length: length}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		h.Fields = append(h.Fields, field(name, value))
	}
	return h
}

const page = "Content-Type: text/html; charset=utf-8"

func TestWhatIsCompressed(t *testing.T) {
	for name, tc := range map[string]struct {
		mode   platform.Compression
		accept string
		head   *Head
		want   string
	}{
		"off":             {"", "gzip", head(200, 1000, page), ""},
		"gzip":            {"on", "gzip, deflate", head(200, 1000, page), "gzip"},
		"both":            {"on", "gzip, deflate, br, zstd", head(200, -1, page), "zstd"},
		"gzip only":       {"gzip", "gzip, zstd", head(200, -1, page), "gzip"},
		"zstd not asked":  {"zstd", "gzip", head(200, -1, page), ""},
		"weights":         {"on", "zstd;q=0.5, GZIP;q=0.8", head(200, 1000, page), "gzip"},
		"refused":         {"on", "gzip;q=0, zstd;q=0.0", head(200, 1000, page), ""},
		"star":            {"on", "*", head(200, 1000, page), ""},
		"nonsense":        {"on", "gzip;q=x", head(200, 1000, page), ""},
		"json":            {"on", "gzip", head(404, 1000, "Content-Type: application/problem+json"), "gzip"},
		"picture":         {"on", "gzip", head(200, 1000, "Content-Type: image/png"), ""},
		"no type":         {"on", "gzip", head(200, 1000), ""},
		"events":          {"on", "gzip", head(200, -1, "Content-Type: text/event-stream"), ""},
		"grpc":            {"on", "gzip", head(200, -1, "Content-Type: application/grpc"), ""},
		"small":           {"on", "gzip", head(200, 255, page), ""},
		"encoded":         {"on", "gzip", head(200, 1000, page, "Content-Encoding: br"), ""},
		"range":           {"on", "gzip", head(206, 1000, page, "Content-Range: bytes 0-999/2000"), ""},
		"no content":      {"on", "gzip", head(204, 0, page), ""},
		"not transformed": {"on", "gzip", head(200, 1000, page, "Cache-Control: public, No-Transform"), ""},
		"digest":          {"on", "gzip", head(200, 1000, page, "Content-Digest: sha-256=:x:"), ""},
	} {
		r := Compile(platform.Edge{Compress: tc.mode}, nil)
		e := r.Encode(request("a.test", "/", "Accept-Encoding: "+tc.accept), tc.head)
		got := string(value(tc.head.Fields, "content-encoding"))
		if name == "encoded" {
			got = strings.TrimSuffix(got, "br")
		}
		if got != tc.want || (e != nil) != (tc.want != "") || tc.want != "" && tc.head.Length != -1 {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func TestCompressedFields(t *testing.T) {
	r := Compile(platform.Edge{Compress: "on"}, nil)
	ask := request("a.test", "/", "Accept-Encoding: gzip")
	h := head(200, 1000, page, `ETag: "x"`, "Accept-Ranges: bytes", "Vary: Cookie")
	if r.Encode(ask, h) == nil {
		t.Fatal("not compressed")
	}
	if get(&Answer{Fields: h.Fields}, "ETag") != `W/"x"` || value(h.Fields, "accept-ranges") != nil || !varies(h.Fields) {
		t.Errorf("%s", h.Fields)
	}
	h = head(304, 0, `ETag: "x"`)
	if r.Encode(ask, h) != nil || get(&Answer{Fields: h.Fields}, "ETag") != `W/"x"` || !varies(h.Fields) {
		t.Errorf("304: %s", h.Fields)
	}
	h = head(200, 1000, page, `ETag: "x"`)
	if r.Encode(request("a.test", "/"), h); get(&Answer{Fields: h.Fields}, "ETag") != `"x"` || !varies(h.Fields) {
		t.Errorf("whoever does not ask: %s", h.Fields)
	}
	ask.Method = []byte("HEAD")
	if h = head(200, 1000, page); r.Encode(ask, h) != nil || value(h.Fields, "content-encoding") == nil || h.Length != -1 {
		t.Errorf("HEAD: %s", h.Fields)
	}
}

func TestCompressedBodies(t *testing.T) {
	open := map[string]func(io.Reader) (io.Reader, error){
		"gzip": func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
		"zstd": func(r io.Reader) (io.Reader, error) { return zstd.NewReader(r) },
	}
	text := strings.Repeat("to be or not to be, ", 5000)
	for coding, plain := range open {
		r := Compile(platform.Edge{Compress: platform.Compression(coding)}, nil)
		for range 3 { // the second time with a used one
			e := r.Encode(request("a.test", "/", "Accept-Encoding: "+coding), head(200, -1, page))
			var out bytes.Buffer
			e.Begin(&out)
			if _, err := io.WriteString(e, "first"); err != nil {
				t.Fatal(err)
			}
			if err := e.Flush(); err != nil || !readable(t, plain, out.Bytes(), "first") {
				t.Fatalf("%s: what was flushed cannot be read: %v", coding, err)
			}
			_, _ = io.WriteString(e, text)
			if err := e.Close(true); err != nil {
				t.Fatal(err)
			}
			in, err := plain(&out)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(in); err != nil || string(got) != "first"+text {
				t.Fatalf("%s: %d bytes, %v", coding, len(got), err)
			}
		}
	}
}

func readable(t *testing.T, open func(io.Reader) (io.Reader, error), b []byte, want string) bool {
	t.Helper()
	in, err := open(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	_, err = io.ReadFull(in, got)
	return err == nil && string(got) == want
}

// A client must not take a part for the whole.
func TestBrokenOffIsNotEnded(t *testing.T) {
	r := Compile(platform.Edge{Compress: "gzip"}, nil)
	e := r.Encode(request("a.test", "/", "Accept-Encoding: gzip"), head(200, -1, page))
	var out bytes.Buffer
	e.Begin(&out)
	_, _ = io.WriteString(e, strings.Repeat("x", 100_000))
	_ = e.Flush()
	_ = e.Close(false)
	in, err := gzip.NewReader(&out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(in); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("it ends with %v", err)
	}
}

func TestMirror(t *testing.T) {
	seen := make(chan *http.Request, 1)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		req.Header.Set("X-Body", string(body))
		seen <- req
	}))
	defer s.Close()
	var m Mirror
	tee := Tee{Reader: strings.NewReader("hello")}
	if _, err := io.ReadAll(&tee); err != nil {
		t.Fatal(err)
	}
	body, whole := tee.Whole()
	c := Copy{
		To: netip.MustParseAddrPort(s.Listener.Addr().String()), Body: body,
		Head: []byte("POST /x%2f?y=1;2 HTTP/1.1\r\nHost: a.test\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n"),
	}
	if !whole || !m.Offer(c) {
		t.Fatal("not taken")
	}
	select {
	case req := <-seen:
		if req.Method != http.MethodPost || req.Host != "a.test" || req.RequestURI != "/x%2f?y=1;2" || req.Header.Get("X-A") != "b" || req.Header.Get("X-Body") != "hello" {
			t.Errorf("%s %s %s %v", req.Method, req.Host, req.RequestURI, req.Header)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("no copy came")
	}
}

func TestMirrorIsBounded(t *testing.T) {
	block := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-block }))
	defer s.Close()
	defer close(block)
	var m Mirror
	taken := 0
	for range 2 * mirrorAtOnce {
		if m.Offer(Copy{To: netip.MustParseAddrPort(s.Listener.Addr().String()), Head: []byte("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")}) {
			taken++
		}
	}
	if taken != mirrorAtOnce {
		t.Errorf("%d copies at once", taken)
	}
	long := Tee{Reader: strings.NewReader(strings.Repeat("x", mirrorBody+1))}
	_, _ = io.Copy(io.Discard, &long)
	if _, whole := long.Whole(); whole {
		t.Error("a large body is copied")
	}
	part := Tee{Reader: strings.NewReader("xx")}
	_, _ = part.Read(make([]byte, 1))
	if _, whole := part.Whole(); whole {
		t.Error("a part of a body is copied")
	}
}

func FuzzFields(f *testing.F) {
	f.Add("gzip;q=0.5, zstd", "a=b; paas-canary=1.0001", "Basic YTpi")
	r := Compile(platform.Edge{Compress: "on", Canary: platform.CanaryShare{Release: 1, Percent: 50}}, nil)
	f.Fuzz(func(t *testing.T, accept, cookie, authorization string) {
		req := request("a.test", "/", "Accept-Encoding: "+accept, "Cookie: "+cookie, "Authorization: "+authorization)
		h := head(200, 1000, page)
		if e := r.Encode(req, h); e != nil {
			_ = e.Close(false)
		}
		if v := r.Before(req, alice); bytes.ContainsAny(v.Cookie, "\r\n") {
			t.Fatalf("cookie %q", v.Cookie)
		}
	})
}
