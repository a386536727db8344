package conformance_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"testing"
	"time"

	"paas/router/conformance"
	"paas/router/http1"
	"paas/router/wire"
)

// TestPlain runs the cases over package http1 with the plainest handler that forwards.
func TestPlain(t *testing.T) {
	conformance.Run(t, func(t *testing.T, origin net.Addr) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := &http1.Server{Handler: forwarder(origin.String())}
		done := make(chan error, 1)
		go func() { done <- s.ServeListener(l) }()
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			if err := errors.Join(s.Close(), s.Wait(ctx)); err != nil {
				t.Error(err)
			}
			<-done
		})
		return l.Addr().String()
	}, conformance.Options{})
}

// forwarder opens a connection to an address for each request.
type forwarder string

// Serve implements wire.Handler.
func (f forwarder) Serve(x wire.Exchange) {
	c, err := net.Dial("tcp", string(f))
	if err != nil {
		answer(x, 502)
		return
	}
	defer func() { _ = c.Close() }()
	if err := forward(x, c); err != nil {
		if errors.Is(err, wire.ErrBody) {
			answer(x, 400)
			return
		}
		answer(x, 502)
	}
}

func answer(x wire.Exchange, status int) {
	if x.Head(status, nil, 0) == nil {
		_ = x.End(nil)
	}
}

func forward(x wire.Exchange, c net.Conn) error {
	if _, err := c.Write(requestHead(x.Request())); err != nil {
		return err
	}
	if err := sendBody(x, c); err != nil {
		return err
	}
	r := http1.NewReader(c)
	var a http1.Answer
	for {
		if err := http1.ReadAnswer(r, &a, string(x.Request().Method) == "HEAD"); err != nil {
			return err
		}
		if a.Status == 101 {
			return http1.ErrAnswer
		}
		if a.Status >= 200 {
			break
		}
		if err := x.Interim(a.Status, a.Fields); err != nil {
			return err
		}
	}
	if err := x.Head(a.Status, a.Fields, a.Length); err != nil {
		return err
	}
	return copyAnswer(x, r, &a)
}

func requestHead(r *wire.Request) []byte {
	b := append(append([]byte(nil), r.Method...), ' ')
	b = append(append(b, r.Target...), " HTTP/1.1\r\n"...)
	b = http1.AppendField(b, wire.Field{Name: []byte("Host"), Value: r.Authority})
	for _, f := range r.Fields {
		b = http1.AppendField(b, f)
	}
	switch {
	case r.Length < 0:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	case r.Length > 0 || string(r.Method) == "POST":
		b = append(strconv.AppendInt(append(b, "Content-Length: "...), r.Length, 10), "\r\n"...)
	}
	return append(b, "\r\n"...)
}

func sendBody(x wire.Exchange, c net.Conn) error {
	if x.Request().Length >= 0 {
		_, err := io.Copy(c, x)
		return err
	}
	p := make([]byte, 4<<10)
	for {
		n, err := x.Read(p)
		if n > 0 {
			b := append(strconv.AppendInt(nil, int64(n), 16), "\r\n"...)
			_, _ = c.Write(append(append(b, p[:n]...), "\r\n"...))
		}
		if err == io.EOF {
			_, err = io.WriteString(c, "0\r\n\r\n")
			return err
		}
		if err != nil {
			return err
		}
	}
}

// copyAnswer leaves an answer that broke off without its end, and the server tells the client.
func copyAnswer(x wire.Exchange, r *http1.Reader, a *http1.Answer) error {
	var body http1.Body
	body.Start(r, a.Framing, a.Length)
	p := make([]byte, 4<<10)
	for {
		n, err := body.Read(p)
		if n > 0 {
			if _, err := x.Write(p[:n]); err != nil {
				return nil
			}
		}
		if err == io.EOF {
			_ = x.End(body.Trailer())
			return nil
		}
		if err != nil {
			_ = x.Flush()
			return nil
		}
	}
}

// TestCount keeps the promise of the documentation.
func TestCount(t *testing.T) {
	names := map[string]bool{}
	for _, c := range conformance.Cases() {
		if names[c.Name] {
			t.Errorf("two cases are named %s", c.Name)
		}
		names[c.Name] = true
	}
	t.Logf("%d cases", len(names))
}
