package edge

import (
	"encoding/base64"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"paas/platform"
	"paas/router/wire"
)

func request(authority, target string, fields ...string) *wire.Request {
	req := &wire.Request{Version: wire.HTTP11, Method: []byte("GET"), Authority: []byte(authority), Target: []byte(target)}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		req.Fields = append(req.Fields, field(name, value))
	}
	return req
}

var (
	alice = netip.MustParseAddr("198.51.100.7")
	bob   = netip.MustParseAddr("203.0.113.9")
)

func prefixes(words ...string) (list []netip.Prefix) {
	for _, w := range words {
		list = append(list, netip.MustParsePrefix(w))
	}
	return list
}

func status(a *Answer) int {
	if a == nil {
		return 0
	}
	return a.Status
}

func get(a *Answer, name string) string { return string(value(a.Fields, strings.ToLower(name))) }

func TestAccess(t *testing.T) {
	for _, tc := range []struct {
		allow, deny, client string
		want                int
	}{
		{"198.51.100.0/24", "", "198.51.100.7", 0},
		{"198.51.100.0/24", "", "::ffff:198.51.100.7", 0},
		{"198.51.100.0/24", "", "203.0.113.9", 403},
		{"", "203.0.113.9/32", "203.0.113.9", 403},
		{"", "203.0.113.9/32", "203.0.113.8", 0},
		{"198.51.100.0/24", "198.51.100.7/32", "198.51.100.7", 403},
		{"2001:db8::/32", "", "2001:db8::1", 0},
		{"2001:db8::/32", "", "198.51.100.7", 403},
	} {
		e := platform.Edge{}
		if tc.allow != "" {
			e.Allow = prefixes(tc.allow)
		}
		if tc.deny != "" {
			e.Deny = prefixes(tc.deny)
		}
		v := Compile(e, nil).Before(request("a.test", "/"), netip.MustParseAddr(tc.client))
		if status(v.Answer) != tc.want {
			t.Errorf("%+v: %d", tc, status(v.Answer))
		}
	}
}

func TestRateLimit(t *testing.T) {
	now := int64(0)
	l := newLimiter(platform.Allowance{Every: time.Second, Burst: 3}, nil, func() int64 { return now })
	for n := range 3 {
		if wait := l.take(alice); wait != 0 {
			t.Fatalf("request %d waits %s", n, wait)
		}
	}
	if wait := l.take(alice); wait != time.Second {
		t.Fatalf("the fourth waits %s", wait)
	}
	if l.take(bob) != 0 {
		t.Fatal("somebody else waits")
	}
	now += int64(1500 * time.Millisecond)
	if l.take(alice) != 0 || l.take(alice) != 500*time.Millisecond {
		t.Fatal("after a second there is not exactly one more")
	}
	if one, other := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::ffff:2"); subscriber(one) != subscriber(other) {
		t.Fatal("addresses of one /64 are counted apart")
	}
}

// However many clients come, the table keeps its size, and who asks too much is not forgotten by that at once.
func TestRateLimitIsBounded(t *testing.T) {
	l := newLimiter(platform.Allowance{Every: time.Hour, Burst: 1}, nil, monotonic())
	addr := netip.MustParseAddr("10.0.0.0")
	for range 3 * shards * shardSize {
		l.take(addr)
		addr = addr.Next()
	}
	for i := range l.all {
		if n := len(l.all[i].full); n > shardSize {
			t.Fatalf("shard %d has %d clients", i, n)
		}
	}
}

func TestLimitIsKeptOverAChange(t *testing.T) {
	e := platform.Edge{Rate: platform.Allowance{Every: time.Hour, Burst: 1}}
	first := Compile(e, nil)
	first.Before(request("a.test", "/"), alice)
	e.Maintenance = true
	second := Compile(e, first)
	if v := second.Before(request("a.test", "/"), alice); status(v.Answer) != 429 || get(v.Answer, "Retry-After") != "3600" {
		t.Fatalf("%+v", v.Answer)
	}
}

