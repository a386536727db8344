package ports_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"paas/platform"
	"paas/router"
	"paas/router/ports"
	"paas/router/sockets"
)

// opened is a set of mapped ports on loopback.
type opened struct {
	*ports.Ports
	t   *testing.T
	set *sockets.Set
}

func open(t *testing.T, change func(*ports.Options)) *opened {
	t.Helper()
	o := &opened{t: t, set: sockets.NewSet(nil, nil)}
	options := ports.Options{Sockets: o.set, Host: "127.0.0.1", Reserved: map[int]string{22: "SSH"}}
	options.Site = func() ports.Site { return router.New(router.Options{}) }
	if change != nil {
		change(&options)
	}
	o.Ports = ports.New(options)
	t.Cleanup(func() {
		cut, cancel := context.WithCancel(context.Background())
		cancel()
		o.Leave(cut)
		o.set.Leave()
	})
	return o
}

// lead maps the port to the instances.
func (o *opened) lead(m platform.Mapping, at ...string) func(context.Context) {
	to := platform.PortRoute{Mapping: m}
	for _, addr := range at {
		to.Backends = append(to.Backends, platform.Backend{ID: platform.InstanceID(addr), Addr: netip.MustParseAddrPort(addr)})
	}
	return o.Swap(platform.Route{App: "app", Hosts: []string{"app.test"}, Ports: []platform.PortRoute{to}})
}

func freePort(t *testing.T) int {
	t.Helper()
	for range 100 { // below the ports that the kernel gives to whoever connects meanwhile
		port := 10_000 + mathrand.IntN(20_000)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

// echo is an instance that says its name and then what it hears.
func echo(t *testing.T, name string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				_, _ = io.WriteString(c, name+"\n")
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

type caller struct {
	*net.TCPConn
	in *bufio.Reader
	t  *testing.T
}

func call(t *testing.T, port int) *caller {
	t.Helper()
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return &caller{c.(*net.TCPConn), bufio.NewReader(c), t}
}

func (c *caller) line() string {
	text, err := c.in.ReadString('\n')
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(text)
}

func (c *caller) says(text string) string {
	_, _ = io.WriteString(c, text+"\n")
	return c.line()
}

// A connection stays with its instance over a swap until the drain ends; new ones go to the new instance.
func TestSwapKeepsConnections(t *testing.T) {
	o := open(t, nil)
	m := platform.Mapping{Scheme: platform.TCPScheme, HostPort: freePort(t), Port: 1}
	one, two := echo(t, "one"), echo(t, "two")
	o.lead(m, one)
	a, b := call(t, m.HostPort), call(t, m.HostPort)
	if a.line() != "one" || b.line() != "one" || o.Usage("app", m).Connections != 2 {
		t.Fatalf("before: %+v", o.Usage("app", m))
	}
	drained := o.lead(m, two)
	if c := call(t, m.HostPort); c.line() != "two" {
		t.Error("a new connection goes to the old instance")
	}
	over := make(chan struct{})
	ctx, cut := context.WithCancel(context.Background())
	defer cut()
	go func() { drained(ctx); close(over) }()
	if got := a.says("still here"); got != "still here" {
		t.Errorf("after the swap: %q", got)
	}
	_ = a.Close()
	select {
	case <-over:
		t.Error("drained with a connection open")
	case <-time.After(100 * time.Millisecond):
	}
	cut()
	<-over
	if got := b.line(); got != "EOF" && !strings.Contains(got, "reset") {
		t.Errorf("after the drain: %q", got)
	}
}

// What one end has finished saying, the other may still answer.
func TestHalfClose(t *testing.T) {
	o := open(t, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		text, _ := io.ReadAll(c)
		_, _ = fmt.Fprintf(c, "%d bytes\n", len(text))
		_ = c.Close()
	}()
	m := platform.Mapping{Scheme: platform.TCPScheme, HostPort: freePort(t), Port: 1}
	o.lead(m, l.Addr().String())
	c := call(t, m.HostPort)
	_, _ = c.Write(bytes.Repeat([]byte("x"), 3<<20)) // much, and then a little
	_, _ = io.WriteString(c, "y")
	_ = c.CloseWrite()
	if got := c.line(); got != "3145729 bytes" {
		t.Errorf("%q", got)
	}
}

// Bytes arrive as they were sent, both ways at once, however they are cut.
func TestBytes(t *testing.T) {
	o := open(t, nil)
	m := platform.Mapping{Scheme: platform.TCPScheme, HostPort: freePort(t), Port: 1}
	o.lead(m, echo(t, "one"))
	c := call(t, m.HostPort)
	c.line()
	sent := make([]byte, 8<<20)
	_, _ = rand.Read(sent)
	go func() {
		for rest, n := sent, 1; len(rest) > 0; n = n*7%200_003 + 1 {
			part := rest[:min(n, len(rest))]
			rest = rest[len(part):]
			if _, err := c.Write(part); err != nil {
				t.Error(err)
				return
			}
		}
		_ = c.CloseWrite()
	}()
	if got, err := io.ReadAll(c.in); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d of %d bytes, equal %t, error %v", len(got), len(sent), bytes.Equal(got, sent), err)
	}
}

// The app learns who the client is, if it wants to.
func TestIntroduction(t *testing.T) {
	o := open(t, nil)
	for version, want := range map[string]string{"v1": "PROXY TCP4 127.0.0.1 127.0.0.1 %d %d\r\n", "v2": "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"} {
		m := platform.Mapping{Scheme: platform.TCPScheme, HostPort: freePort(t), Port: 1, Proxy: version}
		o.lead(m, echo(t, "one"))
		c := call(t, m.HostPort)
		c.line()
		if version == "v1" {
			want = fmt.Sprintf(want, c.LocalAddr().(*net.TCPAddr).Port, m.HostPort)
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c.in, got); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", version, got, err)
		}
	}
}

// Too many connections are turned away, silent ones end, and an instance that refuses is passed over.
func TestLimits(t *testing.T) {
	o := open(t, nil)
	m := platform.Mapping{Scheme: platform.TCPScheme, HostPort: freePort(t), Port: 1, Connections: 2, Idle: 300 * time.Millisecond}
	o.lead(m, fmt.Sprintf("127.0.0.1:%d", freePort(t)), echo(t, "one"))
	a, b := call(t, m.HostPort), call(t, m.HostPort)
	if a.line() != "one" || b.line() != "one" {
		t.Fatal("not connected")
	}
	if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", m.HostPort)); err == nil { // else it was reset at once
		defer func() { _ = c.Close() }()
		if n, _ := c.Read(make([]byte, 1)); n > 0 {
			t.Error("a third connection was let in")
		}
	}
	for range 5 {
		time.Sleep(100 * time.Millisecond)
		if got := a.says("x"); got != "x" {
			t.Fatalf("a connection that speaks was closed: %q", got)
		}
	}
	if got := b.line(); got != "EOF" && !strings.Contains(got, "reset") {
		t.Errorf("a silent connection: %q", got)
	}
	if u := o.Usage("app", m); u.Refused != 1 || u.Connections != 1 {
		t.Errorf("%+v", u)
	}
}

