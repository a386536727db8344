package static

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestRedirects(t *testing.T) {
	dir := site(t, map[string]string{
		"index.html": "home", "404.html": "lost", "about.html": "about", "page.html": "page", "away.html": "it is gone", "docs/index.html": "docs",
		"_redirects": `# comment
/old            /new
/found          /new 302
/see            /new 303   # why
/keep           /new 308!
/about.html     /shadowed 302
/page.html      /forced 302!
/blog/:year/:slug   /posts/:slug-:year  301
/wiki/*         https://wiki.example.org/w/:splat 302
/named/:a/:ab   /x/:ab/:a 307
/store id=:id kind=book  /books/:id  301
/api/*          /about.html 200
/gone           /away.html 410
/loop           /loop 301
/out/*          /:splat 302
http://other.example/*  http://main.example/:splat 301!
/bad
/geo            /x 302 Country=de
/proxy/*        https://x.example/:splat 200
/odd*           /x
/status         /x 999
/app/*          /index.html 200
`,
	})
	base := serveSite(t, Options{Root: dir, ErrorPage: "404.html", CleanURLs: true})
	for _, c := range []struct {
		path   string
		status int
		want   string // the Location, or a part of the body
	}{
		{"/old", 301, "/new"}, {"/old/", 301, "/new"}, {"/old?a=b&c", 301, "/new?a=b&c"}, {"/found", 302, "/new"}, {"/see", 303, "/new"},
		{"/keep", 308, "/new"}, {"/about.html", 200, "about"}, {"/page.html", 302, "/forced"}, {"/blog/2024/hello", 301, "/posts/hello-2024"},
		{"/blog/2024", 404, "lost"}, {"/wiki/a/b%20c?x=1", 302, "https://wiki.example.org/w/a/b%20c?x=1"}, {"/wiki/", 302, "https://wiki.example.org/w/"},
		{"/named/1/2", 307, "/x/2/1"}, {"/store?id=7&kind=book", 301, "/books/7"}, {"/store?id=7", 404, "lost"},
		{"/api/x/y", 200, "about"}, {"/gone", 410, "it is gone"}, {"/loop", 404, "lost"}, {"/geo", 404, "lost"}, {"/proxy/x", 404, "lost"},
		{"/app/some/route", 200, "home"}, {"/app", 200, "home"}, {"/_redirects", 404, "lost"}, {"/about", 200, "about"}, {"/docs/", 200, "docs"},
		{"/out//evil.example", 302, "/evil.example"}, {"/out/%5Cevil.example", 302, "/%5Cevil.example"}, {"/app/../../../etc/passwd", 200, ""},
		{"/blog/a%0d%0aX:1/b", 301, "/posts/b-a%0D%0AX:1"},
	} {
		got := ask(t, "GET", base+c.path)
		if c.status >= 300 && c.status < 400 {
			if got.status != c.status || got.header.Get("Location") != c.want {
				t.Errorf("%s: %d to %q, want %d to %q", c.path, got.status, got.header.Get("Location"), c.status, c.want)
			}
			continue
		}
		check(t, c.path, got, c.status, c.want)
	}
}

func TestRedirectsByHost(t *testing.T) {
	rules, problems := parseRedirects("http://Blog.example/* https://main.example/blog/:splat 301!\n/* /index.html 200\n")
	if len(problems) > 0 || len(rules) != 2 {
		t.Fatal(rules, problems)
	}
	u := &url.URL{Path: "/a/b"}
	if to, ok := rules[0].target("blog.example", u); !ok || to != "https://main.example/blog/a/b" {
		t.Errorf("%q, %v", to, ok)
	}
	if _, ok := rules[0].target("main.example", u); ok {
		t.Error("another host's rule")
	}
}

func TestRedirectProblems(t *testing.T) {
	_, problems := parseRedirects("/a\n/b /c 302 Country=de\nnonsense /x\n/p/* https://x.example/ 200\n/q*z /x\n/ok /x\n" + strings.Repeat("/r /s\n", maxRuleCount))
	for i, want := range []string{"line 1 is left out: there is no target", "the condition", "does not start with a slash", "another site", "a * before its end", "only 5000 rules"} {
		if i >= len(problems) || !strings.Contains(problems[i], want) {
			t.Errorf("want %q in %q", want, problems)
		}
	}
}

func TestHeaders(t *testing.T) {
	dir := site(t, map[string]string{
		"index.html": "home", "a/index.html": "a", "a/x.js": "x", "assets/app-1a2b3c4d.js": "y",
		"_headers": `# all
/*
  X-Frame-Options: DENY
  X-Many: one
/a/*
	X-Many: two
	Link: <https://example.org/style.css>; rel=preload
	Set-Cookie: a=1
	Set-Cookie: b=2
  ! X-Frame-Options
/*.js
  Cache-Control: max-age=5
  Content-Length: 1
  Not a header
/users/:id
  X-User: :id
https://other.example/*
  X-Other: yes
`,
	})
	base := serveSite(t, Options{Root: dir})
	home, a, js := ask(t, "GET", base+"/"), ask(t, "GET", base+"/a/"), ask(t, "GET", base+"/a/x.js")
	for _, c := range []struct {
		header     http.Header
		name, want string
	}{
		{home.header, "X-Frame-Options", "DENY"}, {home.header, "X-Many", "one"}, {home.header, "X-Other", ""}, {home.header, "Cache-Control", "no-cache"},
		{a.header, "X-Many", "one, two"}, {a.header, "X-Frame-Options", ""}, {a.header, "Link", "<https://example.org/style.css>; rel=preload"},
		{js.header, "Cache-Control", "max-age=5"}, {js.header, "Content-Length", "1"},
		{ask(t, "GET", base+"/users/7").header, "X-User", "7"}, {ask(t, "GET", base+"/_headers").header, "X-Many", "one"},
	} {
		if got := c.header.Get(c.name); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if got := a.header.Values("Set-Cookie"); len(got) != 2 {
		t.Errorf("Set-Cookie %q", got)
	}
	if got := ask(t, "GET", base+"/_headers"); got.status != 404 {
		t.Errorf("_headers is served: %d", got.status)
	}
	h, err := Open(Options{Root: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.Close() }()
	if len(h.Problems) != 2 {
		t.Errorf("problems %q", h.Problems)
	}
}

// A file of rules that leads out of the site is none, and does not keep the site from being served.
func TestRulesOutsideTheSite(t *testing.T) {
	outside := site(t, map[string]string{"rules": "/* /secret 302!"})
	dir := site(t, map[string]string{"index.html": "home", "_redirects": "-> " + outside + "/rules"})
	check(t, "/", ask(t, "GET", serveSite(t, Options{Root: dir})+"/"), 200, "home")
}

func FuzzRules(f *testing.F) {
	f.Add("/a/:b/* q=:q /x/:splat?y#z 302!\n", "/a/b/c?q=1")
	f.Fuzz(func(t *testing.T, text, request string) {
		rules, _ := parseRedirects(text)
		headers, _ := parseHeaders(text)
		u, err := url.ParseRequestURI(request)
		if err != nil {
			return
		}
		for _, r := range rules {
			to, ok := r.target("h", u)
			if ok && r.moves() && !strings.Contains(r.to, "://") && (strings.HasPrefix(to, "//") || !strings.HasPrefix(to, "/")) {
				t.Errorf("%q of %q leads to %q", text, request, to)
			}
		}
		for _, h := range headers {
			h.match("h", u.Path)
		}
	})
}
