package platform

import (
	"strings"
	"testing"
	"time"
)

func TestTokenSecretsAreRecognised(t *testing.T) {
	seen := map[string]bool{}
	for range 200 {
		s := newTokenSecret()
		if !isTokenSecret(s) || seen[s] || len(s) != 43 || !strings.HasPrefix(s, "paas_") {
			t.Fatalf("%q", s)
		}
		seen[s] = true
		for _, wrong := range []string{s[:42], s + "0", "qaas_" + s[5:], s[:20] + flip(s[20]) + s[21:]} {
			if isTokenSecret(wrong) {
				t.Errorf("%q passes for a token", wrong)
			}
		}
	}
	// CRC-32 in base 62, reckoned by another program: scanners rely on it.
	if got := tokenChecksum("paas_" + strings.Repeat("0", 32)); got != "0LIjq1" {
		t.Errorf("checksum %q", got)
	}
}

func flip(c byte) string {
	if c == 'a' {
		return "b"
	}
	return "a"
}

func TestTokensExpire(t *testing.T) {
	now := time.Now()
	if (Token{}).expired(now) || !(Token{ExpiresAt: now}).expired(now) || (Token{ExpiresAt: now.Add(1)}).expired(now) {
		t.Error("a token ends when it expires, not before; one without an end never")
	}
	for text, want := range map[string]time.Duration{"12h": 12 * time.Hour, "90d": 90 * 24 * time.Hour, "0d": 0, "-1d": 0, "3w": 0, "99999d": 0, "d": 0, "9223372036854775807h": 0} {
		if got, err := parseTerm(text); got != want || (err == nil) != (want > 0) {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
}

func TestRepositories(t *testing.T) {
	for name, app := range map[string]AppName{"blog": "blog", "blog/worker": "blog", "library/nginx": "", "library": "", "a/b/c.d": "a"} {
		repo, err := ParseRepository(name)
		if err != nil || repo.App() != app {
			t.Errorf("%s: %q, %v", name, repo.App(), err)
		}
	}
	for _, name := range []string{"", "/", "a//b", "../x", "a/../b", "A", "a+b", "-a", "a-", strings.Repeat("a", 201), "a\n"} {
		if _, err := ParseRepository(name); err == nil {
			t.Errorf("%q is taken", name)
		}
	}
	for tag, want := range map[string]int{"v1": 1, "v12": 12, "v0": 0, "v01": 0, "v-1": 0, "1": 0, "v": 0, "v1x": 0, "v99999999999999999999": 0} {
		if got := ReleaseTag(tag); got != want {
			t.Errorf("%s: %d", tag, got)
		}
	}
}

func TestRegistryHosts(t *testing.T) {
	for host, want := range map[string]string{
		"registry.example.org": "registry.example.org", "https://registry.EXAMPLE.org/": "registry.example.org", "docker.io": dockerHub, "127.0.0.1:5000": "127.0.0.1:5000",
		"[::1]:5000": "[::1]:5000", "a b": "", "": "", "registry.example.org/alice": "", "-x.io": "", "user@host": "",
	} {
		if got, err := parseRegistry(host); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", host, got, err)
		}
	}
}

func TestCutTag(t *testing.T) {
	for reference, want := range map[string][2]string{
		"blog": {"blog", "latest"}, "blog:edge": {"blog", "edge"}, "host:5000/blog": {"host:5000/blog", "latest"},
		"blog/worker:1": {"blog/worker", "1"},
	} {
		if name, tag := cutTag(reference); name != want[0] || tag != want[1] {
			t.Errorf("%s: %s, %s", reference, name, tag)
		}
	}
}

func FuzzTokenSecret(f *testing.F) {
	f.Add("paas_" + strings.Repeat("0", 32) + "0LIjq1")
	f.Add("paas_é")
	f.Fuzz(func(t *testing.T, s string) {
		if isTokenSecret(s) && (len(s) != 43 || tokenChecksum(s[:37]) != s[37:]) {
			t.Errorf("%q passes", s)
		}
		_, _ = parseTerm(s)
		_, _ = parseScopes([]string{s})
	})
}

func TestScopes(t *testing.T) {
	g := &Grant{Scopes: []Scope{ScopeAppsOperate, ScopeConfigReveal}}
	for scope, want := range map[Scope]bool{
		ScopeAppsRead: true, ScopeAppsDeploy: true, ScopeAppsOperate: true, ScopeAppsManage: false, ScopeConfigRead: true,
		ScopeConfigReveal: true, ScopeConfigWrite: false, ScopeLogsRead: false, ScopeServerRead: false,
	} {
		if g.Holds(scope) != want {
			t.Errorf("%s: %v", scope, !want)
		}
	}
	if !(*Grant)(nil).Holds(ScopeServerManage) || !(*Grant)(nil).covers("blog") {
		t.Error("who came with a key is bound by no scope")
	}
	if s, err := parseScopes([]string{"apps:read,logs:read", "apps:read"}); err != nil || len(s) != 2 {
		t.Error(s, err)
	}
	if _, err := parseScopes([]string{"apps:raed"}); err == nil || !strings.Contains(err.(*Error).Hint, "apps:read") {
		t.Error(err)
	}
}