// A client of an app that has no instance waits for one, and somebody is told.
func TestAwaitsInstance(t *testing.T) {
	var woken atomic.Int64
	o := open(t, func(o *ports.Options) { o.Wake = func(platform.AppName) { woken.Add(1) } })
	m := platform.Mapping{Scheme: platform.TCPScheme, HostPort: freePort(t), Port: 1}
	o.lead(m)
	c := call(t, m.HostPort)
	for woken.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	o.lead(m, echo(t, "awake"))
	if got := c.line(); got != "awake" {
		t.Errorf("%q", got)
	}
}

// answerer is a UDP instance.
func answerer(t *testing.T, name string) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	go func() {
		for buffer := make([]byte, 64<<10); ; {
			n, from, err := c.ReadFrom(buffer)
			if err != nil {
				return
			}
			if string(buffer[:n]) != "silence" {
				_, _ = c.WriteTo(append([]byte(name+" "), buffer[:n]...), from)
			}
		}
	}()
	return c.LocalAddr().String()
}

func udp(t *testing.T, port int) *net.UDPConn {
	t.Helper()
	c, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func ask(c *net.UDPConn, text string) string {
	_ = c.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = io.WriteString(c, text)
	buffer := make([]byte, 64<<10)
	n, err := c.Read(buffer)
	if err != nil {
		return "nothing"
	}
	return string(buffer[:n])
}

// A client's datagrams go to one instance, also after a swap, until the drain ends.
func TestDatagrams(t *testing.T) {
	o := open(t, nil)
	m := platform.Mapping{Scheme: platform.UDPScheme, HostPort: freePort(t), Port: 1}
	o.lead(m, answerer(t, "one"))
	a := udp(t, m.HostPort)
	if got := ask(a, "x"); got != "one x" {
		t.Fatalf("%q", got)
	}
	if got := ask(a, strings.Repeat("y", 60_000)); len(got) != 60_004 {
		t.Errorf("a big datagram: %d bytes", len(got))
	}
	drained := o.lead(m, answerer(t, "two"))
	if got := ask(udp(t, m.HostPort), "x"); got != "two x" {
		t.Errorf("a new client after the swap: %q", got)
	}
	if got := ask(a, "x"); got != "one x" {
		t.Errorf("the old client after the swap: %q", got)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	drained(ctx)
	got := ask(a, "x")
	for tries := 0; got != "two x" && tries < 100; tries++ { // the first ones may meet the session's end
		time.Sleep(10 * time.Millisecond)
		got = ask(a, "x")
	}
	if got != "two x" {
		t.Errorf("the old client after the drain: %q", got)
	}
}

// Sessions are bounded, for one address more than for all, and end when nothing is said.
func TestSessions(t *testing.T) {
	o := open(t, nil)
	m := platform.Mapping{Scheme: platform.UDPScheme, HostPort: freePort(t), Port: 1, Connections: 12, Idle: 3 * time.Second}
	o.lead(m, answerer(t, "one"))
	served := 0
	for range 5 {
		if ask(udp(t, m.HostPort), "x") == "one x" {
			served++
		}
	}
	if u := o.Usage("app", m); served != 3 || u.Connections != 3 || u.Refused != 2 {
		t.Errorf("%d clients of one address were served, %+v", served, u)
	}
	for n := 0; o.Usage("app", m).Connections > 0; n++ {
		if time.Sleep(50 * time.Millisecond); n > 100 {
			t.Fatal("sessions do not end")
		}
	}
}

// Every datagram begins with who its client is, if the app wants to know.
func TestDatagramIntroduction(t *testing.T) {
	o := open(t, nil)
	m := platform.Mapping{Scheme: platform.UDPScheme, HostPort: freePort(t), Port: 1, Proxy: "v2"}
	o.lead(m, answerer(t, "one"))
	c := udp(t, m.HostPort)
	got := ask(c, "hello")
	from := c.LocalAddr().(*net.UDPAddr).AddrPort()
	want := "one \r\n\r\n\x00\r\nQUIT\n\x21\x12\x00\x0c\x7f\x00\x00\x01\x7f\x00\x00\x01" +
		string([]byte{byte(from.Port() >> 8), byte(from.Port()), byte(m.HostPort >> 8), byte(m.HostPort)}) + "hello"
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A mapped HTTP port leads to the app, whatever Host is asked for.
func TestSite(t *testing.T) {
	o := open(t, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { _, _ = io.WriteString(w, req.Host) })}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	m := platform.Mapping{Scheme: platform.HTTPScheme, HostPort: freePort(t), Port: 1}
	drained := o.lead(m, l.Addr().String())
	drained(context.Background())
	for _, host := range []string{"app.test", "127.0.0.1", "other.test"} {
		c := call(t, m.HostPort)
		_, _ = fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host)
		text, _ := io.ReadAll(c.in)
		if !bytes.HasPrefix(text, []byte("HTTP/1.1 200")) || !bytes.HasSuffix(text, []byte(host)) {
			t.Errorf("%s: %q", host, text)
		}
	}
	counted := func() platform.RequestStats { return o.Stats("app") }
	for deadline := time.Now().Add(10 * time.Second); counted().Requests < 3 && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
	}
	if s := counted(); s.Requests != 3 || s.Status[2] != 3 || s.Instances[platform.InstanceID(l.Addr().String())].Requests != 3 {
		t.Errorf("counted %+v", s)
	}
	o.Swap(platform.Route{App: "app"})(context.Background())
	if s := counted(); s.Requests != 3 || s.InFlight != 0 {
		t.Errorf("after the port was closed: %+v", s)
	}
}

