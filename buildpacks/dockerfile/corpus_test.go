package dockerfile_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"paas/platform"
	"paas/runtime/image"
	"paas/runtime/runtimetest"
)

// The corpus is built by Debian's buildah too (apt package buildah, 1.28), from the same file and the same base,
// and compared layer by layer. What that version lacks is compared with what must come out, in TestFeatures:
// a layer for WORKDIR (it makes the directory with the next RUN), heredocs, COPY --link, --parents and --exclude, ADD --checksum, `RUN --mount=type=bind` with rw, `source=` of a
// symlink, and Dockerfile.dockerignore.
func corpus() map[string]string {
	return map[string]string{
		"copies":      "FROM busybox\nCOPY a /a\nCOPY d /d/\nCOPY --chown=1000:7 d/x y/\nCOPY --chmod=600 a /b\n",
		"owners":      "FROM busybox\nRUN mkdir -p /o/p && chown -R 1000:50 /o && chmod 2750 /o\nRUN touch /o/p/f && chmod 4711 /o/p/f && ln -s p /o/l && ln /o/p/f /o/h\n",
		"deletions":   "FROM busybox\nRUN mkdir -p /x/y && echo 1 > /x/y/a && echo 2 > /x/b\nRUN rm /x/b && rm -r /x/y\nRUN mkdir /x/y && echo 3 > /x/y/c\nRUN rm -r /x && echo file > /x\n",
		"stages":      "FROM busybox AS one\nRUN mkdir /out && echo built > /out/f && ln -s f /out/l && chown 5:6 /out/f\nFROM busybox\nCOPY --from=one /out /in\nCOPY --from=one /out/f /single\n",
		"environment": "FROM busybox\nARG V=1\nENV A=$V B=\"x y\"\nWORKDIR /tmp\nUSER app\nEXPOSE 80 81/udp\nVOLUME /v\nLABEL l=m n=\"o p\"\nSTOPSIGNAL SIGINT\nENTRYPOINT [\"/bin/e\"]\nCMD [\"c\"]\n",
		"shells":      "FROM busybox\nSHELL [\"/bin/ash\",\"-c\"]\nRUN echo $0 > /f\nCMD echo hi\n",
		"archives":    "FROM busybox\nADD t.tar /t/\nADD a /plain\n",
		"ignored":     "FROM busybox\nCOPY . /c\n",
	}
}

func corpusFiles(dockerfile string) []string {
	return []string{
		"Dockerfile", dockerfile, "a", "1\n", "d/x", "2\n", "d/e/f", "3\n", "d/link", "-> e/f", "t.tar", archive("in/t", "tar\n"),
		".dockerignore", "*.md\nd/skip\n!keep.md\n", "drop.md", "no", "keep.md", "yes", "d/skip/x", "no",
	}
}

func TestCorpus(t *testing.T) {
	if _, err := exec.LookPath("buildah"); err != nil {
		t.Fatal("the corpus is compared with buildah: apt-get install buildah")
	}
	b := newBench(t)
	peer := newBuildah(t, b)
	for name, text := range corpus() {
		t.Run(name, func(t *testing.T) {
			tree := corpusFiles(text)
			img, told, err := b.build(t.Context(), b.app(), nil, files(append(slices.Clone(tree), "Procfile", "web: x\n")...))
			if err != nil {
				t.Fatalf("%v\n%s", err, told)
			}
			theirs := peer.build(t, append(slices.Clone(tree), "Procfile", "web: x\n"))
			compareLayers(t, b.Images, img.Layers, theirs.layers)
			compareConfig(t, img, theirs)
		})
	}
}

// buildah is the peer, with a store of its own.
type buildah struct {
	bench *bench
	dir   string
}

type peerImage struct {
	layers []string
	env    []string
	ports  int
	image  string // the configuration as buildah prints it
}

func newBuildah(t *testing.T, b *bench) *buildah {
	t.Helper()
	p := &buildah{b, t.TempDir()}
	t.Cleanup(func() { _, _ = p.try("rmi", "--all", "--force") })
	id := strings.TrimSpace(p.run(t, "from", "scratch"))
	p.run(t, "copy", id, b.Images.Dir(runtimetest.Base), "/")
	p.run(t, "config", "--env", "PATH=/bin:/usr/bin", id)
	p.run(t, "commit", "--timestamp", "0", id, "localhost/busybox:latest")
	return p
}

