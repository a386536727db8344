package exchange

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"paas/platform"
	"paas/runtime/image"
)

func TestPullMakesAnImageThatRuns(t *testing.T) {
	o, x := newOther(t), open(t)
	o.put(t, "tool:1", picture(t, v1.Config{
		Entrypoint: []string{"/bin/tool", "--say", "a b"}, Cmd: []string{"x"}, Env: []string{"COLOR=green", "PATH=/opt/bin"},
		User: "app:staff", WorkingDir: "/srv", StopSignal: "SIGQUIT", ExposedPorts: map[string]struct{}{"8080/tcp": {}, "53/udp": {}},
	}, layer(t, file{name: "etc/passwd", content: "root:x:0:0::/:/\napp:x:1001:1002::/:/\n"}, file{name: "etc/group", content: "staff:x:50:\n"}),
		layer(t, file{name: "bin/sh", content: "#!"}, file{name: "bin/tool", content: "#!"})))
	v, err := x.Pull(t.Context(), o.at("tool:1"), transfer())
	ok(t, err)
	img := v.Image
	want := platform.Image{
		ID: img.ID, Layers: img.Layers, Env: map[string]string{"COLOR": "green", "PATH": "/opt/bin"}, WorkDir: "/srv",
		UID: 1001, GID: 50, Shell: []string{"/bin/sh", "-c"}, StopSignal: "SIGQUIT", Builder: "image", Port: 8080,
		Processes: map[platform.ProcessType]string{platform.Web: "/bin/tool --say 'a b' x"},
		Commands:  map[platform.ProcessType][]string{platform.Web: {"/bin/tool", "--say", "a b", "x"}},
	}
	if !reflect.DeepEqual(img, want) || len(img.Layers) != 2 {
		t.Errorf("got  %+v\nwant %+v", img, want)
	}
	if !strings.HasSuffix(v.Reference, "/tool:1") || !strings.HasPrefix(v.Digest, "sha256:") {
		t.Errorf("pulled %s %s", v.Reference, v.Digest)
	}
}

// Images made from scratch have no shell, no list of users and no search path.
func TestPullOfAnImageWithoutAnything(t *testing.T) {
	o, x := newOther(t), open(t)
	o.put(t, "bare:1", picture(t, v1.Config{Cmd: []string{"/app"}, User: "65532"}, layer(t, file{name: "app", content: "\x7fELF"})))
	v, err := x.Pull(t.Context(), o.at("bare:1"), transfer())
	ok(t, err)
	if v.Image.Shell != nil || v.Image.UID != 65532 || v.Image.GID != 0 || v.Image.Env["PATH"] == "" || v.Image.WorkDir != "/" {
		t.Errorf("%+v", v.Image)
	}
	o.put(t, "nobody:1", picture(t, v1.Config{Cmd: []string{"/app"}, User: "ghost"}, layer(t, file{name: "app", content: "x"})))
	if _, err := x.Pull(t.Context(), o.at("nobody:1"), transfer()); err == nil || !strings.Contains(err.Error(), `"ghost"`) {
		t.Errorf("unknown user: %v", err)
	}
	o.put(t, "mute:1", picture(t, v1.Config{}, layer(t, file{name: "app", content: "x"})))
	if _, err := x.Pull(t.Context(), o.at("mute:1"), transfer()); err == nil || !strings.Contains(err.Error(), "neither an entrypoint") {
		t.Errorf("no command: %v", err)
	}
}

func TestProcfileInTheImage(t *testing.T) {
	o, x := newOther(t), open(t)
	o.put(t, "app:1", picture(t, v1.Config{Cmd: []string{"ignored"}, WorkingDir: "/app", ExposedPorts: map[string]struct{}{"80/tcp": {}}},
		layer(t, file{name: "app/Procfile", content: "web: serve $PORT\nworker: work\n"}, file{name: "busybox/sh", content: "x"})))
	v, err := x.Pull(t.Context(), o.at("app:1"), transfer())
	ok(t, err)
	if v.Image.Processes["web"] != "serve $PORT" || v.Image.Processes["worker"] != "work" || v.Image.Commands != nil || v.Image.Port != 0 {
		t.Errorf("%+v", v.Image)
	}
}

