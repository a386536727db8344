package http2

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	x2 "golang.org/x/net/http2"

	"paas/router/wire"
)

// TestDifferential sends the same valid requests to net/http's server and to ours: the handlers must see the same,
// and the client must get the same for the same answer.
func TestDifferential(t *testing.T) {
	saw := make(chan string, 1)
	ours := listen(t, &Server{Handler: calls(func(x wire.Exchange) { answerWire(x, saw) })}, false)
	theirs := reference(t, saw)
	random := rand.New(rand.NewPCG(9113, uint64(time.Now().Unix())))
	a, b := dial(t, ours), dial(t, theirs)
	for i := range 300 {
		r := makeRequest(random)
		id := uint32(2*i + 1)
		got, gotSaw := r.ask(a, id, saw)
		want, wantSaw := r.ask(b, id, saw)
		if gotSaw != wantSaw {
			t.Errorf("%+v: the handler saw\n%s\nand with net/http\n%s", r, gotSaw, wantSaw)
		}
		if got != want {
			t.Errorf("%+v: the client got\n%.300s\nand from net/http\n%.300s", r, got, want)
		}
		if t.Failed() {
			return
		}
	}
}

// reference is net/http's server for HTTP/2.
func reference(t *testing.T, saw chan string) net.Addr {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answerHTTP(w, r, saw) }), Protocols: new(http.Protocols)}
	s.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return l.Addr()
}

