package buildpacks

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"paas/buildpacks/plan"
	"paas/platform"
)

// npmServer serves packages as npm's registry does, over real HTTP, so that it can misbehave.
type npmServer struct {
	versions map[string][]string // package -> versions
	refuse   map[string]bool     // "name@version" that is listed and not handed out
	forge    bool                // tarballs are not what their digest says
	asked    []string
}

func (s *npmServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.asked = append(s.asked, r.URL.Path)
	name, version, _ := strings.Cut(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case strings.HasSuffix(version, ".tgz"):
		_, _ = w.Write(tarball(strings.TrimSuffix(version, ".tgz"), s.forge))
	case s.refuse[name+"@"+version]:
		http.Error(w, "not available", http.StatusForbidden)
	case version != "":
		sum := sha512.Sum512(tarball(version, false))
		_, _ = fmt.Fprintf(w, `{"dist": {"tarball": "http://%s/%s/%s.tgz", "integrity": "sha512-%s"}}`, r.Host, name, version, base64.StdEncoding.EncodeToString(sum[:]))
	default:
		var list []string
		for _, v := range s.versions[name] {
			list = append(list, fmt.Sprintf("%q: {}", v))
		}
		_, _ = fmt.Fprintf(w, `{"versions": {%s}}`, strings.Join(list, ", "))
	}
}

// tarball is a package with a program, and with files that try to get out.
func tarball(version string, forged bool) []byte {
	var out bytes.Buffer
	gz := gzip.NewWriter(&out)
	t := tar.NewWriter(gz)
	add := func(h tar.Header, content string) {
		h.Size, h.Mode = int64(len(content)), 0o644
		if err := errors.Join(t.WriteHeader(&h)); err != nil {
			panic(err)
		}
		_, _ = t.Write([]byte(content))
	}
	add(tar.Header{Name: "package/bin/node", Typeflag: tar.TypeReg}, version)
	add(tar.Header{Name: "package/share/doc/long", Typeflag: tar.TypeReg}, "text")
	add(tar.Header{Name: "package/../../escaped", Typeflag: tar.TypeReg}, "x")
	add(tar.Header{Name: "package/link", Linkname: "/etc", Typeflag: tar.TypeSymlink}, "")
	if forged {
		add(tar.Header{Name: "package/malware", Typeflag: tar.TypeReg}, "x")
	}
	if err := errors.Join(t.Close(), gz.Close()); err != nil {
		panic(err)
	}
	return out.Bytes()
}