// A Dockerfile's image comes back from a registry with ENTRYPOINT and CMD as they were.
func TestEntrypointAndCommandApart(t *testing.T) {
	argv := []string{"/enter", "x y"}
	inherit := []byte(`{"Entrypoint":["/enter"],"Cmd":["x y"]}`)
	c := image.ConfigOf(platform.Image{
		Shell: []string{"/bin/sh", "-c"}, Processes: map[platform.ProcessType]string{"web": "/enter 'x y'", "worker": "work"},
		Commands: map[platform.ProcessType][]string{"web": argv}, Inherit: inherit,
	}, nil).Config
	if !slices.Equal(c.Entrypoint, argv[:1]) || !slices.Equal(c.Cmd, argv[1:]) {
		t.Errorf("exported as %q %q", c.Entrypoint, c.Cmd)
	}
	o, x := newOther(t), open(t)
	o.put(t, "app:3", picture(t, v1.Config{Entrypoint: c.Entrypoint, Cmd: c.Cmd, Labels: c.Labels}, layer(t, file{name: "x", content: "x"})))
	v, err := x.Pull(t.Context(), o.at("app:3"), transfer())
	ok(t, err)
	if !slices.Equal(v.Image.Commands["web"], argv) || v.Image.Processes["worker"] != "work" {
		t.Errorf("%+v", v.Image)
	}
}

func TestAppJSONInTheImage(t *testing.T) {
	o, x := newOther(t), open(t)
	put := func(text string) (platform.Image, error) {
		o.put(t, "app:2", picture(t, v1.Config{Entrypoint: []string{"/enter"}, WorkingDir: "/srv"},
			layer(t, file{name: "srv/Procfile", content: "web: serve\nrelease: migrate\n"}, file{name: "srv/app.json", content: text},
				file{name: "srv/CHECKS", content: "/up fine\n"}, file{name: "busybox/sh", content: "x"})))
		v, err := x.Pull(t.Context(), o.at("app:2"), transfer())
		return v.Image, err
	}
	img, err := put(`{"formation": {"web": {"quantity": 2}}, "cron": [{"command": "x", "schedule": "@daily"}], "scripts": {"postdeploy": "seed"}}`)
	ok(t, err)
	if img.Formation["web"] != 2 || len(img.Cron) != 1 || img.Scripts.First != "seed" || img.Checks["web"][0].Content != "fine" || len(img.Entrypoint) != 1 {
		t.Errorf("%+v", img)
	}
	if _, err := put(`{"formation": 2}`); platform.KindOf(err) != platform.Failed || !strings.Contains(err.Error(), "app.json formation: it must be an object") {
		t.Errorf("an app.json that is none: %v", err)
	}
}

func TestPullChoosesThePlatform(t *testing.T) {
	o, x := newOther(t), open(t)
	index := v1.ImageIndex(empty.Index)
	for _, arch := range []string{"arm64", "amd64"} {
		img := picture(t, v1.Config{Cmd: []string{"/" + arch}}, layer(t, file{name: arch, content: arch}))
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}})
	}
	ref, err := name.ParseReference(o.at("both:1"), name.Insecure)
	ok(t, err)
	ok(t, remote.WriteIndex(ref, index))
	pinned, err := index.Digest()
	ok(t, err)
	for _, reference := range []string{o.at("both:1"), o.at("both@" + pinned.String())} {
		v, err := x.Pull(t.Context(), reference, transfer())
		ok(t, err)
		if readFile(t, x, v.Image, "amd64") != "amd64" {
			t.Errorf("%s is not for this machine", reference)
		}
	}
	if _, err := x.Pull(t.Context(), o.at("both@sha256:"+strings.Repeat("0", 64)), transfer()); platform.KindOf(err) != platform.NotFound {
		t.Errorf("another digest: %v", err)
	}
}

