package router_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"paas/platform"
	"paas/router"
)

// A streamed answer that is under way when the router leaves is completed before Shutdown returns, and a connection
// that is idle is told with its next answer.
func TestLeaveCompletesAnswers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stream := newInstance(t, func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path != "/stream" {
			return
		}
		for n := range 15 {
			_, _ = fmt.Fprintf(w, "data: %d\n\n", n)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(100 * time.Millisecond)
		}
	})
	r := router.New(router.Options{})
	r.Swap(platform.Route{App: "app", Hosts: []string{"app.test"}, Backends: []platform.Backend{stream.Backend}})
	served := make(chan error, 1)
	go func() { served <- r.Serve(l) }()
	idle := &http.Client{Transport: &http.Transport{}}
	ask := func(path string) (*http.Response, error) {
		req, err := http.NewRequest(http.MethodGet, "http://"+l.Addr().String()+path, nil)
		if err != nil {
			return nil, err
		}
		req.Host = "app.test"
		return idle.Do(req)
	}
	res, err := ask("/stream")
	if err != nil {
		t.Fatal(err)
	}
	if other, err := ask("/"); err != nil || other.Close {
		t.Fatal(other, err)
	} else {
		_ = other.Body.Close()
	}
	left := make(chan struct{})
	go func() {
		defer close(left)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		leaving, stop := context.WithTimeout(ctx, 500*time.Millisecond)
		defer stop()
		r.Leave(leaving)
		if err := r.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	}()
	time.Sleep(100 * time.Millisecond)
	if other, err := ask("/"); err != nil || !other.Close {
		t.Errorf("an answer while the router leaves: %v, %v", other, err)
	}
	text, err := io.ReadAll(res.Body)
	if err != nil || len(text) != 140 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	<-left
	if err := <-served; err != nil {
		t.Error(err)
	}
}
