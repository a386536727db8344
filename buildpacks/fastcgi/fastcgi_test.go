package fastcgi_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/fcgi"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"paas/buildpacks/fastcgi"
)

// responder is the standard library's own side of the protocol, with a handler.
func responder(t *testing.T, handler http.HandlerFunc) func() net.Conn {
	t.Helper()
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() { _ = fcgi.Serve(listener, handler) }()
	return func() net.Conn {
		conn, err := net.Dial("unix", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
}

func vars(method string, body string) map[string]string {
	return map[string]string{
		"REQUEST_METHOD": method, "SERVER_PROTOCOL": "HTTP/1.1", "REQUEST_URI": "/a?b=c", "HTTP_HOST": "example.com",
		"HTTP_X_LONG": strings.Repeat("x", 70_000), "CONTENT_LENGTH": strconv.Itoa(len(body)),
	}
}

func TestDo(t *testing.T) {
	dial := responder(t, func(w http.ResponseWriter, r *http.Request) {
		got, _ := io.ReadAll(r.Body)
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2")
		w.WriteHeader(http.StatusTeapot)
		_, _ = fmt.Fprintf(w, "%s %s %d %d ", r.Method, r.URL, len(r.Header.Get("X-Long")), len(got))
		_, _ = w.Write(got)
	})
	for _, body := range []string{"", "x", strings.Repeat("body", 100_000)} {
		res, err := fastcgi.Do(dial(), fastcgi.Request{Params: vars("POST", body), Body: strings.NewReader(body)})
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		if want := fmt.Sprintf("POST http://example.com/a?b=c 70000 %d %s", len(body), body); err != nil || string(got) != want {
			t.Errorf("%d bytes, %v: %.100q", len(got), err, got)
		}
		if res.Status != http.StatusTeapot || len(res.Header["Set-Cookie"]) != 2 || res.Header.Get("Status") != "" {
			t.Errorf("%d %v", res.Status, res.Header)
		}
		if err := res.Body.Close(); err != nil {
			t.Error(err)
		}
	}
}

// What comes is there at once, not only when all of it has come.
func TestDoStreams(t *testing.T) {
	goOn := make(chan struct{})
	dial := responder(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "first")
		w.(http.Flusher).Flush()
		<-goOn
		_, _ = io.WriteString(w, "second")
	})
	res, err := fastcgi.Do(dial(), fastcgi.Request{Params: vars("GET", "")})
	if err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 5)
	if _, err := io.ReadFull(res.Body, first); err != nil || string(first) != "first" {
		t.Fatalf("%q, %v", first, err)
	}
	close(goOn)
	if rest, err := io.ReadAll(res.Body); err != nil || string(rest) != "second" {
		t.Errorf("%q, %v", rest, err)
	}
	_ = res.Body.Close()
}

// A responder that is not one, or ends in the middle, is an error and no hang.
func TestDoFails(t *testing.T) {
	end := "\x01\x03\x00\x01\x00\x08\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00"
	for name, answer := range map[string]string{
		"nothing": "", "not the protocol": "HTTP/1.1 400 Bad Request\r\n\r\n", "half a header": "\x01\x06\x00\x01",
		"half a record": "\x01\x06\x00\x01\x00\x20\x00\x00Status: 200", "refused": end,
		"bad status": "\x01\x06\x00\x01\x00\x0e\x00\x00Status: bad\r\n\r\n",
	} {
		client, server := net.Pipe()
		go func() {
			go func() { _, _ = io.Copy(io.Discard, server) }()
			_, _ = io.WriteString(server, answer)
			_ = server.Close()
		}()
		done := make(chan error, 1)
		go func() {
			_, err := fastcgi.Do(client, fastcgi.Request{Params: vars("GET", "")})
			done <- err
		}()
		select {
		case err := <-done:
			if err == nil {
				t.Errorf("%s: no error", name)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("%s: it hangs", name)
		}
	}
}

func TestDoPassesErrors(t *testing.T) {
	client, server := net.Pipe()
	go func() {
		go func() { _, _ = io.Copy(io.Discard, server) }()
		_, _ = io.WriteString(server, "\x01\x07\x00\x01\x00\x04\x04\x00oops\x00\x00\x00\x00"+"\x01\x06\x00\x01\x00\x12\x00\x00Location: /x\r\n\r\nhi"+
			"\x01\x03\x00\x01\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")
		_ = server.Close()
	}()
	var errs bytes.Buffer
	res, err := fastcgi.Do(client, fastcgi.Request{Params: vars("GET", ""), Errors: &errs})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil || string(body) != "hi" || res.Status != http.StatusFound || errs.String() != "oops" {
		t.Errorf("%d %q %q %v", res.Status, body, errs.String(), err)
	}
	_ = res.Body.Close()
}