func TestRedirects(t *testing.T) {
	to := func(scheme, host, path string) platform.Location {
		return platform.Location{Scheme: scheme, Host: host, Path: path}
	}
	r := Compile(platform.Edge{Redirects: []platform.Redirection{
		{Host: "www.example.com", To: to("", "example.com", ""), Code: 301},
		{Host: "shop.example.com", Path: "/a/", Rest: true, To: to("https", "x.test", "/b/"), Code: 308},
		{Path: "/old", To: to("", "", "/new"), Code: 302},
		{Path: "/old/deep/", Rest: true, To: to("", "", "/deeper/"), Code: 302},
		{Path: "/old/", Rest: true, To: to("", "", "/"), Code: 302},
		{Path: "/asks", To: to("", "", "/new?from=asks"), Code: 302},
	}}, nil)
	for _, tc := range []struct{ authority, target, want string }{
		{"www.example.com", "/x/y?q=1", "301 http://example.com/x/y?q=1"},
		{"WWW.Example.com.:8080", "/", "301 http://example.com:8080/"},
		{"shop.example.com", "/a/c?d", "308 https://x.test/b/c?d"},
		{"shop.example.com", "/a", "308 https://x.test/b/"},
		{"shop.example.com", "/b", ""},
		{"example.com", "/old", "302 /new"},
		{"example.com", "/old?q=a%20b", "302 /new?q=a%20b"},
		{"example.com", "/older", ""},
		{"example.com", "/asks?x=1", "302 /new?from=asks"},
		{"example.com", "/old/deep/x", "302 /deeper/x"},
		{"example.com", "/old/x", "302 /x"},
		{"example.com", "/old//evil.test", "302 /evil.test"},
		{"example.com", `/old/\evil.test`, "302 /%5Cevil.test"},
		{"example.com", "/old/\x01\r\nSet-Cookie:\xff", "302 /%01%0D%0ASet-Cookie:%FF"},
		{"www.example.com", "*", ""},
	} {
		v := r.Before(request(tc.authority, tc.target), alice)
		got := ""
		if v.Answer != nil {
			got = strings.Join([]string{map[int]string{301: "301", 302: "302", 308: "308"}[v.Answer.Status], get(v.Answer, "Location")}, " ")
		}
		if got != tc.want {
			t.Errorf("%s%s: %q, want %q", tc.authority, tc.target, got, tc.want)
		}
	}
}

// An open redirect would send people to a host of a stranger's choice.
func FuzzRedirectKeepsTheHost(f *testing.F) {
	f.Add("/old//evil.test/", "www.example.com")
	f.Add(`/old/\evil.test`, "x")
	r := Compile(platform.Edge{Redirects: []platform.Redirection{
		{Host: "www.example.com", To: platform.Location{Host: "example.com"}, Code: 301},
		{Path: "/old/", Rest: true, To: platform.Location{Path: "/"}, Code: 301},
	}}, nil)
	f.Fuzz(func(t *testing.T, target, authority string) {
		v := r.Before(request(authority, target), alice)
		if v.Answer == nil {
			return
		}
		to := get(v.Answer, "Location")
		if strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n \x00") || !strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "http://example.com") {
			t.Fatalf("%q of %q leads to %q", target, authority, to)
		}
	})
}