// cutter breaks off every blob answer after n bytes, and serves ranges as the real thing does.
func cutter(n int64) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") {
			next.ServeHTTP(w, r)
			return
		}
		body := whole(r, next)
		var at int64
		_, _ = fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &at) // without one from the start
		rest := body[at:]
		w.Header().Set("Content-Length", fmt.Sprint(len(rest)))
		if at > 0 {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", at, len(body)-1, len(body)))
			w.WriteHeader(http.StatusPartialContent)
		}
		_, _ = w.Write(rest[:min(n, int64(len(rest)))]) // net/http cuts the connection: it is less than promised
	}
}

func whole(r *http.Request, next http.Handler) []byte {
	all := httptest.NewRecorder()
	plain := r.Clone(r.Context())
	plain.Header.Del("Range")
	next.ServeHTTP(all, plain)
	return all.Body.Bytes()
}

// A connection that breaks again and again is taken up where it broke, as long as something comes.
func TestPullOverABrokenLine(t *testing.T) {
	o, x := newOther(t), open(t)
	content := noise(1 << 20)
	o.put(t, "big:1", picture(t, v1.Config{Cmd: []string{"/x"}}, layer(t, file{name: "x", content: content})))
	o.spoil = cutter(100_000)
	v, err := x.Pull(t.Context(), o.at("big:1"), transfer())
	ok(t, err)
	if readFile(t, x, v.Image, "x") != content {
		t.Error("the content is another one")
	}
	ranges := 0
	for _, r := range o.requests {
		if strings.Contains(r, "bytes=") {
			ranges++
		}
	}
	if ranges < 5 {
		t.Errorf("%d ranges were asked for: %v", ranges, o.requests)
	}
}

// A registry that only ever fails is given up.
func TestPullGivesUp(t *testing.T) {
	o, x := newOther(t), open(t)
	o.put(t, "big:1", picture(t, v1.Config{Cmd: []string{"/x"}}, layer(t, file{name: "x", content: "x"})))
	o.spoil = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.Contains(r.URL.Path, "/blobs/") {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, r)
	}
	if _, err := x.Pull(t.Context(), o.at("big:1"), transfer()); platform.KindOf(err) != platform.Failed {
		t.Errorf("error %v", err)
	}
	nothingLeft(t, x)
}

// What an interrupted pull has got of a large layer is not sent again, and is verified with the rest.
func TestPullGoesOnAfterItWasCancelled(t *testing.T) {
	o, x := newOther(t), open(t)
	content := noise(1 << 20) // hex digits: 512 KiB as gzip has it
	o.put(t, "big:1", picture(t, v1.Config{Cmd: []string{"/x"}}, layer(t, file{name: "x", content: content})))
	ctx, cancel := context.WithCancel(t.Context())
	cut := cutter(100 << 10)
	o.spoil = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.HasPrefix(r.Header.Get("Range"), "bytes=") { // it has all that we gave
			cancel()
		}
		cut(w, r, next)
	}
	if _, err := x.Pull(ctx, o.at("big:1"), transfer()); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	nothingLeft(t, x)
	o.spoil, o.requests = cutter(1<<30), nil
	v, err := x.Pull(t.Context(), o.at("big:1"), transfer())
	ok(t, err)
	if readFile(t, x, v.Image, "x") != content {
		t.Error("the content is another one")
	}
	found := false
	for _, r := range o.requests {
		var at int
		if i := strings.Index(r, "bytes="); i >= 0 {
			_, _ = fmt.Sscanf(r[i:], "bytes=%d-", &at)
		}
		found = found || at >= 100<<10
	}
	if !found {
		t.Errorf("it began again: %v", o.requests)
	}
}

