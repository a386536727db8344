package gitreceive

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"paas/platform"
)

func TestPublicOnly(t *testing.T) {
	t.Parallel()
	for address, private := range map[string]bool{
		"127.0.0.1:80": true, "10.1.2.3:443": true, "192.168.0.1:22": true, "169.254.169.254:80": true, "100.64.1.1:80": true,
		"[::1]:80": true, "[fd00::1]:80": true, "[fe80::1]:80": true, "[::ffff:127.0.0.1]:80": true, "0.0.0.0:80": true, "224.0.0.1:80": true,
		"93.184.216.34:443": false, "[2606:2800:220:1::1]:443": false,
	} {
		if err := publicOnly("tcp", address, nil); (platform.KindOf(err) == platform.Denied) != private {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestParseAddress(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"git@example.org:acme/blog.git": "ssh://git@example.org/~/acme/blog.git", "example.org:/srv/x": "ssh://example.org/srv/x",
		"https://example.org/x.git": "https://example.org/x.git", "ssh://a@b:22/c": "ssh://a@b:22/c",
	} {
		if u, err := parseAddress(address); err != nil || u.String() != want {
			t.Errorf("%s: %v, %v", address, u, err)
		}
	}
}

// A server that says nonsense, or nothing, is told about and leaves nothing behind.
func TestFetchFromNonsense(t *testing.T) {
	t.Parallel()
	for name, says := range map[string]string{
		"nothing": "", "text": "SSH-2.0-x\r\n", "error": "0020ERR access denied or so\n", "long": strings.Repeat("f", 1<<16),
		"odd ref":  "003f0123456789012345678901234567890123456789 refs/heads/../x\x00\n0000",
		"endless":  "ffff" + strings.Repeat("x", 1<<16),
		"no pack":  "003d0123456789012345678901234567890123456789 refs/heads/main\n0000000eNO ANSWER\n",
		"bad pack": "003d0123456789012345678901234567890123456789 refs/heads/main\n00000008NAK\nPACKxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := liar(t, says)
			repos, err := OpenRepos(filepath.Join(t.TempDir(), "repos"))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			o := platform.Origin{URL: "git://" + address + "/x", Private: true, Room: 1 << 20}
			deploy := func(platform.Fetched, platform.Tree) error { t.Error("it was deployed"); return nil }
			_, err = repos.Fetch(ctx, platform.App{ID: 1, Name: "x"}, o, func(platform.Fetched) string { return "main" }, deploy)
			if k := platform.KindOf(err); k != platform.Failed && k != platform.NotFound {
				t.Errorf("%v", err)
			}
			if left, _ := filepath.Glob(filepath.Join(repos.incoming(), "*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// liar says the same to everybody, and hangs up.
func liar(t *testing.T, says string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte(says))
			_ = conn.(*net.TCPConn).CloseWrite()
			time.AfterFunc(5*time.Second, func() { _ = conn.Close() })
		}
	}()
	return l.Addr().String()
}
