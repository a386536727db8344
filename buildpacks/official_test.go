package buildpacks

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"paas/buildpacks/plan"
	"paas/platform"
	"paas/runtime/image"
)

// mirror is a web server with the layout of an official distribution.
type mirror struct {
	*httptest.Server
	mu    sync.Mutex
	files map[string][]byte
	asked []string // "HEAD /index.json"
}

func newMirror(t *testing.T) *mirror {
	m := &mirror{files: map[string][]byte{}}
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		m.asked = append(m.asked, r.Method+" "+r.URL.Path)
		body, ok := m.files[r.URL.Path]
		m.mu.Unlock()
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(body)
	}))
	t.Cleanup(m.Close)
	return m
}

func (m *mirror) put(path string, body []byte) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[path] = body
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

func (m *mirror) count(what string) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range m.asked {
		if a == what {
			n++
		}
	}
	return n
}

// toolchainTar is a tar.gz of programs, given as "path" for a script or "path -> target".
func toolchainTar(t *testing.T, paths ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, p := range paths {
		name, target, link := strings.Cut(p, " -> ")
		text := "#!/bin/sh\necho " + filepath.Base(name) + "\n"
		h := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(text))}
		if link {
			h = &tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target, Mode: 0o777}
			text = ""
		}
		check(t, w.WriteHeader(h))
		_, err := io.WriteString(w, text)
		check(t, err)
	}
	check(t, w.Close())
	check(t, z.Close())
	return b.Bytes()
}

// bareEngine is an engine with nothing in it on a machine with these variables.
func bareEngine(t *testing.T, vars map[string]string) *Engine {
	t.Helper()
	dir := t.TempDir()
	images, err := image.Open(filepath.Join(dir, "store"))
	check(t, err)
	e, err := Open(Options{Dir: filepath.Join(dir, "build"), Images: images, Machine: Machine{Vars: vars}})
	check(t, err)
	t.Cleanup(func() { check(t, e.Close()) })
	return e
}

func (m *mirror) node(t *testing.T, versions ...string) {
	var index []string
	for _, v := range versions {
		index = append(index, fmt.Sprintf(`{"version":"v%s","files":["headers","linux-x64"]}`, v))
		file := "node-v" + v + "-linux-x64"
		sum := m.put("/dist/v"+v+"/"+file+".tar.gz", toolchainTar(t, file+"/bin/node", file+"/lib/npm-cli.js", file+"/bin/npm -> ../lib/npm-cli.js"))
		m.put("/dist/v"+v+"/SHASUMS256.txt", []byte(strings.Repeat("0", 64)+"  node.pkg\n"+sum+"  "+file+".tar.gz\n"))
	}
	m.put("/dist/index.json", []byte("["+strings.Join(index, ",")+"]"))
}

// The newest version that fits comes whole, with its links, and is asked for once.
func TestOfficialNode(t *testing.T) {
	m := newMirror(t)
	m.node(t, "22.11.0", "22.9.0", "20.18.1", "23.1.0")
	e := bareEngine(t, map[string]string{"NODEJS_ORG_MIRROR": m.URL + "/dist/"})
	story := platform.NewStory(t.Output(), nil)
	wish := plan.Toolchain{Name: "node", Version: "22.x", From: "package.json"}
	made, err := e.toolchain(t.Context(), "", wish, story)
	check(t, err)
	if made.version != "22.11.0" || made.path != "/opt/node/bin" {
		t.Errorf("made %+v", made)
	}
	bin := filepath.Join(e.Images.Dir(made.layer), made.path)
	if target, err := os.Readlink(filepath.Join(bin, "npm")); err != nil || target != "../lib/npm-cli.js" {
		t.Errorf("npm leads to %q: %v", target, err)
	}
	if info, err := os.Stat(filepath.Join(bin, "node")); err != nil || info.Mode() != 0o755 {
		t.Errorf("node: %v, %v", info, err)
	}
	before := len(m.asked)
	m.Close()
	again, err := e.toolchain(t.Context(), "", wish, story)
	if err != nil || again.layer != made.layer || len(m.asked) != before {
		t.Errorf("the second time: %+v, %v", again, err)
	}
}

// What is not what its publisher says is not used.
func TestOfficialDigest(t *testing.T) {
	m := newMirror(t)
	m.node(t, "22.11.0")
	m.put("/dist/v22.11.0/node-v22.11.0-linux-x64.tar.gz", toolchainTar(t, "node/bin/node"))
	e := bareEngine(t, map[string]string{"NODEJS_ORG_MIRROR": m.URL + "/dist"})
	_, err := e.toolchain(t.Context(), "", plan.Toolchain{Name: "node", Version: "22"}, platform.NewStory(t.Output(), nil))
	if platform.KindOf(err) != platform.Failed || !strings.Contains(err.Error(), "digest is wrong") {
		t.Errorf("a false archive: %v", err)
	}
	if used, err := e.Images.Usage(); err != nil || len(used) != 0 {
		t.Errorf("layers %v, %v", used, err)
	}
}

