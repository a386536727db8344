package proxyproto

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func v2(command, family byte, body string) string {
	return string(signature) + string([]byte{command, family, byte(len(body) >> 8), byte(len(body))}) + body
}

const (
	four = "\xc0\x00\x02\x01\xc6\x33\x64\x01\xc8\x22\x01\xbb" // 192.0.2.1:51234 to 198.51.100.1:443
	six  = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\xc8\x22\x01\xbb"
)

// Headers and what they say; "" is no client, "!" a refusal, "…" one that is not complete.
func TestDecode(t *testing.T) {
	for text, want := range map[string]string{
		"PROXY TCP4 192.0.2.1 198.51.100.1 51234 443\r\nGET": "192.0.2.1:51234",
		"PROXY TCP6 2001:db8::1 2001:db8::2 51234 443\r\n":   "[2001:db8::1]:51234",
		"PROXY UNKNOWN\r\n":                             "",
		"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n": "",
		"PROXY TCP4 192.0.2.1 198.51.100.1 51234":       "…",
		"PRO":                "…",
		"\r\n\r\n":           "…",
		"GET / HTTP/1.1\r\n": "!",
		"PROXY TCP4 192.0.2.1 198.51.100.1 51234 443\n":     "!",
		"PROXY TCP4  192.0.2.1 198.51.100.1 51234 443\r\n":  "!",
		"PROXY TCP4 192.0.2.1 198.51.100.1 51234 443 \r\n":  "!",
		"PROXY TCP4 192.0.2.01 198.51.100.1 51234 443\r\n":  "!",
		"PROXY TCP4 192.0.2.1 198.51.100.1 051234 443\r\n":  "!",
		"PROXY TCP4 192.0.2.1 198.51.100.1 65536 443\r\n":   "!",
		"PROXY TCP4 192.0.2.1 198.51.100.1 +1 443\r\n":      "!",
		"PROXY TCP4 192.0.2.1 198.51.100.1  443\r\n":        "!",
		"PROXY TCP4 2001:db8::1 2001:db8::2 51234 443\r\n":  "!",
		"PROXY TCP6 192.0.2.1 198.51.100.1 51234 443\r\n":   "!",
		"PROXY TCP6 fe80::1%eth0 2001:db8::2 51234 443\r\n": "!",
		"PROXY UDP4 192.0.2.1 198.51.100.1 51234 443\r\n":   "!",
		"PROXY TCP4\r\n":                                               "!",
		"PROXY " + strings.Repeat("x", 200):                            "!",
		"proxy TCP4 192.0.2.1 198.51.100.1 51234 443\r\n":              "!",
		v2(proxy, overTCP4, four) + "GET":                              "192.0.2.1:51234",
		v2(proxy, overTCP4, four+"\x04\x00\x03abc"):                    "192.0.2.1:51234",
		v2(proxy, overTCP6, six):                                       "[2001:db8::1]:51234",
		v2(proxy, unspecified, ""):                                     "",
		v2(proxy, unspecified, "anything"):                             "",
		v2(proxy, overUnix, strings.Repeat("\x00", unixSize)):          "",
		v2(local, overTCP4, four):                                      "",
		v2(local, 0x77, "skipped"):                                     "",
		v2(proxy, overTCP4, four)[:20]:                                 "…",
		v2(proxy, overTCP4, four[:8]):                                  "!",
		v2(proxy, overTCP6, four):                                      "!",
		v2(proxy, overUDP4, four):                                      "!",
		v2(proxy, 0x13, four):                                          "!",
		v2(0x22, overTCP4, four):                                       "!",
		v2(0x11, overTCP4, four):                                       "!",
		v2(proxy, overTCP4, four+strings.Repeat("x", maxV2)):           "!",
		v2(proxy, overTCP4, four+strings.Repeat("x", maxV2-len(four))): "192.0.2.1:51234",
		v2(proxy, overUnix, strings.Repeat("\x00", unixSize-1)):        "!",
	} {
		h, n, err := decode([]byte(text))
		got := h.Client.String()
		switch {
		case errors.Is(err, errMore):
			got = "…"
		case err != nil:
			got = "!"
		case !h.Client.IsValid():
			got = ""
		}
		if got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
		if err == nil && strings.HasSuffix(text, "GET") && n != len(text)-3 {
			t.Errorf("%q: %d bytes are the header's", text, n)
		}
	}
}

