package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/image-spec/schema"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

// A release that is written as an image is what the image specification's schema asks for, and runs under another
// engine as it is: Debian's podman (packages podman and runc) loads it, starts its web process, and gets its answer.
// It does so whoever built it: a buildpack, or a Dockerfile with a user, arguments and several stages.
func TestReleaseRunsUnderPodman(t *testing.T) {
	needPrograms(t, "podman", "runc", "nsenter")
	p := newPlainPlatform(t) // a whole image is compressed
	work := t.TempDir()
	podman := newPodman(t)
	for _, app := range []struct{ name, source, port, page, look string }{
		{"hello", "testdata/apps/hello", "5000", "Hello", "1000\n/app\n13."},
		{"box", "../../examples/dockerfile", "8080", "Hello from a Dockerfile", ""},
	} {
		archive := filepath.Join(work, app.name+".tar")
		p.saveImage(t, app.name, app.source, archive)
		fitSchema(t, archive)
		podman.must(t, "load", "--quiet", "--input", archive)
		image := strings.Fields(podman.must(t, "images", "--quiet", "--filter", "reference=*"+app.name))[0]
		// Hosts without CAP_SYS_RESOURCE cannot raise limits as podman would.
		podman.must(t, "run", "--detach", "--name", app.name, "--network", "none", "--env", "PORT=5000",
			"--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096", image)
		pid := podman.must(t, "inspect", "--format", "{{.State.Pid}}", app.name)
		if got := answerIn(t, pid, app.port); got != app.page {
			t.Errorf("under podman %s answers %q\n%s", app.name, got, podman.must(t, "logs", app.name))
		}
		if got := podman.must(t, "exec", app.name, "sh", "-c", "id -u; pwd; cat /etc/debian_version"); !strings.HasPrefix(got, app.look) || strings.HasPrefix(got, "0\n") {
			t.Errorf("inside %s it is %q", app.name, got)
		}
	}
}

// saveImage pushes an app and writes its release as an image.
func (p *platformUnderTest) saveImage(t *testing.T, name, source, archive string) {
	t.Helper()
	script := `set -e
cp -r "$1" "$2.d"; cd "$2.d"; git init -q -b main; git add -A; git commit -qm first; git push -q "paas:$3" main
ssh paas images:save "$3" > "$2"`
	push := exec.Command("sh", "-c", script, "push", source, archive, name)
	for name, value := range p.environ() {
		push.Env = append(push.Env, name+"="+value)
	}
	if out, err := push.CombinedOutput(); err != nil {
		t.Fatalf("push: %v\n%s", err, out)
	}
}

// fitSchema checks the documents of an archive.
func fitSchema(t *testing.T, archive string) {
	t.Helper()
	files := documents(t, archive)
	var index ocispec.Index
	var manifest ocispec.Manifest
	at := func(d ocispec.Descriptor) []byte {
		return files["blobs/"+strings.Replace(d.Digest.String(), ":", "/", 1)]
	}
	if err := json.Unmarshal(files[ocispec.ImageIndexFile], &index); err != nil || len(index.Manifests) != 1 {
		t.Fatalf("the archive's index: %v %s", err, files[ocispec.ImageIndexFile])
	}
	if err := json.Unmarshal(at(index.Manifests[0]), &manifest); err != nil {
		t.Fatalf("the archive's manifest: %v", err)
	}
	for v, text := range map[schema.Validator][]byte{
		schema.ValidatorMediaTypeLayoutHeader: files[ocispec.ImageLayoutFile], schema.ValidatorMediaTypeImageIndex: files[ocispec.ImageIndexFile],
		schema.ValidatorMediaTypeManifest: at(index.Manifests[0]), schema.ValidatorMediaTypeImageConfig: at(manifest.Config),
	} {
		if err := v.Validate(bytes.NewReader(text)); err != nil {
			t.Errorf("%s: %s: %v\n%s", filepath.Base(archive), v, err, text)
		}
	}
}

// documents are an archive's small files.
func documents(t *testing.T, archive string) map[string][]byte {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	files := map[string][]byte{}
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Size > 1<<20 {
			continue
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

// answerIn asks a process's own network for a page, as soon as somebody listens there.
func answerIn(t *testing.T, pid, port string) (got string) {
	t.Helper()
	for range 100 {
		out, err := exec.Command("nsenter", "--target", pid, "--net", "curl", "-sS", "http://127.0.0.1:"+port+"/").CombinedOutput()
		if got = strings.TrimSpace(string(out)); err == nil {
			return got
		}
		time.Sleep(100 * time.Millisecond)
	}
	return got
}

// podmanHere is podman with storage and state of its own.
type podmanHere []string

func newPodman(t *testing.T) podmanHere {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "paas-podman-") // not a tmpfs, for overlay
	if err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	p := podmanHere{
		"--root", in("root"), "--runroot", in("run"), "--tmpdir", in("tmp"), "--network-config-dir", in("networks"),
		"--storage-driver", "overlay", "--cgroup-manager", "cgroupfs", "--events-backend", "file",
		"--runtime", "runc", // crun refuses hosts that have controllers in both versions of cgroups
	}
	t.Cleanup(func() {
		_ = exec.Command("podman", append(p, "rm", "--all", "--force", "--time", "0")...).Run()
		for _, mount := range []string{in("root/overlay"), in("root")} {
			for unix.Unmount(mount, unix.MNT_DETACH) == nil { // overlay's own bind mount, as often as it made one
			}
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
		for range 50 { // conmon leaves its group a moment after its container
			if removeGroups() {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
	return p
}

// removeGroups removes the parents of podman's groups, and tells whether none is left.
func removeGroups() bool {
	gone := true
	for _, pattern := range []string{"/sys/fs/cgroup/*/libpod_parent", "/sys/fs/cgroup/libpod_parent"} {
		below, _ := filepath.Glob(pattern + "/conmon")
		groups, _ := filepath.Glob(pattern)
		for _, group := range append(below, groups...) {
			gone = unix.Rmdir(group) == nil && gone // not if another podman uses it
		}
	}
	return gone
}

func (p podmanHere) must(t *testing.T, args ...string) string {
	t.Helper()
	var errs strings.Builder
	cmd := exec.Command("podman", append(append([]string{}, p...), args...)...)
	cmd.Stderr, cmd.WaitDelay = &errs, 10*time.Second
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("podman %s: %v\n%s%s", strings.Join(args, " "), err, out, &errs)
	}
	return strings.TrimSpace(string(out))
}
