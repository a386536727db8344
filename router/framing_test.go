package router_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"paas/platform"
	"paas/router"
)

// askRaw sends bytes and gives the status of the answer.
func (r *served) askRaw(text string) int {
	r.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, _ = io.WriteString(c, text)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// What frames a message may be as long as the settings say: both more and less than the defaults.
func TestFramingIsASetting(t *testing.T) {
	const head = "POST / HTTP/1.1\r\nHost: hello.test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
	long := platform.Intake{MaxChunkLine: 2000, MaxExtensions: 100 << 10, MaxTrailer: 20 << 10, MaxAnswerHead: 1 << 20}
	short := platform.Intake{MaxChunkLine: 20, MaxExtensions: -1, MaxTrailer: 256, MaxAnswerHead: 8 << 10}
	chunk := func(extension int) string { return "5;" + strings.Repeat("a", extension) + "\r\nhello\r\n" }
	app := newInstance(t, func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("a", len(req.Header.Get("X-Want"))*1000))
		_, _ = io.Copy(io.Discard, req.Body)
	})
	for name, c := range map[string]struct {
		in   platform.Intake
		text string
		want int
	}{
		"line as ever":       {platform.Intake{}, head + chunk(200) + "0\r\n\r\n", 200},
		"line too long":      {platform.Intake{}, head + chunk(300) + "0\r\n\r\n", 400},
		"line long":          {long, head + chunk(1500) + "0\r\n\r\n", 200},
		"line short":         {short, head + "000000000000000000005\r\nhello\r\n0\r\n\r\n", 400},
		"no extension":       {short, head + chunk(1) + "0\r\n\r\n", 400},
		"many extensions":    {long, head + strings.Repeat(chunk(1000), 50) + "0\r\n\r\n", 200},
		"too many":           {platform.Intake{}, head + strings.Repeat(chunk(200), 90) + "0\r\n\r\n", 400},
		"trailer long":       {long, head + "0\r\nX-A: " + strings.Repeat("a", 15<<10) + "\r\n\r\n", 200},
		"trailer too long":   {short, head + "0\r\nX-A: " + strings.Repeat("a", 300) + "\r\n\r\n", 400},
		"answer long":        {long, "GET / HTTP/1.1\r\nHost: hello.test\r\nConnection: close\r\nX-Want: " + strings.Repeat("a", 500) + "\r\n\r\n", 200},
		"answer too long":    {platform.Intake{}, "GET / HTTP/1.1\r\nHost: hello.test\r\nConnection: close\r\nX-Want: " + strings.Repeat("a", 500) + "\r\n\r\n", 502},
		"answer a bit short": {short, "GET / HTTP/1.1\r\nHost: hello.test\r\nConnection: close\r\nX-Want: aaaaaaaaa\r\n\r\n", 502},
	} {
		t.Run(name, func(t *testing.T) {
			r := serveWith(t, router.Options{}, c.in)
			r.swap(app)
			if got := r.askRaw(c.text); got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
		})
	}
}

// So may a head over HTTP/2, which may also be as long as max-head says: one longer than 64 KiB was taken for a flood,
// whatever that was.
func TestHeadsInPiecesAreASetting(t *testing.T) {
	for _, c := range []struct {
		pieces, size int
		in           platform.Intake
		want         string
	}{
		{5, 1000, platform.Intake{}, "200"},
		{5, 1000, platform.Intake{MaxContinued: 5}, "ENHANCE_YOUR_CALM"},
		{20, 10_000, platform.Intake{MaxHead: 400 << 10}, "200"},
		{40, 200, platform.Intake{MaxContinued: 100}, "200"},
		{40, 200, platform.Intake{}, "ENHANCE_YOUR_CALM"},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			r := serveWith(t, router.Options{})
			r.Configure(c.in)
			r.swap(newInstance(t, says("x")))
			url, _ := r.secured()
			conn := patient{r, strings.TrimPrefix(url, "https://")}.dialTLS("hello.test", "h2")
			if got := inPieces(t, conn, c.pieces, c.size); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// inPieces sends a head of so many CONTINUATIONs, and gives the status, or why the connection ended.
func inPieces(t *testing.T, c net.Conn, pieces, size int) string {
	t.Helper()
	_, _ = io.WriteString(c, http2.ClientPreface)
	f := http2.NewFramer(c, c)
	_ = f.WriteSettings()
	// GET, https, /, :authority hello.test (RFC 7541: indexed fields, then a literal one that is not kept)
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndStream: true, BlockFragment: append([]byte{0x82, 0x87, 0x84, 0x01, 10}, "hello.test"...)})
	for n := range pieces {
		b := []byte{0, 3, 'x', '-', 'a' + byte(n%26), 127} // a literal field; its value's length goes on (RFC 7541, 5.1)
		b = binary.AppendUvarint(b, uint64(size-127))      //nolint:gosec // it is longer
		_ = f.WriteContinuation(1, n == pieces-1, append(b, strings.Repeat("a", size)...))
	}
	for {
		frame, err := f.ReadFrame()
		switch frame := frame.(type) {
		case *http2.GoAwayFrame:
			return frame.ErrCode.String()
		case *http2.HeadersFrame:
			if frame.HeaderBlockFragment()[0] == 0x88 {
				return "200"
			}
			return "another status"
		}
		if err != nil {
			return err.Error()
		}
	}
}