// What is written is read again, and no input makes decode take more than there is.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.1 198.51.100.1 51234 443\r\nGET"))
	f.Add([]byte(v2(proxy, overTCP4, four)))
	f.Add([]byte(v2(proxy, overTCP6, six+"\x04\x00\x03abc")))
	f.Add([]byte(v2(local, unspecified, "")))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := decode(b)
		if err != nil {
			if n != 0 || h != (Header{}) {
				t.Fatalf("%v with %v after %d bytes", err, h, n)
			}
			return
		}
		if n > len(b) || n < 15 || n > v2Prefix+maxV2 {
			t.Fatalf("%d of %d bytes", n, len(b))
		}
		for _, text := range [][]byte{h.AppendV1(nil), h.AppendV2(nil, false)} {
			again, m, err := decode(text)
			if err != nil || m != len(text) || again.Client.IsValid() != h.Client.IsValid() ||
				h.Client.IsValid() && again.Client != h.Client {
				t.Fatalf("%v became %v, %v", h, again, err)
			}
		}
		for end := range n { // no part of a header is one, or is refused before it is complete
			if _, _, err := decode(b[:end]); !errors.Is(err, errMore) {
				t.Fatalf("%d of %d bytes: %v", end, n, err)
			}
		}
	})
}

// echoWho answers each connection with its addresses and what it sends.
func echoWho(t *testing.T, o Options) string {
	t.Helper()
	below, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := Listen(below, o)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				text, _ := io.ReadAll(c)
				_, _ = fmt.Fprintf(c, "%s %s", c.RemoteAddr(), text)
			}()
		}
	}()
	return below.Addr().String()
}

func talk(t *testing.T, addr string, pieces ...string) (answer, own string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	for _, p := range pieces {
		_, _ = io.WriteString(c, p)
		time.Sleep(5 * time.Millisecond)
	}
	_ = c.(*net.TCPConn).CloseWrite()
	text, _ := io.ReadAll(c)
	return string(text), c.LocalAddr().String()
}

func TestListener(t *testing.T) {
	addr := echoWho(t, Options{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Timeout: 200 * time.Millisecond, Pending: 3})
	for _, header := range []string{"PROXY TCP4 192.0.2.1 198.51.100.1 51234 443\r\n", v2(proxy, overTCP4, four+"\x04\x00\x03abc")} {
		for _, pieces := range [][]string{{header + "hello"}, {header, "hello"}, {header[:3], header[3:14], header[14:] + "hel", "lo"}} {
			if got, _ := talk(t, addr, pieces...); got != "192.0.2.1:51234 hello" {
				t.Errorf("%q: %q", pieces, got)
			}
		}
	}
	if got, own := talk(t, addr, v2(local, unspecified, ""), "hello"); got != own+" hello" {
		t.Errorf("LOCAL: %q", got)
	}
	for range 5 { // more than may be pending: those that say nothing hold nobody up for longer than the timeout
		silent, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = silent.Close() }()
	}
	if got, _ := talk(t, addr, "GET / HTTP/1.1\r\n\r\n"); got != "" {
		t.Errorf("without a header: %q", got)
	}
}

// Who is not trusted is a client, and its header is its own affair.
func TestUntrusted(t *testing.T) {
	addr := echoWho(t, Options{Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
	header := "PROXY TCP4 192.0.2.1 198.51.100.1 51234 443\r\n"
	if got, own := talk(t, addr, header); got != own+" "+header {
		t.Errorf("%q", got)
	}
}

func TestParseNetworks(t *testing.T) {
	list, err := ParseNetworks("10.1.0.0/8, 192.0.2.1,2001:db8::/32")
	if fmt.Sprint(list) != "[10.0.0.0/8 192.0.2.1/32 2001:db8::/32]" || err != nil {
		t.Error(list, err)
	}
	for _, bad := range []string{"x", "10.0.0.0/33", "10.0.0.1;10.0.0.2"} {
		if _, err := ParseNetworks(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if !Trusts(list, netip.MustParseAddr("::ffff:10.9.9.9")) || Trusts(list, netip.MustParseAddr("11.0.0.1")) {
		t.Error("who is trusted is wrong")
	}
}

// One header of both families is written as IPv6.
func TestAppendMixed(t *testing.T) {
	h := Header{netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("[2001:db8::2]:2")}
	if got := string(h.AppendV1(nil)); got != "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 2\r\n" {
		t.Errorf("%q", got)
	}
	if got := h.AppendV2(nil, true); got[13] != overUDP6 || len(got) != v2Prefix+36 || !bytes.HasPrefix(got, signature) {
		t.Errorf("%x", got)
	}
}