func (p *buildah) try(args ...string) (string, error) {
	cmd := exec.Command("buildah", append([]string{"--root", p.dir + "/root", "--runroot", p.dir + "/run", "--storage-driver", "vfs"}, args...)...)
	cmd.Env = append(os.Environ(), "BUILDAH_ISOLATION=chroot", "HOME="+p.dir, "XDG_RUNTIME_DIR="+p.dir, "CONTAINERS_REGISTRIES_CONF=/dev/null")
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("buildah %v: %w\n%s", args, err, errs.String())
	}
	return string(out), err
}

func (p *buildah) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := p.try(args...)
	check(t, err)
	return out
}

// build builds with a layer an instruction, and takes the result into our store.
func (p *buildah) build(t *testing.T, tree []string) peerImage {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(tree); i += 2 {
		path := filepath.Join(dir, tree[i])
		check(t, os.MkdirAll(filepath.Dir(path), 0o755))
		if target, ok := strings.CutPrefix(tree[i+1], "-> "); ok {
			check(t, os.Symlink(target, path))
			continue
		}
		check(t, os.WriteFile(path, []byte(tree[i+1]), 0o644))
	}
	p.run(t, "build", "--layers", "--pull=never", "--format", "docker", "-t", "localhost/peer", dir)
	layout := filepath.Join(t.TempDir(), "layout")
	p.run(t, "push", "localhost/peer", "oci:"+layout+":latest")
	layers, config, err := p.bench.Images.ImportLayout(t.Context(), layout, "")
	check(t, err)
	return peerImage{layers, config.Config.Env, len(config.Config.ExposedPorts), fmt.Sprintf("%v|%v|%v|%v|%v|%v",
		config.Config.User, config.Config.WorkingDir, config.Config.StopSignal, config.Config.Entrypoint, config.Config.Cmd, config.Config.Labels["l"])}
}

// compareLayers compares what each layer has, bottom first, but for the base's. Layers without anything in them,
// which the one makes for WORKDIR and the other does not, count for nothing.
func compareLayers(t *testing.T, s *image.Store, ours, theirs []string) {
	t.Helper()
	a, b := contents(t, s, ours[1:]), contents(t, s, theirs[1:])
	for i := range max(len(a), len(b)) {
		var x, y string
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			t.Errorf("layer %d has\n%sand buildah's\n%s", i+1, x, y)
		}
	}
}

func contents(t *testing.T, s *image.Store, layers []string) (list []string) {
	t.Helper()
	for _, layer := range layers {
		if text := listing(t, s.Dir(layer)); text != "" {
			list = append(list, text)
		}
	}
	return list
}

// listing is a line for each entry of a layer that is more than a directory on the way: type, mode, owner,
// size and content or target. Directories that a layer only passes through are in one archive format and not
// in the other.
func listing(t *testing.T, root string) string {
	t.Helper()
	var out strings.Builder
	check(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		rel, _ := filepath.Rel(root, path)
		switch {
		case info.Mode()&os.ModeCharDevice != 0 && st.Rdev == 0:
			fmt.Fprintf(&out, "%s deleted\n", rel)
		case d.IsDir():
			if rel == "etc" || rel == "tmp" || rel == "proc" || rel == "sys" || rel == "dev" || rel == "run" || strings.HasPrefix(rel, "etc/") {
				return nil
			}
			fmt.Fprintf(&out, "%s %s %d:%d\n", rel, info.Mode(), st.Uid, st.Gid)
		case d.Type()&os.ModeSymlink != 0:
			target, _ := os.Readlink(path)
			fmt.Fprintf(&out, "%s -> %s %d:%d\n", rel, target, st.Uid, st.Gid)
		case strings.HasPrefix(rel, "etc/") && info.Size() == 0: // resolv.conf and hosts, as mount points
		default:
			text, _ := os.ReadFile(path)
			fmt.Fprintf(&out, "%s %s %d:%d links %d %q\n", rel, info.Mode(), st.Uid, st.Gid, st.Nlink, text)
		}
		return nil
	}))
	return out.String()
}

func compareConfig(t *testing.T, img platform.Image, theirs peerImage) {
	t.Helper()
	for _, entry := range theirs.env {
		name, value, _ := strings.Cut(entry, "=")
		if img.Env[name] != value {
			t.Errorf("%s is %q, and %q at buildah", name, img.Env[name], value)
		}
	}
	if user, dir, _ := strings.Cut(theirs.image, "|"); user == "app" && img.UID != 1000 || !strings.HasPrefix(dir, strings.TrimSuffix(img.WorkDir, "/")) {
		t.Errorf("user %d and directory %s; buildah: %s", img.UID, img.WorkDir, theirs.image)
	}
	if theirs.ports > 0 && img.Port == 0 {
		t.Errorf("no port; buildah has %d", theirs.ports)
	}
}