// A registry that sends something else is not believed, and leaves nothing.
func TestPullOfFalseContent(t *testing.T) {
	for what, change := range map[string]func([]byte) []byte{
		"another byte": func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"too short":    func(b []byte) []byte { return b[:len(b)-1] },
		"empty":        func([]byte) []byte { return nil },
		"too long":     func(b []byte) []byte { return append(b, "more"...) },
	} {
		t.Run(what, func(t *testing.T) {
			o, x := newOther(t), open(t)
			img := picture(t, v1.Config{Cmd: []string{"/x"}}, layer(t, file{name: "x", content: noise(50_000)}))
			o.put(t, "false:1", img)
			layers, err := img.Layers()
			ok(t, err)
			victim, err := layers[0].Digest()
			ok(t, err)
			o.spoil = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if strings.HasSuffix(r.URL.Path, victim.String()) {
					_, _ = w.Write(change(whole(r, next)))
					return
				}
				next.ServeHTTP(w, r)
			}
			_, err = x.Pull(t.Context(), o.at("false:1"), transfer())
			if what == "too long" { // the rest is nobody's
				ok(t, err)
				return
			}
			if err == nil {
				t.Error("it was believed")
			}
			nothingLeft(t, x)
		})
	}
}

// Nobody else's registry decides how much memory we use.
func TestPullOfAnEndlessManifest(t *testing.T) {
	o, x := newOther(t), open(t)
	o.spoil = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if !strings.Contains(r.URL.Path, "/manifests/") {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		_, _ = io.Copy(w, io.LimitReader(zeroes{}, 64<<20)) // the client hangs up
	}
	if _, err := x.Pull(t.Context(), o.at("endless:1"), transfer()); err == nil {
		t.Error("it was read")
	}
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { return len(p), nil }

func TestPullFromPrivateAddressesIsForAdmins(t *testing.T) {
	o, x := newOther(t), open(t)
	closed := transfer()
	closed.Private = false
	if _, err := x.Pull(t.Context(), o.at("closed:1"), closed); platform.KindOf(err) != platform.Denied {
		t.Errorf("error %v", err)
	}
	if len(o.requests) > 0 {
		t.Errorf("it was asked: %v", o.requests)
	}
	for _, address := range []string{
		"127.0.0.1:1", "10.1.2.3:443", "192.168.0.1:443", "172.20.1.1:443", "169.254.169.254:80", "100.64.0.1:443",
		"[::1]:443", "[fd00::1]:443", "[fe80::1]:443", "[::ffff:127.0.0.1]:443", "0.0.0.0:443", "224.0.0.1:443",
	} {
		if publicOnly("tcp", address, nil) == nil {
			t.Errorf("%s may be reached", address)
		}
	}
	if err := publicOnly("tcp", "9.9.9.9:443", nil); err != nil {
		t.Error(err)
	}
}

func TestLogins(t *testing.T) {
	o, x := newOther(t), open(t)
	o.put(t, "secret:1", picture(t, v1.Config{Cmd: []string{"/x"}}, layer(t, file{name: "x", content: "x"})))
	o.spoil = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if user, password, _ := r.BasicAuth(); user != "alice" || password != "s3cret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	}
	host, _, _ := strings.Cut(o.at("x"), "/")
	_, err := x.Pull(t.Context(), o.at("secret:1"), transfer(platform.Login{Host: "elsewhere", User: "alice", Secret: "s3cret"}))
	var e *platform.Error
	if !errors.As(err, &e) || e.Kind != platform.Denied || !strings.Contains(e.Hint, "registry:login "+host) {
		t.Errorf("without a login: %v", err)
	}
	_, err = x.Pull(t.Context(), o.at("secret:1"), transfer(platform.Login{Host: host, User: "alice", Secret: "s3cret"}))
	ok(t, err)
}
