package image

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// entry is one line of a test archive: a header, and content for regular files.
type entry struct {
	tar.Header
	content string
}

func dir(name string) entry {
	return entry{tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755}, ""}
}
func file(name, content string) entry {
	return entry{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))}, content}
}
func symlink(name, to string) entry {
	return entry{tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to}, ""}
}
func hardlink(name, to string) entry {
	return entry{tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: to}, ""}
}
func special(name string, kind byte) entry {
	return entry{tar.Header{Typeflag: kind, Name: name, Mode: 0o666, Devmajor: 1, Devminor: 3}, ""}
}

func (e entry) with(change func(*tar.Header)) entry { change(&e.Header); return e }

func tarOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		check(t, w.WriteHeader(&e.Header))
		_, err := w.Write([]byte(e.content))
		check(t, err)
	}
	check(t, w.Close())
	return b.Bytes()
}

func TestHostileArchives(t *testing.T) {
	deep := strings.Repeat("d/", 3000)
	for name, entries := range map[string][]entry{
		"dot dot":                     {file("../escape", "x")},
		"dot dot inside":              {file("a/../../escape", "x")},
		"dot dot that stays inside":   {file("a/../b", "x")},
		"absolute and up":             {file("/../escape", "x")},
		"symlink parent":              {symlink("a", "/tmp"), file("a/escape", "x")},
		"relative symlink parent":     {symlink("a", ".."), file("a/escape", "x")},
		"symlink parent inside":       {dir("b"), symlink("a", "b"), file("a/f", "x")},
		"symlink chain":               {symlink("a", "b"), symlink("b", ".."), dir("a/escape")},
		"directory below a symlink":   {symlink("a", "/tmp"), dir("a/escape")},
		"whiteout below a symlink":    {symlink("a", "/tmp"), file("a/.wh.escape", "")},
		"opaque mark below a symlink": {symlink("a", "/tmp"), file("a/.wh..wh..opq", "")},
		"hard link out, absolute":     {hardlink("passwd", "/etc/passwd")},
		"hard link out, dot dot":      {hardlink("passwd", "../../../../etc/passwd")},
		"hard link by a symlink":      {symlink("e", "/etc"), hardlink("passwd", "e/passwd")},
		"hard link to nothing":        {hardlink("a", "b")},
		"hard link to a directory":    {dir("d"), hardlink("a", "d")},
		"hard link to a whiteout":     {file(".wh.w", ""), hardlink("a", "w")},
		"link in place of its parent": {file("d/f", "x"), hardlink("d", "d/f")},
		"file below a file":           {file("f", "x"), file("f/g", "x")},
		"the root as a file":          {file(".", "x")},
		"the root as a symlink":       {symlink("./", "/tmp")},
		"character device":            {special("null", tar.TypeChar)},
		"block device":                {special("sda", tar.TypeBlock)},
		"ready-made whiteout":         {special("w", tar.TypeChar).with(func(h *tar.Header) { h.Devmajor, h.Devminor = 0, 0 })},
		"whiteout of nothing":         {file(".wh.", "")},
		"whiteout of the directory":   {file("a/.wh..", "")},
		"whiteout of the parent":      {file("a/.wh...", "")},
		"owner too large":             {file("f", "x").with(func(h *tar.Header) { h.Uid = 1<<32 - 1 })},
		"group beyond 32 bits":        {file("f", "x").with(func(h *tar.Header) { h.Gid = 1 << 32 })},
		"name with a long part":       {file(strings.Repeat("n", 256), "x")},
		"deep":                        {dir(deep)},
		"unknown type":                {special("x", 'Z')},
		"overlay attribute": {dir("d").with(func(h *tar.Header) {
			h.PAXRecords = map[string]string{"SCHILY.xattr.trusted.overlay.redirect": "/../../etc"}
		})},
		"trusted attribute": {file("f", "x").with(func(h *tar.Header) {
			h.PAXRecords = map[string]string{"SCHILY.xattr.trusted.any": "y"}
		})},
	} {
		t.Run(name, func(t *testing.T) {
			world := openDir(t)
			root := filepath.Join(world, "a/b/root")
			write(t, root+"/", "")
			write(t, filepath.Join(world, "victim"), "unharmed")
			err := extract(t.Context(), bytes.NewReader(tarOf(t, entries...)), root, limits{bytes: 1 << 20, entries: 5000})
			if err == nil {
				t.Error("no error")
			}
			onlyInside(t, world, root)
		})
	}
}

