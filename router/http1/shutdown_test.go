package http1_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"paas/router/http1"
	"paas/router/wire"
)

func ask(t *testing.T, c net.Conn, in *bufio.Reader) *http.Response {
	t.Helper()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	return res
}

func TestDrain(t *testing.T) {
	s := serve(t, &http1.Server{Handler: handle(hello)})
	c := s.dial()
	in := bufio.NewReader(c)
	if res := ask(t, c, in); res.Close {
		t.Error("closes at once")
	}
	s.Drain()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := s.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error("an idle connection was closed:", err)
	}
	if res := ask(t, c, in); !res.Close {
		t.Error("does not say that it closes")
	}
	if _, err := in.ReadByte(); err != io.EOF {
		t.Error(err)
	}
}

func TestShutdown(t *testing.T) {
	began, finish := make(chan bool), make(chan bool)
	s := serve(t, &http1.Server{Handler: handle(func(x wire.Exchange) {
		if string(x.Request().Method) == "PUT" {
			began <- true
			<-finish
		}
		hello(x)
	})})
	idle, busy := s.dial(), s.dial()
	ask(t, idle, bufio.NewReader(idle))
	_, _ = io.WriteString(busy, "PUT / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-began
	done := make(chan error)
	go func() { done <- s.Shutdown(context.Background()) }()
	if _, err := io.ReadAll(idle); err != nil {
		t.Error(err)
	}
	select {
	case err := <-done:
		t.Fatal("did not wait:", err)
	case finish <- true:
	}
	if got, err := io.ReadAll(busy); statuses(string(got)) != "200" || !strings.Contains(string(got), "Connection: close") {
		t.Error(string(got), err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", s.addr); err == nil {
		t.Error("still listens")
	}
}

// TestShutdownLosesNothing has clients with keep-alive connections ask all the time. A request whose bytes were in
// the socket when the server shut down is answered.
func TestShutdownLosesNothing(t *testing.T) {
	s := serve(t, &http1.Server{Handler: handle(hello)})
	var lost atomic.Int64
	var clients sync.WaitGroup
	for range 20 {
		c := s.dial()
		clients.Go(func() {
			in := bufio.NewReader(c)
			for {
				if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
					lost.Add(1)
					return
				}
				res, err := http.ReadResponse(in, nil)
				if err != nil {
					lost.Add(1)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				if res.Close {
					return
				}
			}
		})
	}
	time.Sleep(50 * time.Millisecond)
	s.Drain()
	clients.Wait()
	if n := lost.Load(); n > 0 {
		t.Errorf("%d requests were lost", n)
	}
}

// TestCloseIsNoticed: a handler that waits for something else learns that its client was cut off.
func TestCloseIsNoticed(t *testing.T) {
	waits, noticed := make(chan bool), make(chan bool)
	s := serve(t, &http1.Server{Handler: handle(func(x wire.Exchange) {
		waits <- true
		<-x.Gone()
		close(noticed)
	})})
	_, _ = io.WriteString(s.dial(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-waits
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	select {
	case <-noticed:
	case <-time.After(3 * time.Second):
		t.Error("the handler still waits")
	}
}

// TestShutdownServesWhatWasAccepted: clients that connect while the server shuts down either are refused by the
// kernel, or get their answer.
func TestShutdownServesWhatWasAccepted(t *testing.T) {
	for range 10 {
		s := serve(t, &http1.Server{Handler: handle(hello)})
		var lost, answered atomic.Int64
		var clients sync.WaitGroup
		for range 4 {
			clients.Go(func() {
				for {
					c, err := net.Dial("tcp", s.addr)
					if err != nil {
						return
					}
					_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
					got, err := io.ReadAll(c)
					_ = c.Close()
					if reset := err != nil && len(got) == 0; reset { // it waited for accept(2), and the listener was closed
						return
					}
					if statuses(string(got)) != "200" {
						lost.Add(1)
						return
					}
					answered.Add(1)
				}
			})
		}
		for answered.Load() < 20 {
			time.Sleep(time.Millisecond)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		clients.Wait()
		if n := lost.Load(); n > 0 {
			t.Errorf("%d requests were lost", n)
		}
	}
}