func basic(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func TestPasswords(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("secret:word"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	e := platform.Edge{Users: []platform.Password{{Name: "alice", Hash: string(hash)}}}
	r := Compile(e, nil)
	for header, want := range map[string]int{
		"":                            401,
		basic("alice", "secret:word"): 0,
		basic("alice", "wrong"):       401,
		basic("bob", "secret:word"):   401,
		"Authorization: Basic !!!":    401,
		"Authorization: Bearer x":     401,
		"Authorization: Basic " + strings.Repeat("A", 4096):                   401,
		strings.ToUpper("authorization") + basic("alice", "secret:word")[13:]: 0,
	} {
		for range 2 { // the second time it is remembered
			v := r.Before(request("a.test", "/", header), alice)
			if status(v.Answer) != want {
				t.Errorf("%q: %d, want %d", header, status(v.Answer), want)
			}
			if want == 401 && !strings.HasPrefix(get(v.Answer, "WWW-Authenticate"), "Basic ") {
				t.Errorf("no challenge: %+v", v.Answer)
			}
		}
	}
	if len(r.lock.right) != 1 || Compile(e, r).lock != r.lock {
		t.Error("who is known is forgotten")
	}
	if e.Users[0].Name = "carol"; Compile(e, r).lock == r.lock {
		t.Error("a user who was taken away is still known")
	}
}

// Guesses must not take the host's processors, nor its memory.
func TestGuessesAreBounded(t *testing.T) {
	hash, _ := bcrypt.GenerateFromPassword([]byte("x"), bcrypt.MinCost)
	l := newLock([]platform.Password{{Name: "a", Hash: string(hash)}}, nil)
	for n := range 3 * knownSize {
		l.remember([32]byte{byte(n), byte(n >> 8)}, false)
	}
	if len(l.wrong) > knownSize {
		t.Fatalf("%d guesses are remembered", len(l.wrong))
	}
	for range checksAtOnce {
		l.places <- struct{}{}
	}
	l.waiting.Store(checksWaiting)
	if _, busy := l.opens([]byte(basic("a", "b")[len("Authorization: "):])); !busy {
		t.Fatal("one more waits")
	}
}

func TestPaths(t *testing.T) {
	r := Compile(platform.Edge{Paths: []platform.PathRule{
		{Prefix: "/api", App: "api", Strip: true},
		{Prefix: "/api/v2", App: "new"},
		{Prefix: "/admin", Process: "admin"},
	}}, nil)
	for target, want := range map[string]string{
		"/":             "// /",
		"/apis":         "//",
		"/api":          "api// /",
		"/api/":         "api// /",
		"/api?x=1":      "api// /?x=1",
		"/api/v1/x?y=z": "api// /v1/x?y=z",
		"/api/v2":       "new//",
		"/api/v2/x":     "new//",
		"/api/v20":      "api// /v20",
		"/admin/x":      "/admin/",
		"/Admin/x":      "//",
		"*":             "//",
	} {
		v := r.Before(request("a.test", target), alice)
		got := string(v.App) + "/" + string(v.Pool) + "/"
		if v.Target != nil {
			got += " " + string(v.Target)
			if string(v.Prefix) != "/api" {
				t.Errorf("%s: prefix %q", target, v.Prefix)
			}
		}
		if got != strings.TrimSuffix(want, " /") && got != want {
			t.Errorf("%s goes to %q, want %q", target, got, want)
		}
	}
}

func TestGuardOfTheOtherApp(t *testing.T) {
	hash, _ := bcrypt.GenerateFromPassword([]byte("x"), bcrypt.MinCost)
	r := Compile(platform.Edge{
		Users:     []platform.Password{{Name: "a", Hash: string(hash)}},
		Redirects: []platform.Redirection{{Path: "/x", To: platform.Location{Path: "/y"}, Code: 301}},
	}, nil)
	if a := r.Guard(request("blog.test", "/x"), alice); status(a) != 401 {
		t.Errorf("another app's path is a way around a password: %v", a)
	}
	if a := r.Guard(request("blog.test", "/x", basic("a", "x")), alice); a != nil {
		t.Errorf("redirects of an app hold for another's domain: %+v", a)
	}
}

func TestCanaryIsSticky(t *testing.T) {
	random := 0.05
	r := Compile(platform.Edge{Canary: platform.CanaryShare{Release: 13, Percent: 10}}, nil)
	r.canary.random = func() float64 { return random }
	v := r.Before(request("a.test", "/"), alice)
	if v.Pool != platform.CanaryPool || !strings.HasPrefix(string(v.Cookie), "paas-canary=13.0500; Path=/; ") {
		t.Fatalf("%q %s", v.Pool, v.Cookie)
	}
	random = 0.10
	if v := r.Before(request("a.test", "/"), alice); v.Pool != platform.MainPool || v.Cookie == nil {
		t.Fatalf("the tenth of ten: %q %s", v.Pool, v.Cookie)
	}
	for cookie, want := range map[string]platform.Pool{
		"a=b; paas-canary=13.0500": platform.CanaryPool, "paas-canary=13.9999; c=d": platform.MainPool,
		"paas-canary=on": platform.CanaryPool, "paas-canary=off": platform.MainPool,
	} {
		if v := r.Before(request("a.test", "/", "Cookie: "+cookie), alice); v.Pool != want || v.Cookie != nil {
			t.Errorf("%s: %q, cookie %s", cookie, v.Pool, v.Cookie)
		}
	}
	for _, cookie := range []string{"paas-canary=12.0500", "paas-canary=13.-1", "paas-canary=13.10000", "paas-canary=x", "paas-canary"} {
		if v := r.Before(request("a.test", "/", "Cookie: "+cookie), alice); v.Cookie == nil {
			t.Errorf("%s is believed", cookie)
		}
	}
}

func TestCanaryShare(t *testing.T) {
	r := Compile(platform.Edge{Canary: platform.CanaryShare{Release: 2, Percent: 10}}, nil)
	n := 0
	for range 10_000 {
		if v := r.Before(request("a.test", "/"), alice); v.Pool == platform.CanaryPool {
			n++
		}
	}
	if n < 800 || n > 1200 { // six standard deviations
		t.Errorf("%d of 10000", n)
	}
}

func TestPages(t *testing.T) {
	html := "Accept: text/html,*/*"
	own := Compile(platform.Edge{Maintenance: true, Pages: map[string][]byte{"maintenance": []byte("<p>own"), "502": []byte("<p>502")}}, nil)
	if v := own.Before(request("a.test", "/"), alice); status(v.Answer) != 503 || string(v.Answer.Body) != "<p>own" || get(v.Answer, "Retry-After") == "" {
		t.Errorf("%+v", v.Answer)
	}
	if a := own.Page(request("a.test", "/"), 502, "Bad", "bad"); string(a.Body) != "<p>502" || get(a, "Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("%+v", a)
	}
	var none *Rules
	if a := none.Page(request("a.test", "/", html), 502, "B<d", "bad"); !strings.Contains(string(a.Body), "<h1>B&lt;d</h1>") {
		t.Errorf("%s", a.Body)
	}
	if a := none.Page(request("a.test", "/"), 502, "Bad", "bad"); string(a.Body) != "bad\n" {
		t.Errorf("%s", a.Body)
	}
}

// What is not set costs next to nothing, and what is set does not allocate for who passes.
func TestPassingAllocatesNothing(t *testing.T) {
	hash, _ := bcrypt.GenerateFromPassword([]byte("x"), bcrypt.MinCost)
	full := Compile(platform.Edge{
		Allow: prefixes("198.51.100.0/24"), Rate: platform.Allowance{Every: time.Nanosecond, Burst: 1000},
		Redirects: []platform.Redirection{{Path: "/old", To: platform.Location{Path: "/new"}, Code: 301}},
		Users:     []platform.Password{{Name: "a", Hash: string(hash)}},
		Paths:     []platform.PathRule{{Prefix: "/api", App: "api", Strip: true}},
		Canary:    platform.CanaryShare{Release: 13, Percent: 10},
	}, nil)
	req := request("a.test", "/api/x?y", basic("a", "x"), "Cookie: paas-canary=13.0001")
	for name, r := range map[string]*Rules{"nil": nil, "empty": Compile(platform.Edge{}, nil), "full": full} {
		if v := r.Before(req, alice); v.Answer != nil {
			t.Fatalf("%s: %+v", name, v.Answer)
		}
		if n := testing.AllocsPerRun(100, func() { r.Before(req, alice) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkBeforeNothing(b *testing.B) {
	r, req := Compile(platform.Edge{}, nil), request("a.test", "/")
	for b.Loop() {
		r.Before(req, alice)
	}
}

func BenchmarkBeforeRate(b *testing.B) {
	r, req := Compile(platform.Edge{Rate: platform.Allowance{Every: 1, Burst: 1}}, nil), request("a.test", "/")
	for b.Loop() {
		r.Before(req, alice)
	}
}
