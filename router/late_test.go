package router_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A request whose body comes late is sent on all the same, over a connection that was used before.
func TestLateBodyIsSent(t *testing.T) {
	r := newServed(t, nil)
	r.swap(newInstance(t, func(w http.ResponseWriter, req *http.Request) { _, _ = io.Copy(w, req.Body) }))
	_, _ = r.get("/", nil)
	c, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = fmt.Fprint(c, "PUT / HTTP/1.1\r\nHost: hello.test\r\nContent-Length: 4\r\nConnection: close\r\n\r\n")
	time.Sleep(2 * time.Second)
	_, _ = fmt.Fprint(c, "late")
	answer, err := io.ReadAll(c)
	if err != nil || !strings.HasSuffix(string(answer), "late") {
		t.Errorf("%v: %q", err, answer)
	}
}