// Each distribution is read in its own layout, and the program is where it should be.
func TestOfficialLayouts(t *testing.T) {
	m := newMirror(t)
	sum := m.put("/go/go1.25.4.linux-amd64.tar.gz", toolchainTar(t, "go/bin/go"))
	m.put("/go/", fmt.Appendf(nil, `[{"version":"go1.25.4","stable":true,"files":[{"filename":"go1.25.4.linux-amd64.tar.gz","os":"linux","arch":"amd64","kind":"archive","sha256":%q}]}]`, sum))
	python := "cpython-3.12.7+20241016-x86_64-unknown-linux-gnu-install_only.tar.gz"
	sum = m.put("/py/download/20241016/"+python, toolchainTar(t, "python/bin/python3.12", "python/bin/python -> python3.12"))
	m.put("/py/latest/download/SHA256SUMS", []byte(sum+"  "+python+"\n"+sum+"  cpython-3.12.7+20241016-i686-pc-windows-msvc-install_only.tar.gz\n"))
	sum = m.put("/jdk.tar.gz", toolchainTar(t, "jdk-17.0.13+11/bin/java"))
	m.put("/v3/info/available_releases", []byte(`{"available_releases":[8,11,17,21],"most_recent_lts":21}`))
	m.put("/v3/assets/latest/17/hotspot", fmt.Appendf(nil, `[{"binary":{"package":{"link":%q,"checksum":%q}},"version":{"semver":"17.0.13+11"}}]`, m.URL+"/jdk.tar.gz", sum))
	rust := "rust-1.80.1-x86_64-unknown-linux-gnu"
	sum = m.put("/dist/2024-08-08/"+rust+".tar.gz", toolchainTar(t, rust+"/install.sh", rust+"/rustc/bin/rustc", rust+"/cargo/bin/cargo", rust+"/rust-docs/share/doc"))
	m.put("/dist/channel-rust-stable.toml.sha256", []byte(sum))
	m.put("/dist/channel-rust-1.80.toml", fmt.Appendf(nil, "[pkg.rust]\nversion = \"1.80.1 (3f5fd8dd4 2024-08-06)\"\n[pkg.rust.target.x86_64-unknown-linux-gnu]\nurl = \"https://example.org/dist/2024-08-08/%s.tar.gz\"\nhash = %q\n", rust, sum))
	e := bareEngine(t, map[string]string{
		"GO_DL_MIRROR": m.URL + "/go", "UV_PYTHON_INSTALL_MIRROR": m.URL + "/py/download", "ADOPTIUM_API_MIRROR": m.URL, "RUSTUP_DIST_SERVER": m.URL,
	})
	for _, want := range []struct{ name, wish, version, program string }{
		{"go", "1.25", "1.25.4", "go"}, {"python", "3.12", "3.12.7", "python3.12"},
		{"java", "17", "17.0.13+11", "java"}, {"rust", "1.80", "1.80.1", "cargo"}, {"rust", "1.80.1", "1.80.1", "rustc"},
	} {
		if want.wish == "1.80.1" {
			m.put("/dist/channel-rust-1.80.1.toml", m.files["/dist/channel-rust-1.80.toml"])
		}
		made, err := e.toolchain(t.Context(), "", plan.Toolchain{Name: want.name, Version: want.wish}, platform.NewStory(t.Output(), nil))
		if err != nil || made.version != want.version {
			t.Errorf("%s %s: %+v, %v", want.name, want.wish, made, err)
			continue
		}
		if _, err := os.Stat(filepath.Join(e.Images.Dir(made.layer), made.path, want.program)); err != nil {
			t.Errorf("%s: %v", want.name, err)
		}
	}
}