func npmBench(t *testing.T) (*bench, *npmServer) {
	t.Helper()
	s := &npmServer{refuse: map[string]bool{}, versions: map[string][]string{
		nodePackage: {"20.1.0", "22.3.0", "22.4.0", "23.9.9", "24.0.0", "26.1.0", "28.0.0-rc.1"},
		"npm":       {"2.15.0", "10.8.0", "10.9.0", "11.1.0"},
	}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	b := newBench(t)
	check(t, os.RemoveAll(filepath.Join(b.Dir, "known")))
	check(t, os.Mkdir(filepath.Join(b.Dir, "known"), 0o700))
	b.Machine.Vars = map[string]string{"npm_config_registry": server.URL + "/"}
	b.Now = func() time.Time { return time.Date(2025, time.December, 1, 0, 0, 0, 0, time.UTC) }
	return b, s
}

func (b *bench) tool(name, version, from string) (made, string, error) {
	var told safeBuffer
	m, err := b.toolchain(b.t.Context(), "base", plan.Toolchain{Name: name, Version: version, From: from}, platform.NewStory(&told, nil))
	return m, told.String(), err
}

func TestNodeVersions(t *testing.T) {
	b, _ := npmBench(t)
	for wish, want := range map[string]string{"": "24.0.0", "22.x": "22.4.0", "^20.0.0": "20.1.0", ">=22 <23.5": "22.4.0", "23": "23.9.9", "*": "26.1.0"} {
		m, _, err := b.tool("node", wish, "package.json engines.node")
		if err != nil || m.version != want {
			t.Errorf("%q gives %q, %v", wish, m.version, err)
		}
	}
	for _, wish := range []string{"99", "1.x", "what"} {
		if _, _, err := b.tool("node", wish, "package.json engines.node"); platform.KindOf(err) != platform.Failed || !strings.Contains(err.Error(), "package.json engines.node asks for Node.js") {
			t.Errorf("%q: %v", wish, err)
		}
	}
	m, _, err := b.tool("node", "22", "")
	check(t, err)
	root := b.Images.Dir(m.layer)
	if text, err := os.ReadFile(filepath.Join(root, "opt/node/bin/node")); err != nil || string(text) != "22.4.0" {
		t.Errorf("%q %v", text, err)
	}
	for _, absent := range []string{"opt/node/share/doc", "opt/node/link", "escaped", "opt/escaped"} {
		if _, err := os.Lstat(filepath.Join(root, absent)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is there", absent)
		}
	}
}

// What was resolved is asked of nobody for a day, and then again; an index that is away does no harm.
func TestAnswersAreKept(t *testing.T) {
	b, s := npmBench(t)
	now := b.now()
	b.Now = func() time.Time { return now }
	_, _, err := b.tool("node", "22", "")
	check(t, err)
	s.versions[nodePackage], s.asked = append(s.versions[nodePackage], "22.5.0"), nil
	m, _, err := b.tool("node", "22", "")
	if err != nil || m.version != "22.4.0" || len(s.asked) > 0 {
		t.Errorf("%v %v, asked %v", m, err, s.asked)
	}
	now = now.Add(answerAge + time.Minute)
	if m, _, err = b.tool("node", "22", ""); err != nil || m.version != "22.5.0" {
		t.Errorf("%v %v", m, err)
	}
	now = now.Add(answerAge + time.Minute)
	b.Machine.Vars["npm_config_registry"] = "http://127.0.0.1:1"
	if m, _, err = b.tool("node", "22", ""); err != nil || m.version != "22.5.0" {
		t.Errorf("%v %v", m, err)
	}
	if _, _, err = b.tool("node", "20", ".nvmrc"); platform.KindOf(err) != platform.Failed || !strings.Contains(err.Error(), "Node.js 20.1.0 cannot be fetched") {
		t.Errorf("without a registry: %v", err)
	}
}

// A version that is listed and refused gives way to the one before, and is not asked for again.
func TestRefusedVersions(t *testing.T) {
	b, s := npmBench(t)
	s.refuse[nodePackage+"@22.4.0"] = true
	m, told, err := b.tool("node", "22", "")
	if err != nil || m.version != "22.3.0" || !strings.Contains(told, "The registry refuses Node.js 22.4.0.") {
		t.Fatalf("%v %v\n%s", m, err, told)
	}
	s.asked = nil
	if m, told, err = b.tool("node", "22", ""); err != nil || m.version != "22.3.0" || told != "" || len(s.asked) > 0 {
		t.Errorf("%v %v, asked %v\n%s", m, err, s.asked, told)
	}
	s.refuse[nodePackage+"@22.3.0"] = true
	if _, _, err = b.tool("node", "20.1.0 || 22.4.0", ".nvmrc"); err != nil {
		t.Errorf("the other alternative: %v", err)
	}
	if _, _, err = b.tool("node", "22.4.0", ".nvmrc"); platform.KindOf(err) != platform.Failed || !errors.Is(err, errRefused) {
		t.Errorf("only a refused one fits: %v", err)
	}
}

func TestForgedTarball(t *testing.T) {
	b, s := npmBench(t)
	s.forge = true
	_, _, err := b.tool("node", "22", "")
	if err == nil || !strings.Contains(err.Error(), "digest") || len(b.drafts()) > 0 {
		t.Errorf("%v, drafts %v", err, b.drafts())
	}
}

// An npm of its own hides the one that came with Node.js.
func TestOwnNPM(t *testing.T) {
	b, _ := npmBench(t)
	m, _, err := b.tool("npm", "10", "package.json engines.npm")
	if err != nil || m.version != "10.9.0" {
		t.Fatalf("%v %v", m, err)
	}
	out := make([]byte, 8)
	n, err := getxattr(filepath.Join(b.Images.Dir(m.layer), "opt/node/lib/node_modules/npm"), out)
	if err != nil || string(out[:n]) != "y" {
		t.Errorf("opaque is %q, %v", out[:n], err)
	}
}

func TestNewestNodeWithLongTermSupport(t *testing.T) {
	at := func(y int, m time.Month) time.Time { return time.Date(y, m, 15, 0, 0, 0, 0, time.UTC) }
	for _, c := range []struct {
		major int
		now   time.Time
		want  bool
	}{{22, at(2024, 9), false}, {22, at(2024, 11), true}, {23, at(2026, 1), false}, {24, at(2025, 9), false}, {24, at(2025, 11), true}, {0, at(2025, 1), false}} {
		if got := longTerm(c.major, c.now); got != c.want {
			t.Errorf("%d at %s: %v", c.major, c.now, got)
		}
	}
}

func TestDebianToolchainFits(t *testing.T) {
	python := debianToolchains["python"]
	for version, want := range map[string]bool{"": true, "3": true, "3.13": true, "3.13.2": true, "3.1": false, "3.12": false, "3.130": false, "2.7": false} {
		if got := python.fits(version); got != want {
			t.Errorf("%q: %v", version, got)
		}
	}
}

func TestGoVersions(t *testing.T) {
	all := strings.Fields("1.20.1 1.20.14 1.21.0 1.25rc1 1.25.0 1.25.3 1.25.14 1.26rc1 1.26.0 1.26.2")
	for wish, want := range map[string]string{
		"": "go1.26.2", "go1.25": "go1.25.14", "go1.25.3": "go1.25.14", "go1.20": "go1.20.14", "go1.26.1": "go1.26.2", "go1.99": "",
	} {
		got := append(fittingGo(all, wish), "")[0]
		if got != want {
			t.Errorf("%q gives %q", wish, got)
		}
	}
	for wish, want := range map[string]string{"go1.22": "go1.22.0", "go1.20": "go1.20", "go1.22.3": "go1.22.3", "go1.27rc1": "go1.27rc1"} {
		if got := firstOfLine(wish); got != want {
			t.Errorf("%s: %s", wish, got)
		}
	}
	b := newBench(t)
	if _, _, err := b.tool("go", "banana", "go.mod go"); platform.KindOf(err) != platform.Failed {
		t.Error(err)
	}
	if _, _, err := b.tool("go", "1.26.987", "go.mod toolchain"); platform.KindOf(err) != platform.Failed || !strings.Contains(err.Error(), "Go 1.26.987 cannot be fetched") {
		t.Error(err)
	}
}

// Without a host's own clients those that Debian packages are asked, in a container.
func TestDebianClients(t *testing.T) {
	b := newBench(t)
	b.contain()
	b.Machine.Go, b.Machine.NPM = "", ""
	base, err := b.baseLayer(t.Context(), platform.NewStory(t.Output(), nil))
	check(t, err)
	story := platform.NewStory(t.Output(), nil)
	line, err := b.runGo(t.Context(), base, "list -m -mod=mod -versions go", story)
	if err != nil || !slices.Contains(strings.Fields(line), "1.25.3") {
		t.Errorf("%q %v", line, err)
	}
	check(t, os.RemoveAll(filepath.Join(b.Dir, "known")))
	check(t, os.Mkdir(filepath.Join(b.Dir, "known"), 0o700))
	address, err := b.registry(context.Background(), base, story)
	if err != nil || !strings.HasPrefix(address, "http") || strings.HasSuffix(address, "/") {
		t.Errorf("%q %v", address, err)
	}
	dir := t.TempDir()
	if err := b.fetchGo(t.Context(), base, "go1.25.3", dir, story); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "opt/go/bin/go")); err != nil || info.Mode()&0o111 == 0 {
		t.Errorf("%v %v", info, err)
	}
}
