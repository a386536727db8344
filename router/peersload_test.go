package router_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	_ "net/http/pprof" // of the proxy, when PROFILE asks for it
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

func profile(addr string) { log.Fatal(http.ListenAndServe(addr, nil)) } //nolint:gosec // a benchmark's

// wrk loads keep-alive connections; it returns how many requests were answered.
func (b *contest) wrk(scheme, path string, more ...string) func(*rival) float64 {
	return func(r *rival) float64 {
		port := r.http
		if scheme == "https" {
			port = r.https
		}
		seconds := strconv.Itoa(max(int(peerTime.Seconds()), 1)) + "s"
		args := append([]string{"-t1", "-c", strconv.Itoa(benchConns), "-d", seconds}, more...)
		out := b.run("wrk", append(args, fmt.Sprintf("%s://127.0.0.1:%d%s", scheme, port, path))...)
		var n float64
		for line := range strings.Lines(out) {
			if at := strings.Index(line, " requests in "); at > 0 {
				_, _ = fmt.Sscan(line[:at], &n)
			}
			if strings.Contains(line, "Non-2xx") {
				b.t.Errorf("%s: %s", r.name, line)
			}
		}
		return n
	}
}

// h2load loads connections of HTTP/2 with so many streams each.
func (b *contest) h2load(streams int) func(*rival) float64 {
	return func(r *rival) float64 {
		out := b.run("h2load", "-t1", "-c", strconv.Itoa(benchConns), "-m", strconv.Itoa(streams),
			"-D", strconv.Itoa(max(int(peerTime.Seconds()), 1)), fmt.Sprintf("https://127.0.0.1:%d/1k", r.https))
		var n float64
		for line := range strings.Lines(out) {
			if rest, ok := strings.CutPrefix(line, "requests: "); ok {
				words := strings.Fields(rest)
				_, _ = fmt.Sscan(words[6], &n) // "N total, N started, N done, N succeeded, …"
			}
		}
		if n == 0 && out != "" {
			b.t.Errorf("%s: %s", r.name, out)
		}
		return n
	}
}

// during has clients work side by side for a window and adds up what they have done.
func during(clients int, client func(ctx context.Context) int64) float64 {
	ctx, cancel := context.WithTimeout(context.Background(), *peerTime)
	defer cancel()
	var sum atomic.Int64
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for ctx.Err() == nil {
				sum.Add(client(ctx))
			}
		})
	}
	wg.Wait()
	return float64(sum.Load())
}

// handshakes makes new connections with a whole handshake.
func (b *contest) handshakes(r *rival) float64 {
	config := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}} //nolint:gosec // our own certificate
	return during(16, func(context.Context) int64 {
		c, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", r.https), config)
		if err != nil {
			b.t.Error(r.name, err)
			return 0
		}
		_ = c.NetConn().(*net.TCPConn).SetLinger(0)
		_ = c.Close()
		return 1
	})
}

// downloads takes a gigabyte and returns how many bytes came.
func (b *contest) downloads(r *rival) float64 {
	out := b.run("curl", "-s", "-o", "/dev/null", "-w", "%{size_download}", fmt.Sprintf("http://127.0.0.1:%d/big", r.http))
	n, _ := strconv.ParseFloat(out, 64)
	if n != 1<<30 {
		b.t.Errorf("%s: %s bytes of a gigabyte", r.name, out)
	}
	return n / (1 << 20)
}

// webSockets sends messages of 128 bytes back and forth.
func (b *contest) webSockets(r *rival) float64 {
	return during(benchConns, func(ctx context.Context) (n int64) {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", r.http))
		if err != nil {
			b.t.Error(err)
			return 0
		}
		defer func() { _ = c.Close() }()
		_, _ = io.WriteString(c, "GET /ws HTTP/1.1\r\nHost: ws.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
		in := bufio.NewReader(c)
		if res, err := http.ReadResponse(in, nil); err != nil || res.StatusCode != http.StatusSwitchingProtocols {
			b.t.Error(r.name, res, err)
			return 0
		}
		message := append([]byte{0x82, 126, 0, 124}, make([]byte, 124)...)
		answer := make([]byte, len(message))
		for ctx.Err() == nil {
			if _, err := c.Write(message); err != nil {
				break
			}
			if _, err := io.ReadFull(in, answer); err != nil {
				break
			}
			n++
		}
		return n
	})
}

// compareTail takes the 99th percentile of the time of a request at a rate that all can serve.
func (b *contest) compareTail() {
	times := map[*rival][]float64{}
	for range *peerRounds {
		for _, r := range b.rivals[:2] {
			b.turn = r.name
			times[r] = append(times[r], b.tail(r))
		}
	}
	b.print("p99-us-vs-nginx", times[b.rivals[0]], times[b.rivals[1]])
}

// tailRate is requests a second on each of the connections.
const tailRate = 100

func (b *contest) tail(r *rival) float64 {
	path := filepath.Join(b.dir, "times")
	_ = os.Remove(path)
	b.run("h2load", "--h1", "-t1", "-c", strconv.Itoa(benchConns), "--rps", strconv.Itoa(tailRate), "--log-file", path,
		"-D", strconv.Itoa(max(int(peerTime.Seconds()), 1)), fmt.Sprintf("http://127.0.0.1:%d/1k", r.http))
	text, err := os.ReadFile(path)
	if err != nil {
		b.t.Fatal(err)
	}
	var list []float64
	for line := range strings.Lines(string(text)) { // start, status, microseconds
		if words := strings.Fields(line); len(words) == 3 && words[1] == "200" {
			n, _ := strconv.ParseFloat(words[2], 64)
			list = append(list, n)
		}
	}
	return quantile(list, 0.99)
}

// weighIdle prints how many kilobytes of memory an idle connection takes.
func (b *contest) weighIdle(figure string, secure bool) {
	var kb [2]float64
	for i, r := range b.rivals[:2] {
		before := r.memory()
		conns := b.openIdle(r, secure)
		kb[i] = (r.memory() - before) / idleConns
		for _, c := range conns {
			_ = c.Close()
		}
	}
	fmt.Printf("%s\t%.1f\t%.1f\t%.2f\t\t\n", figure, kb[0], kb[1], kb[0]/kb[1])
}

// openIdle makes connections that have had one request each.
func (b *contest) openIdle(r *rival, secure bool) []net.Conn {
	var list []net.Conn
	for range idleConns {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", r.http))
		if secure {
			c, err = tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", r.https), &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // our own certificate
		}
		if err != nil {
			b.t.Fatal(err)
		}
		_, _ = io.WriteString(c, "GET /1k HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
		}
		if err != nil {
			b.t.Fatal(r.name, err)
		}
		list = append(list, c)
	}
	time.Sleep(time.Second)
	return list
}