// Ports that cannot be had are said to be so, and one that another program had is tried again.
func TestTaken(t *testing.T) {
	o := open(t, nil)
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	m := platform.Mapping{Scheme: platform.TCPScheme, HostPort: other.Addr().(*net.TCPAddr).Port, Port: 1}
	for at, want := range map[platform.Mapping]string{
		m: "another program of this host listens on tcp port",
		{Scheme: platform.TCPScheme, HostPort: 22, Port: 1}:      "the platform's own, for SSH",
		{Scheme: platform.HTTPSScheme, HostPort: 22222, Port: 1}: "serves no https",
	} {
		if err := o.Claim("app", at); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", at, err)
		}
	}
	m.HostPort = freePort(t)
	if err := o.Claim("app", m); err != nil {
		t.Fatal(err)
	}
	if err := o.Claim("other", m); err == nil || !strings.Contains(err.Error(), "is taken") {
		t.Errorf("claimed twice: %v", err)
	}
	o.Swap(platform.Route{App: "app"})(context.Background()) // it was not recorded
	if err := o.Claim("other", m); err != nil {
		t.Errorf("claimed after it was let go: %v", err)
	}
}

// Mappings that come and go leave nothing behind.
func TestNothingIsLeft(t *testing.T) {
	o := open(t, nil)
	tcp, datagrams := echo(t, "one"), answerer(t, "one")
	before := runtime.NumGoroutine()
	for range 5 {
		m := platform.Mapping{Scheme: platform.TCPScheme, HostPort: freePort(t), Port: 1}
		o.lead(m, tcp)
		c := call(t, m.HostPort)
		c.line()
		m.Scheme = platform.UDPScheme
		cut, cancel := context.WithCancel(context.Background())
		cancel()
		o.lead(m, datagrams)(cut)
		ask(udp(t, m.HostPort), "x")
		m.Scheme = platform.HTTPScheme
		o.lead(m)(cut)
		o.Remove("app")
		_ = c.Close()
	}
	for n := 0; runtime.NumGoroutine() > before+2; n++ {
		if time.Sleep(50 * time.Millisecond); n > 100 {
			buffer := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before\n%s", runtime.NumGoroutine(), before, buffer[:runtime.Stack(buffer, true)])
		}
	}
}