func TestLimits(t *testing.T) {
	for name, c := range map[string]struct {
		most    limits
		entries []entry
	}{
		"bytes":   {limits{bytes: 10, entries: 10}, []entry{file("a", "12345"), file("b", "123456")}},
		"entries": {limits{bytes: 10, entries: 2}, []entry{dir("a"), dir("b"), dir("c")}},
	} {
		err := extract(t.Context(), bytes.NewReader(tarOf(t, c.entries...)), openDir(t), c.most)
		if err == nil || !strings.Contains(err.Error(), "too many "+name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A sparse file claims 8 EiB and costs the archive 1 KiB.
func TestSparseBomb(t *testing.T) {
	h := tar.Header{Typeflag: tar.TypeReg, Name: "f", Size: 1 << 62, Format: tar.FormatPAX}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	check(t, w.WriteHeader(&h))
	err := extract(t.Context(), &b, openDir(t), layerLimits())
	if err == nil || !strings.Contains(err.Error(), "too many bytes") {
		t.Error(err)
	}
}

func TestExtract(t *testing.T) {
	at := time.Unix(1_600_000_000, 0)
	timed := func(e entry) entry {
		return e.with(func(h *tar.Header) { h.ModTime, h.Uid, h.Gid = at, 33, 44 })
	}
	root := openDir(t)
	check(t, extract(t.Context(), bytes.NewReader(tarOf(t,
		dir("./").with(func(h *tar.Header) { h.Mode = 0o711 }),
		timed(dir("d/")), timed(file("d/f", "content")), timed(symlink("d/dangling", "../../nowhere")),
		timed(hardlink("d/second", "d/f")), timed(special("d/pipe", tar.TypeFifo)),
		file("implicit/parent/f", "x"),
		file("su", "x").with(func(h *tar.Header) { h.Mode = 0o4755 }),
		file("twice", "first"), file("twice", "second"), dir("twice2"), file("twice2/gone", "x"), file("twice2", "a file now"),
		file("then-dir", "x"), dir("then-dir"), file("self", "still here"), hardlink("self", "self"),
		file("attrs", "x").with(func(h *tar.Header) {
			h.PAXRecords = map[string]string{
				"SCHILY.xattr.user.kept": "v\x00w", "SCHILY.xattr.user.overlay.opaque": "y",
				"SCHILY.xattr.security.selinux":    "x",
				"SCHILY.xattr.security.capability": "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
			}
		}),
	)), root, layerLimits()))
	equal(t, "tree", listing(t, root), strings.TrimSpace(`
. drwx--x--x 0:0
attrs -rw-r--r-- 0:0 "x" security.capability user.kept
d drwxr-xr-x 33:44 @1600000000
d/dangling Lrwxrwxrwx 33:44 @1600000000 -> ../../nowhere
d/f -rw-r--r-- 33:44 @1600000000 "content" x2
d/pipe prw-rw-rw- 33:44 @1600000000
d/second -rw-r--r-- 33:44 @1600000000 "content" x2
implicit drwxr-xr-x 0:0
implicit/parent drwxr-xr-x 0:0
implicit/parent/f -rw-r--r-- 0:0 "x"
self -rw-r--r-- 0:0 "still here"
su urwxr-xr-x 0:0 "x"
then-dir drwxr-xr-x 0:0
twice -rw-r--r-- 0:0 "second"
twice2 -rw-r--r-- 0:0 "a file now"`))
}

func TestDeletionMarks(t *testing.T) {
	root := openDir(t)
	check(t, extract(t.Context(), bytes.NewReader(tarOf(t,
		file("a/.wh.gone", ""), file("o/.wh..wh..opq", ""), file("o/new", "x"),
		file(".wh.anew", ""), dir("anew"), file("anew/f", "x"),
		dir("anew2"), file(".wh.anew2", ""), file(".wh.refile", ""), file("refile", "x"),
		file(".wh.implied", ""), file("implied/f", "x"),
		file("a/.wh..wh.plnk", "aufs"),
	)), root, layerLimits()))
	equal(t, "tree", listing(t, root), strings.TrimSpace(`
. drwxr-xr-x 0:0
a drwxr-xr-x 0:0
a/gone whiteout
anew drwxr-xr-x 0:0 trusted.overlay.opaque
anew/f -rw-r--r-- 0:0 "x"
anew2 drwxr-xr-x 0:0 trusted.overlay.opaque
implied drwxr-xr-x 0:0 trusted.overlay.opaque
implied/f -rw-r--r-- 0:0 "x"
o drwxr-xr-x 0:0 trusted.overlay.opaque
o/new -rw-r--r-- 0:0 "x"
refile -rw-r--r-- 0:0 "x"`))
}

// listing describes a tree, a line an entry. Times are shown where they are old.
func listing(t testing.TB, root string) string {
	t.Helper()
	var lines []string
	check(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		lines = append(lines, describe(t, root, path))
		return nil
	}))
	return strings.Join(lines, "\n")
}

func describe(t testing.TB, root, path string) string {
	t.Helper()
	fi, err := os.Lstat(path)
	check(t, err)
	st := fi.Sys().(*syscall.Stat_t)
	rel, err := filepath.Rel(root, path)
	check(t, err)
	if st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0 {
		return rel + " whiteout"
	}
	line := fmt.Sprintf("%s %s %d:%d", rel, fi.Mode(), st.Uid, st.Gid)
	if time.Since(fi.ModTime()) > 24*time.Hour && fi.ModTime().Unix() != 0 {
		line += fmt.Sprintf(" @%d", fi.ModTime().Unix())
	}
	switch {
	case fi.Mode().IsRegular():
		data, err := os.ReadFile(path)
		check(t, err)
		line += fmt.Sprintf(" %.40q", data)
	case fi.Mode()&fs.ModeSymlink != 0:
		to, err := os.Readlink(path)
		check(t, err)
		line += " -> " + to
	}
	if st.Nlink > 1 && !fi.IsDir() {
		line += fmt.Sprintf(" x%d", st.Nlink)
	}
	names, err := attrNames(path)
	check(t, err)
	slices.Sort(names)
	for _, name := range names {
		if name == opaqueAttr || !strings.HasPrefix(name, "trusted.overlay.") {
			line += " " + name
		}
	}
	return line
}

// onlyInside checks that an extraction changed nothing but its root, and made no device there.
func onlyInside(t testing.TB, world, root string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(world, "victim"))
	check(t, err)
	equal(t, "victim", string(data), "unharmed")
	check(t, filepath.WalkDir(world, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if strings.HasPrefix(path, root) {
			return onlyMarks(path, d)
		}
		switch rel, _ := filepath.Rel(world, path); rel {
		case ".", "a", "a/b", "victim":
			return nil
		default:
			t.Errorf("%s appeared outside", rel)
			return nil
		}
	}))
	if _, err := os.Lstat("/tmp/escape"); err == nil {
		t.Error("/tmp/escape exists")
	}
}

