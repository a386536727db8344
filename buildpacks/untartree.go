package buildpacks

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
)

// untarTree unpacks a tar.gz of a toolchain below dir with its links and modes, owned by root. strip folders of every
// path are left out; with roots, what is in one of those folders is put where the folder would be, and nothing else is.
// os.Root keeps every write below dir, whatever links the archive has put there.
func untarTree(r io.Reader, dir string, strip int, roots []string) error {
	gz, err := gzip.NewReader(r)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	u := unpacking{root: root, strip: strip, roots: roots, left: maxToolchain}
	for t := tar.NewReader(gz); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = u.entry(h, t)
		}
		if err != nil {
			return err
		}
	}
}

// maxToolchain is what a toolchain may take unpacked, in bytes.
const maxToolchain = 4 << 30

type unpacking struct {
	root  *os.Root
	strip int
	roots []string
	left  int64
}

// place is where an entry goes; "" if nowhere.
func (u *unpacking) place(name string) string {
	parts := strings.Split(strings.TrimPrefix(path.Clean("/"+name), "/"), "/")
	if len(parts) <= u.strip {
		return ""
	}
	parts = parts[u.strip:]
	if len(u.roots) == 0 {
		return path.Join(parts...)
	}
	if len(parts) < 2 || !slices.Contains(u.roots, parts[0]) {
		return ""
	}
	return path.Join(parts[1:]...)
}

func (u *unpacking) entry(h *tar.Header, content io.Reader) error {
	name := u.place(h.Name)
	if name == "" || h.Typeflag == tar.TypeDir {
		return nil // folders come with what is in them
	}
	if u.left -= h.Size; u.left < 0 {
		return fmt.Errorf("it is larger than %d MiB", maxToolchain>>20)
	}
	if err := u.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeReg:
		return unpackFile(u.root, name, h.FileInfo().Mode()&0o111 != 0, content)
	case tar.TypeSymlink:
		return u.root.Symlink(h.Linkname, name)
	case tar.TypeLink:
		return u.root.Link(u.place(h.Linkname), name)
	}
	return nil // devices and the like belong to no toolchain
}