// A version that nobody has is one sentence with the nearest that can be had, here or from its own people.
func TestNearestVersion(t *testing.T) {
	m := newMirror(t)
	var sums strings.Builder
	for _, v := range []string{"3.8.20", "3.11.10", "3.14.0"} {
		fmt.Fprintf(&sums, "%064d  cpython-%s+20241016-x86_64-unknown-linux-gnu-install_only.tar.gz\n", 0, v)
	}
	m.put("/py/latest/download/SHA256SUMS", []byte(sums.String()))
	e := bareEngine(t, map[string]string{"UV_PYTHON_INSTALL_MIRROR": m.URL + "/py/download"})
	for wish, near := range map[string]string{"3.7": "3.8.20", "3.12": "3.13", "2.7.18": "3.8.20"} {
		_, err := e.toolchain(t.Context(), "", plan.Toolchain{Name: "python", Version: wish, From: "runtime.txt"}, platform.NewStory(t.Output(), nil))
		want := "runtime.txt asks for Python " + wish + ", which cannot be had; the nearest that can is " + near
		if platform.KindOf(err) != platform.Failed || err.Error() != want {
			t.Errorf("Python %s: %v, want %s", wish, err, want)
		}
	}
	m.Close()
	off := bareEngine(t, map[string]string{"UV_PYTHON_INSTALL_MIRROR": m.URL + "/py/download"})
	_, err := off.toolchain(t.Context(), "", plan.Toolchain{Name: "python", Version: "3.7", From: "runtime.txt"}, platform.NewStory(t.Output(), nil))
	if err == nil || err.Error() != "runtime.txt asks for Python 3.7; this server has Python 3.13" {
		t.Errorf("without a way there: %v", err)
	}
}

// Whether a site answers is asked once, within a second, and then an hour later behind a push's back.
func TestProbeIsRemembered(t *testing.T) {
	m := newMirror(t)
	m.node(t, "22.11.0")
	e := bareEngine(t, nil)
	now := time.Now()
	e.Now = func() time.Time { return now }
	for range 3 {
		if !e.reaches(t.Context(), m.URL+"/dist/index.json") || e.reaches(t.Context(), m.URL+"/nothing") {
			t.Error("the probe is wrong")
		}
	}
	if n := m.count("HEAD /dist/index.json"); n != 1 {
		t.Errorf("%d probes", n)
	}
	now = now.Add(probeAge)
	delete(m.files, "/dist/index.json")
	if !e.reaches(t.Context(), m.URL+"/dist/index.json") {
		t.Error("a stale answer does not serve")
	}
	e.sweeps.Wait()
	if e.reaches(t.Context(), m.URL+"/dist/index.json") {
		t.Error("the new answer is not taken")
	}
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(silent.Close)
	start := time.Now()
	if e.reaches(t.Context(), silent.URL) || time.Since(start) > 5*time.Second {
		t.Errorf("a silent site was waited for %s", time.Since(start))
	}
}

// An archive of a toolchain writes nowhere but into its folder.
func TestToolchainArchiveStaysInside(t *testing.T) {
	dir := t.TempDir()
	inside := filepath.Join(dir, "opt")
	for _, hostile := range [][]string{
		{"top/../../../evil"}, {"top/link -> /", "top/link/evil"}, {"top/link -> ../..", "top/link/evil"},
	} {
		_ = untarTree(bytes.NewReader(toolchainTar(t, hostile...)), inside, 1, nil)
	}
	for _, path := range []string{filepath.Join(dir, "evil"), "/evil"} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s was written", path)
		}
	}
}

// Ruby is published as sources: they are compiled beside the build variant, once.
func TestOfficialSourcesAreCompiled(t *testing.T) {
	m := newMirror(t)
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for name, text := range map[string]string{
		"ruby-3.4.1/configure": "#!/bin/sh\nprintf 'all:\\n\\tgcc -o ruby ruby.c\\ninstall:\\n\\tmkdir -p %s/bin && cp ruby %s/bin/\\n' ${1#--prefix=} ${1#--prefix=} > Makefile\n",
		"ruby-3.4.1/ruby.c":    "#include <stdio.h>\nint main(void) { puts(\"ruby 3.4.1\"); return 0; }\n",
	} {
		check(t, w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(text))}))
		_, err := io.WriteString(w, text)
		check(t, err)
	}
	check(t, w.Close())
	check(t, z.Close())
	sum := m.put("/pub/ruby/3.4/ruby-3.4.1.tar.gz", b.Bytes())
	m.put("/pub/ruby/index.txt", fmt.Appendf(nil, "name\turl\tsha1\tsha256\tsha512\nruby-3.4.1\thttps://example.org/pub/ruby/3.4/ruby-3.4.1.tar.gz\tx\t%s\tx\n", sum))
	bench := newBench(t, "tools")
	bench.Machine.Vars = map[string]string{"RUBY_MIRROR": m.URL + "/pub/ruby"}
	base, err := bench.baseLayer(t.Context(), platform.NewStory(t.Output(), nil))
	check(t, err)
	made, err := bench.toolchain(t.Context(), base, plan.Toolchain{Name: "ruby", Version: "3.4"}, platform.NewStory(t.Output(), nil))
	check(t, err)
	img := platform.Image{Layers: []string{base, made.layer}, WorkDir: "/", Shell: []string{"/bin/sh", "-c"}}
	if got := bench.run(bench.app(), img, made.path+"/ruby"); got != "ruby 3.4.1" || made.version != "3.4.1" {
		t.Errorf("ruby says %q of %+v", got, made)
	}
}