func onlyMarks(path string, d fs.DirEntry) error {
	if d.Type()&fs.ModeDevice == 0 {
		return nil
	}
	st, err := lstatat(unix.AT_FDCWD, path)
	if err == nil && !isWhiteout(st) {
		err = fmt.Errorf("%s is a device", path)
	}
	return err
}

// memory is a directory without a disk behind it, where there is one: most of an input's time is the disk's.
func memory() string {
	if _, err := os.Stat("/dev/shm"); err == nil {
		return "/dev/shm"
	}
	return ""
}

// Whatever an archive says, nothing outside the directory changes.
func FuzzExtract(f *testing.F) {
	f.Add(tarOf(f, dir("d"), file("d/f", "x"), symlink("d/l", "/tmp"), hardlink("h", "d/f"), file(".wh.d", "")))
	f.Add(tarOf(f, symlink("a", ".."), file("a/victim", "harmed")))
	f.Add(tarOf(f, file("o/.wh..wh..opq", ""), hardlink("b", "../victim"), special("p", tar.TypeFifo)))
	f.Add(tarOf(f, dir("d"), symlink("d/e", "../.."), file("d", "x"), hardlink("d/e/victim", "d")))
	f.Fuzz(func(t *testing.T, data []byte) {
		world, err := os.MkdirTemp(memory(), "image-fuzz-")
		check(t, err)
		defer func() { check(t, os.RemoveAll(world)) }()
		root := filepath.Join(world, "a/b/root")
		write(t, root+"/", "")
		write(t, filepath.Join(world, "victim"), "unharmed")
		_ = extract(context.Background(), bytes.NewReader(data), root, limits{bytes: 1 << 20, entries: 100})
		onlyInside(t, world, root)
	})
}

// A name that begins at the root is one inside of the image, as Cloud Native Buildpacks write all names.
func TestAbsoluteNamesAreInside(t *testing.T) {
	world := openDir(t)
	root := filepath.Join(world, "root")
	write(t, root+"/", "")
	write(t, filepath.Join(world, "victim"), "unharmed")
	archive := tarOf(t, dir("/"), dir("/layers/"), file("/layers/a", "x"), symlink("/layers/b", "/layers/a"), hardlink("/c", "/layers/a"))
	check(t, extract(t.Context(), bytes.NewReader(archive), root, limits{bytes: 1 << 20, entries: 100}))
	onlyInside(t, world, root)
	for _, name := range []string{"layers/a", "c"} {
		if text, err := os.ReadFile(filepath.Join(root, name)); string(text) != "x" {
			t.Errorf("%s is %q, %v", name, text, err)
		}
	}
}
