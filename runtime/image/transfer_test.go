package image

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// debootstrap leaves device nodes in /dev, which no container sees: they must not keep an image from
// being exported.
func TestDeviceNodesInDevAreLeftOut(t *testing.T) {
	s := openStore(t)
	d, err := s.Draft()
	check(t, err)
	dev := filepath.Join(d.Dir, "dev")
	check(t, os.Mkdir(dev, 0o755))
	check(t, unix.Mknod(filepath.Join(dev, "console"), unix.S_IFCHR|0o600, int(unix.Mkdev(5, 1))))
	check(t, os.WriteFile(filepath.Join(dev, "kept"), nil, 0o644))
	check(t, d.Commit("base"))
	var b bytes.Buffer
	check(t, s.Archive(t.Context(), "base", &b))
	if !strings.Contains(b.String(), "dev/kept") || strings.Contains(b.String(), "dev/console") {
		t.Error("the archive holds something else")
	}
}

// ReadFile sees what a container would see, and nothing of the host.
func TestReadFile(t *testing.T) {
	s := openStore(t)
	layer(t, s, "base", "secret", "x", "etc/passwd", "root:x:0:0::/:/\n")
	d, err := s.Draft()
	check(t, err)
	check(t, os.Symlink("/etc/passwd", filepath.Join(d.Dir, "absolute")))
	check(t, os.Symlink("../../../../../../etc/hostname", filepath.Join(d.Dir, "climbing")))
	check(t, unix.Mkfifo(filepath.Join(d.Dir, "fifo"), 0o644))
	check(t, unix.Mknod(filepath.Join(d.Dir, "secret"), unix.S_IFCHR, 0)) // deleted
	check(t, d.Commit("top"))
	both := []string{"base", "top"}
	inside, err := s.ReadFile(both, "/etc/passwd", 100)
	check(t, err)
	through, err := s.ReadFile(both, "absolute", 100)
	check(t, err)
	if len(inside) == 0 || !bytes.Equal(inside, through) {
		t.Errorf("%q and %q", inside, through)
	}
	for _, name := range []string{"climbing", "secret", "missing"} {
		if text, err := s.ReadFile(both, name, 100); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	for _, name := range []string{"fifo", "etc"} {
		if text, err := s.ReadFile(both, name, 100); err == nil {
			t.Errorf("%s was read: %q", name, text)
		}
	}
}
