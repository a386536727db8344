package gitreceive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"paas/platform"
)

// member is an entry of an archive that a test makes.
type member struct {
	name, content, link string
	kind                byte
	mode                int64
}

func tarOf(t *testing.T, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Typeflag: m.kind, Linkname: m.link, Size: int64(len(m.content)), Mode: m.mode | 0o644}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, m.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zipOf(t *testing.T, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, m := range members {
		h := &zip.FileHeader{Name: m.name, Method: zip.Deflate}
		h.SetMode(fs.FileMode(m.mode) | 0o644)
		if m.kind == tar.TypeSymlink {
			h.SetMode(fs.ModeSymlink | 0o777)
			m.content = m.link
		}
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, m.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipped(t *testing.T, p []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(p); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// submit makes a commit of an archive and returns what the platform would see of it.
func submit(t *testing.T, r *Repos, archive []byte, kind string) (listed map[string]string, commit string, err error) {
	t.Helper()
	listed = map[string]string{}
	s := platform.Submission{
		App: platform.App{ID: 7, Name: "blog"}, Branch: "main", Archive: bytes.NewReader(archive), Type: kind,
		Name: "Ann <x>\nparent 1", Email: "ann@example.com", Message: "Deploy blog.tar", At: time.Unix(1_700_000_000, 0).UTC(),
	}
	err = r.Submit(t.Context(), s, func(id string, source platform.Tree) error {
		commit = id
		files, err := source.Files()
		for _, f := range files {
			body, err := source.Open(f.ID)
			if err != nil {
				return err
			}
			text, err := io.ReadAll(body)
			if err = errors.Join(err, body.Close()); err != nil {
				return err
			}
			listed[f.Path] = string(text)
			switch f.Mode {
			case platform.Symlink:
				listed[f.Path] = "-> " + listed[f.Path]
			case platform.Executable:
				listed[f.Path] += " (x)"
			}
		}
		return err
	})
	return listed, commit, err
}

func testRepos(t *testing.T) *Repos {
	t.Helper()
	r, err := OpenRepos(filepath.Join(t.TempDir(), "repos"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Archives of every kind become the same tree, the one folder around it left out, and commits on one branch that
// real git finds no fault with.
func TestSubmitArchives(t *testing.T) {
	r := testRepos(t)
	members := []member{
		{name: "blog-1.0/index.html", content: "hello", kind: tar.TypeReg},
		{name: "blog-1.0/bin/run", content: "#!/bin/sh", kind: tar.TypeReg, mode: 0o755},
		{name: "blog-1.0/current", link: "index.html", kind: tar.TypeSymlink},
	}
	plain := tarOf(t, append(members, member{name: "blog-1.0/twin", link: "blog-1.0/index.html", kind: tar.TypeLink},
		member{name: "blog-1.0/empty/", kind: tar.TypeDir})...)
	parent := ""
	for kind, archive := range map[string][]byte{"tar": plain, "tar.gz": gzipped(t, plain), "zip": zipOf(t, members...)} {
		listed, commit, err := submit(t, r, archive, kind)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if listed["index.html"] != "hello" || listed["bin/run"] != "#!/bin/sh (x)" || listed["current"] != "-> index.html" {
			t.Errorf("%s became %v", kind, listed)
		}
		if kind != "zip" && listed["twin"] != "hello" {
			t.Errorf("the hard link became %q", listed["twin"])
		}
		if commit == parent {
			t.Errorf("%s made the same commit", kind)
		}
		parent = commit
	}
	dir := filepath.Join(r.dir, "7.git")
	if out := realGit(t, dir, "fsck", "--strict"); strings.Contains(out, "error") {
		t.Errorf("git fsck: %s", out)
	}
	if out := realGit(t, dir, "log", "--format=%an|%ae|%s", "main"); out != strings.TrimSpace(strings.Repeat("Ann x parent 1|ann@example.com|Deploy blog.tar\n", 3)) {
		t.Errorf("git log: %s", out)
	}
}

// Nothing that leads out of the tree, that git keeps for itself, or that never ends gets in; and nothing of it
// stays behind.
func TestHostileArchives(t *testing.T) {
	r := testRepos(t)
	reg := func(name string) member { return member{name: name, content: "x", kind: tar.TypeReg} }
	tests := map[string][]byte{
		"up":            tarOf(t, reg("../etc/passwd")),
		"up inside":     tarOf(t, reg("a/../../b")),
		"up and down":   tarOf(t, reg("a/../b")),
		"absolute":      tarOf(t, reg("/etc/passwd")),
		"git":           tarOf(t, reg("a/.git/config"), reg("b")),
		"GIT":           zipOf(t, reg(".GIT/hooks/post-checkout"), reg("b")),
		"zip slip":      zipOf(t, reg("../../evil")),
		"device":        tarOf(t, member{name: "null", kind: tar.TypeChar}),
		"fifo":          tarOf(t, member{name: "pipe", kind: tar.TypeFifo}),
		"link out":      tarOf(t, member{name: "l", link: "/etc/passwd", kind: tar.TypeLink}),
		"below a link":  tarOf(t, member{name: "d", link: "/etc", kind: tar.TypeSymlink}, reg("d/passwd")),
		"file, folder":  tarOf(t, reg("a/b"), reg("a")),
		"empty":         nil,
		"no files":      tarOf(t, member{name: "d/", kind: tar.TypeDir}),
		"cut off":       tarOf(t, reg("a"), reg("b"))[:1100],
		"no archive":    bytes.Repeat([]byte("no archive "), 100),
		"gzip of noise": gzipped(t, bytes.Repeat([]byte("noise"), 500)),
	}
	for name, archive := range tests {
		_, commit, err := submit(t, r, archive, "")
		if platform.KindOf(err) != platform.Failed || commit != "" {
			t.Errorf("%s: %v (commit %q)", name, err, commit)
		}
	}
	if _, _, err := submit(t, r, tests["up"], "zip"); err == nil || !strings.Contains(err.Error(), "not a zip") {
		t.Errorf("a tar that is said to be a zip: %v", err)
	}
	if left, _ := os.ReadDir(r.incoming()); len(left) != 0 {
		t.Errorf("the quarantine has %v", left)
	}
}

// A gigabyte of zeros in a few kilobytes is refused while it is unpacked.
func TestArchiveBombs(t *testing.T) {
	r := testRepos(t)
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	if err := w.WriteHeader(&tar.Header{Name: "zeros", Size: maxArchiveBytes + 1, Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil { // what follows would be zeros without end
		t.Fatal(err)
	}
	if _, _, err := submit(t, r, b.Bytes(), ""); err == nil || !strings.Contains(err.Error(), "holds more than") {
		t.Errorf("a bomb: %v", err)
	}
	deep := member{name: strings.Repeat("d/", 2040) + "f", kind: tar.TypeReg}
	many := make([]member, 0, 300)
	for i := range 300 {
		m := deep
		m.name = string(rune('a'+i%26)) + string(rune('a'+i/26)) + "/" + deep.name
		many = append(many, m)
	}
	if _, _, err := submit(t, r, tarOf(t, many...), ""); err == nil || !strings.Contains(err.Error(), "files and folders") {
		t.Errorf("folders without end: %v", err)
	}
	zip := zipOf(t, member{name: "a", content: "x"})
	zip[len(zip)-22+10], zip[len(zip)-22+11] = 0xff, 0xff
	if _, _, err := submit(t, r, zip, ""); err == nil || !strings.Contains(err.Error(), "65,534") {
		t.Errorf("a zip with a list beyond bounds: %v", err)
	}
}

// When the deploy fails the branch stays where it was and the objects are not kept.
func TestFailedSubmitLeavesNothing(t *testing.T) {
	r := testRepos(t)
	s := platform.Submission{App: platform.App{ID: 7, Name: "blog"}, Branch: "main", Name: "ann", Email: "ann@example.com",
		Archive: bytes.NewReader(tarOf(t, member{name: "a", content: "x", kind: tar.TypeReg}))}
	broken := errors.New("the build failed")
	if err := r.Submit(t.Context(), s, func(string, platform.Tree) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("Submit: %v", err)
	}
	if out := realGit(t, filepath.Join(r.dir, "7.git"), "count-objects", "-v"); !strings.Contains(out, "in-pack: 0") {
		t.Errorf("objects stayed: %s", out)
	}
}

// realGit runs real git on a repository.
func realGit(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}
