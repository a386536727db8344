package router

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"paas/platform"
	"paas/router/wire"
)

func TestWildcards(t *testing.T) {
	r := New(Options{})
	for app, hosts := range map[platform.AppName][]string{
		"exact": {"a.example.com"}, "wild": {"*.example.com"}, "deep": {"*.b.example.com"}, "apex": {"example.com"},
	} {
		r.Swap(platform.Route{App: app, Hosts: hosts})
	}
	expect := func(host string, want platform.AppName) {
		t.Helper()
		got := platform.AppName("")
		if rt := r.table.lookup([]byte(host)); rt != nil {
			got = rt.app
		}
		if got != want {
			t.Errorf("%s leads to %q, want %q", host, got, want)
		}
	}
	expect("a.example.com", "exact")
	expect("c.example.com", "wild")
	expect("x.c.example.com", "wild")
	expect("x.b.example.com", "deep")
	expect("b.example.com", "wild")
	expect("example.com", "apex")
	expect("com", "")
	expect("example.org", "")
	r.Swap(platform.Route{App: "taker", Hosts: []string{"a.example.com"}}) // in the wrong order: taken before it is given up
	r.Swap(platform.Route{App: "exact", Hosts: []string{"z.example.com"}})
	expect("a.example.com", "taker")
	expect("z.example.com", "exact")
	r.Remove("deep")
	expect("x.b.example.com", "wild")
	r.Remove("wild")
	expect("c.example.com", "")
}

func TestHostOf(t *testing.T) {
	for authority, want := range map[string]string{
		"Example.COM": "example.com", "example.com.": "example.com", "example.com:8080": "example.com 8080", "[::1]:80": "::1 80",
		"[::1]": "::1", "": "-", "a b": "-", "a\x00b": "-", "::1": "-", "a:b": "-", "é.com": "-", "a:123456": "-",
		string(bytes.Repeat([]byte("a"), 300)): "-",
	} {
		host, port, ok := hostOf([]byte(authority), nil)
		got := string(bytes.TrimSpace(slices.Concat(host, []byte(" "), port)))
		if !ok {
			got = "-"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", authority, got, want)
		}
	}
}

const manyHosts = 100_000

func crowded() *Router {
	r := New(Options{})
	for app := range 100 {
		route := platform.Route{App: platform.AppName(fmt.Sprint("app", app))}
		for n := range manyHosts / 100 {
			route.Hosts = append(route.Hosts, fmt.Sprintf("host%d.app%d.example.com", n, app))
		}
		r.Swap(route)
	}
	return r
}

// Beside 100,000 hostnames one comes, goes or changes its instances in under a millisecond.
func TestAHostnameChangesInUnderAMillisecond(t *testing.T) {
	r := crowded()
	var took []time.Duration
	for n := range 200 {
		begun := time.Now()
		r.Swap(platform.Route{App: "new", Hosts: []string{fmt.Sprintf("new%d.example.com", n)}, Backends: []platform.Backend{
			{ID: platform.InstanceID(fmt.Sprint(n)), Addr: netip.MustParseAddrPort("127.0.0.1:1")},
		}})
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	if median := took[len(took)/2]; median > time.Millisecond {
		t.Errorf("it takes %v", median)
	}
}

func BenchmarkHostnameChange(b *testing.B) {
	r := crowded()
	n := 0
	for b.Loop() {
		n++
		r.Swap(platform.Route{App: "new", Hosts: []string{fmt.Sprintf("new%d.example.com", n)}})
	}
}

func BenchmarkDeploy(b *testing.B) {
	r := crowded()
	n := 0
	for b.Loop() {
		n++
		r.Swap(platform.Route{App: "new", Hosts: []string{"new.example.com"}, Backends: []platform.Backend{
			{ID: platform.InstanceID(fmt.Sprint(n)), Addr: netip.MustParseAddrPort("127.0.0.1:1")},
		}})(context.Background())
	}
}

func BenchmarkLookup(b *testing.B) {
	r := crowded()
	host := []byte("host77.app77.example.com")
	for b.Loop() {
		if r.table.lookup(host) == nil {
			b.Fatal("not there")
		}
	}
}

// FuzzForward rewrites fields of any bytes: what the instance sees has one line for each of ours, none that an
// untrusted client could have written, and no line that was not there.
func FuzzForward(f *testing.F) {
	f.Add("X-Forwarded-For", "6.6.6.6", false)
	f.Add("x_forwarded_for", "6.6.6.6", false)
	f.Add("X-Request-Id", "abc", true)
	f.Add("X-Forwarded-For", "1.1.1.1, 2.2.2.2", true)
	f.Add("Forwarded", `for="[::1]:80"`, true)
	f.Add("Cookie", "a=b", false)
	f.Fuzz(func(t *testing.T, name, value string, trusted bool) {
		if !plainName(name) || !plainValue(value) {
			t.Skip() // the protocols let nothing else in
		}
		fl := &flight{r: New(Options{}), start: time.Unix(1, 0), info: &platform.Route{}, req: &wire.Request{
			Method: []byte("GET"), Target: []byte("/"), Authority: []byte("a.test"), Version: wire.HTTP11,
			Client: netip.MustParseAddrPort("9.9.9.9:1"), Fields: []field{{Name: []byte(name), Value: []byte(value)}},
		}}
		if trusted {
			fl.r.trusted = []netip.Prefix{netip.MustParsePrefix("9.9.9.9/32")}
		}
		fl.knowClient()
		lines := bytes.Split(fl.appendHead(nil), []byte("\r\n"))
		seen := map[string]int{}
		for _, line := range lines[1 : len(lines)-2] {
			field, _, _ := bytes.Cut(line, []byte(": "))
			seen[string(bytes.ToLower(field))]++
		}
		for _, own := range []string{"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-request-id", "x-request-start", "forwarded"} {
			if seen[own] != 1 {
				t.Fatalf("%d times %s in %q", seen[own], own, lines)
			}
		}
		if n := len(lines); n > 13 || bytes.ContainsRune([]byte(name), '_') && n > 12 {
			t.Fatalf("%d lines: %q", n, lines)
		}
	})
}

func plainName(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' || bytes.IndexByte([]byte(`"(),/:;<=>?@[\]{}`), c) >= 0 {
			return false
		}
	}
	return s != ""
}

func plainValue(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