// request is one in frames.
type request struct {
	fields   []string
	parts    []int // sizes of DATA frames
	padding  []int
	trailers []string
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func makeRequest(r *rand.Rand) request {
	method := pick(r, "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PURGE")
	status, size := pick(r, 200, 201, 204, 206, 301, 304, 404, 418, 500, 503), pick(r, 0, 1, 1000, 16384, 40000, 100000)
	path := fmt.Sprintf("/%d/%d/%s", status, size, pick(r, "known", "open", "trailers"))
	path += pick(r, "", "?", "?a=b&c=%20;d", "/..//./x?y=/", "/%2e%2f%00", "/~!$&'()*+,;=:@-._")
	q := request{fields: []string{":method: " + method, ":scheme: http", ":authority: " + pick(r, "hello.test", "hello.test:8080", "[::1]", "10.0.0.1:1"), ":path: " + path}}
	r.Shuffle(len(q.fields), func(i, j int) { q.fields[i], q.fields[j] = q.fields[j], q.fields[i] })
	for range r.IntN(12) {
		name := pick(r, "accept", "user-agent", "x-a", "x-b", "cookie", "cookie", "referer", "x-long", "~weird!name", "if-none-match")
		q.fields = append(q.fields, name+": "+pick(r, "", "a", "b=c", "text/html, */*;q=0.8", "a\tb  c", "\x80\xff", strings.Repeat("long", r.IntN(500))))
	}
	total := 0
	for range r.IntN(4) {
		size := pick(r, 0, 1, 10, 5000, 16000)
		q.parts, q.padding = append(q.parts, size), append(q.padding, pick(r, -1, -1, 0, 1, 200))
		total += size
	}
	if len(q.parts) > 0 && r.IntN(2) == 0 {
		q.fields = append(q.fields, "content-length: "+strconv.Itoa(total))
	}
	if len(q.parts) > 0 && r.IntN(3) == 0 {
		q.fields = append(q.fields, "trailer: x-sum")
		q.trailers = []string{"x-sum: " + strconv.Itoa(total)}
	}
	return q
}

// ask sends the request, and returns what came back and what the handler saw.
func (q request) ask(p *peer, id uint32, saw chan string) (got, handler string) {
	p.send(id, len(q.parts) == 0 && q.trailers == nil, q.fields...)
	for i, size := range q.parts {
		end := i == len(q.parts)-1 && q.trailers == nil
		part := bytes.Repeat([]byte{byte('a' + i)}, size)
		if q.padding[i] < 0 {
			p.ok(p.f.WriteData(id, end, part))
		} else {
			p.ok(p.f.WriteDataPadded(id, end, part, make([]byte, q.padding[i])))
		}
	}
	if q.trailers != nil {
		p.send(id, true, q.trailers...)
	}
	handler = <-saw
	return p.answer(id), handler
}

// answer reads a whole answer: heads, the body, and trailers, as one text.
func (p *peer) answer(id uint32) string {
	var b strings.Builder
	for {
		f := p.until(func(f x2.Frame) bool { return f.Header().StreamID == id || f.Header().StreamID == 0 })
		end := false
		switch f := f.(type) {
		case *x2.MetaHeadersFrame:
			var fields []string
			for _, h := range f.Fields {
				if h.Name != "date" {
					fields = append(fields, h.Name+": "+h.Value)
				}
			}
			slices.Sort(fields)
			fmt.Fprintf(&b, "%q ", fields)
			end = f.StreamEnded()
		case *x2.DataFrame:
			b.Write(f.Data())
			end = f.StreamEnded()
			p.ok(p.f.WriteWindowUpdate(0, max(1, f.Length)))
			if !end {
				p.ok(p.f.WriteWindowUpdate(id, max(1, f.Length)))
			}
		case *x2.RSTStreamFrame:
			return b.String() + f.ErrCode.String()
		}
		if end {
			return b.String()
		}
	}
}

// told is the answer that a path asks for.
func told(path string) (status, size int, form string) {
	parts := strings.Split(path, "/")
	status, _ = strconv.Atoi(parts[1])
	size, _ = strconv.Atoi(parts[2])
	form, _, _ = strings.Cut(parts[3], "?")
	if status == 204 || status == 304 {
		size = 0
	}
	return status, size, form
}

func answerHTTP(w http.ResponseWriter, r *http.Request, saw chan string) {
	body, err := io.ReadAll(r.Body)
	var fields []string
	for name, values := range r.Header {
		for _, v := range values {
			fields = append(fields, strings.ToLower(name)+": "+v)
		}
	}
	if r.Trailer != nil {
		fields = append(fields, "trailer: x-sum")
	}
	saw <- seenText(r.Method, r.RequestURI, r.Host, r.ContentLength, fields, body, r.Trailer.Get("X-Sum"), err)
	status, size, form := told(r.RequestURI)
	w.Header().Set("Content-Type", "text/plain")
	if form == "known" && status != 204 {
		w.Header().Set("Content-Length", strconv.Itoa(size))
	}
	w.WriteHeader(status)
	w.(http.Flusher).Flush()
	_, _ = w.Write(bytes.Repeat([]byte("z"), size))
	if form == "trailers" && size > 0 {
		w.Header().Set(http.TrailerPrefix+"X-Sum", "done")
	}
}

func answerWire(x wire.Exchange, saw chan string) {
	r := x.Request()
	body, err := io.ReadAll(x)
	var fields []string
	for _, f := range r.Fields {
		fields = append(fields, string(f.Name)+": "+string(f.Value))
	}
	sum := ""
	if trailer := x.Trailer(); len(trailer) > 0 {
		sum = string(trailer[0].Value)
	}
	saw <- seenText(string(r.Method), string(r.Target), string(r.Authority), r.Length, fields, body, sum, err)
	status, size, form := told(string(r.Target))
	length := int64(-1)
	if form == "known" {
		length = int64(size)
	}
	var trailers []wire.Field
	if form == "trailers" && size > 0 && string(r.Method) != "HEAD" {
		trailers = []wire.Field{{Name: []byte("X-Sum"), Value: []byte("done")}}
	}
	_ = x.Head(status, []wire.Field{{Name: []byte("Content-Type"), Value: []byte("text/plain")}}, length)
	_ = x.Flush()
	_, _ = x.Write(bytes.Repeat([]byte("z"), size))
	_ = x.End(trailers)
}

func seenText(method, target, host string, length int64, fields []string, body []byte, sum string, err error) string {
	fields = slices.DeleteFunc(fields, func(f string) bool { return strings.HasPrefix(f, "content-length:") })
	slices.Sort(fields)
	return fmt.Sprintf("%s %s %s %d %q %d %x %q %v", method, target, host, length, fields, len(body), body[:min(len(body), 9)], sum, err)
}
