package pack

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// git runs real git in dir and returns what it printed.
func git(t *testing.T, dir string, stdin io.Reader, args ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Fatal("these tests need the program git (apt-get install git)")
	}
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Stdin = dir, stdin
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return out
}

var wide = Limits{Bytes: 4 << 30, Objects: 5e6, Object: 1 << 30}

// history is a repository with commits that change a few files, so that git makes deltas of them.
func history(t *testing.T, commits int) string {
	t.Helper()
	dir := t.TempDir()
	git(t, dir, nil, "init", "-q", "-b", "main")
	text := make([]byte, 30000)
	for i := range text {
		text[i] = "abcdefghij klmnop\n"[i*i%18]
	}
	for i := range commits {
		copy(text[i*97%29000:], fmt.Sprintf("line %d\n", i))
		for _, name := range []string{"a.txt", "dir/b.txt", "dir/deep/c.txt"} {
			path := filepath.Join(dir, name)
			must(t, os.MkdirAll(filepath.Dir(path), 0o755))
			must(t, os.WriteFile(path, append(text, name...), 0o644))
		}
		git(t, dir, nil, "add", "-A")
		git(t, dir, nil, "commit", "-q", "-m", fmt.Sprint("commit ", i))
	}
	git(t, dir, nil, "tag", "-a", "v1", "-m", "one")
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// packAll makes one pack of the repository, as a push would.
func packAll(t *testing.T, dir string, args ...string) []byte {
	t.Helper()
	list := git(t, dir, nil, "rev-list", "--objects", "--all")
	return git(t, dir, bytes.NewReader(list), append([]string{"pack-objects", "-q", "--stdout"}, args...)...)
}

// receive takes a pack into a new object directory.
func receive(t *testing.T, p []byte) (string, *Received) {
	t.Helper()
	objects := t.TempDir()
	dir := filepath.Join(objects, "pack")
	must(t, os.Mkdir(dir, 0o755))
	r, err := Receive(context.Background(), bytes.NewReader(p), dir, wide)
	must(t, err)
	return objects, r
}

func open(t *testing.T, objects string) *Store {
	t.Helper()
	s, err := OpenStore(t.TempDir(), objects)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

func TestGitReadsWhatWasReceived(t *testing.T) {
	src := history(t, 40)
	for _, args := range [][]string{nil, {"--delta-base-offset"}, {"--depth=0"}, {"--delta-base-offset", "--depth=200", "--window=50"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			objects, r := receive(t, packAll(t, src, args...))
			must(t, r.Missing(func(ID) bool { return false }))
			out := git(t, objects, nil, "verify-pack", "-v", filepath.Join(objects, "pack", r.Name+".idx"))
			if n := strings.Count(string(out), "\n"); n < r.Objects {
				t.Errorf("git sees %d lines for %d objects", n, r.Objects)
			}
			sameObjects(t, src, open(t, objects))
		})
	}
}

// sameObjects compares every object of the repository with the store's.
func sameObjects(t *testing.T, src string, s *Store) {
	t.Helper()
	for line := range strings.Lines(string(git(t, src, nil, "cat-file", "--batch-all-objects", "--batch-check"))) {
		var id, kind string
		var size int64
		_, err := fmt.Sscan(line, &id, &kind, &size)
		must(t, err)
		o, err := s.Open(parseID(t, id))
		must(t, err)
		h := newHash(o.Kind, o.Size)
		_, err = io.Copy(h, o)
		must(t, err)
		must(t, o.Close())
		got, err := sumID(h)
		must(t, err)
		if got.String() != id || o.Kind.String() != kind || o.Size != size {
			t.Fatalf("read %s %s of %d bytes, want %s", o.Kind, got, o.Size, line)
		}
	}
}

func parseID(t *testing.T, hex string) ID {
	t.Helper()
	id, _, err := cutID([]byte("x "+hex+"\n"), "x ")
	must(t, err)
	return id
}

func TestStoreReadsLooseObjects(t *testing.T) {
	src := history(t, 2)
	sameObjects(t, src, open(t, filepath.Join(src, ".git", "objects")))
}

func TestWriteIsReadByGit(t *testing.T) {
	src := history(t, 30)
	objects, _ := receive(t, packAll(t, src, "--delta-base-offset"))
	s := open(t, objects)
	tip := parseID(t, strings.TrimSpace(string(git(t, src, nil, "rev-parse", "v1"))))
	old := parseID(t, strings.TrimSpace(string(git(t, src, nil, "rev-parse", "main~10"))))
	for name, wish := range map[string]Wish{
		"all": {Wants: []ID{tip}}, "some": {Wants: []ID{tip}, Haves: []ID{old}}, "shallow": {Wants: []ID{tip}, Depth: 3},
	} {
		for _, ofs := range []bool{true, false} {
			t.Run(fmt.Sprint(name, ofs), func(t *testing.T) { writeAndIndex(t, s, wish, ofs) })
		}
	}
}

func writeAndIndex(t *testing.T, s *Store, wish Wish, ofs bool) {
	sel, err := s.Select(context.Background(), wish)
	must(t, err)
	var out bytes.Buffer
	must(t, s.Write(context.Background(), &out, sel.Objects, ofs))
	dir := t.TempDir()
	git(t, dir, nil, "init", "-q")
	git(t, dir, &out, "index-pack", "--stdin")
	n := strings.Count(string(git(t, dir, nil, "cat-file", "--batch-all-objects", "--batch-check")), "\n")
	if n != len(sel.Objects) {
		t.Errorf("git has %d objects, %d were sent", n, len(sel.Objects))
	}
	if wish.Depth > 0 && (len(sel.Shallow) != 1 || len(sel.Unshallow) != 0) {
		t.Errorf("shallow %v, unshallow %v", sel.Shallow, sel.Unshallow)
	}
}

func TestBigDeltasWaitInAFile(t *testing.T) {
	dir := t.TempDir()
	git(t, dir, nil, "init", "-q", "-b", "main")
	big := make([]byte, 12<<20)
	_, err := rand.Read(big)
	must(t, err)
	for i := range 4 {
		copy(big[i<<20:], "changed a little")
		must(t, os.WriteFile(filepath.Join(dir, "big"), big, 0o644))
		git(t, dir, nil, "add", "-A")
		git(t, dir, nil, "commit", "-q", "-m", fmt.Sprint(i))
	}
	p := packAll(t, dir, "--delta-base-offset")
	if len(p) > 20<<20 {
		t.Fatalf("git made no deltas: %d bytes", len(p))
	}
	objects, _ := receive(t, p)
	sameObjects(t, dir, open(t, objects))
}

func TestRefused(t *testing.T) {
	src := history(t, 3)
	good := packAll(t, src)
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 0x40
	for name, c := range map[string]struct {
		pack   []byte
		limits Limits
	}{
		"cut":          {good[:len(good)/2], wide},
		"no trailer":   {good[:len(good)-20], wide},
		"flipped":      {flipped, wide},
		"no pack":      {[]byte("hello, is this a pack?"), wide},
		"many objects": {good, Limits{Bytes: 1 << 30, Objects: 3, Object: 1 << 30}},
		"big object":   {good, Limits{Bytes: 1 << 30, Objects: 1e6, Object: 1000}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Receive(context.Background(), bytes.NewReader(c.pack), t.TempDir(), c.limits); err == nil {
				t.Error("it was taken")
			}
		})
	}
}

func TestThinPackIsRefused(t *testing.T) {
	src := history(t, 5)
	thin := git(t, src, strings.NewReader("main\n^main~2\n"), "pack-objects", "-q", "--stdout", "--revs", "--thin")
	_, err := Receive(context.Background(), bytes.NewReader(thin), t.TempDir(), wide)
	if err == nil || !strings.Contains(err.Error(), "thin") {
		t.Errorf("got %v", err)
	}
}

func TestMissingIsFound(t *testing.T) {
	src := history(t, 5)
	part := git(t, src, strings.NewReader("main\n^main~2\n"), "pack-objects", "-q", "--stdout", "--revs")
	_, r := receive(t, part)
	if err := r.Missing(func(ID) bool { return false }); err == nil {
		t.Error("nothing is missing")
	}
	all := open(t, filepath.Join(src, ".git", "objects"))
	must(t, r.Missing(all.Has))
}

func TestTreesThatGitRefuses(t *testing.T) {
	id := strings.Repeat("x", 20)
	for name, body := range map[string]string{
		"dot dot":    "100644 ..\x00" + id,
		"dot":        "40000 .\x00" + id,
		"slash":      "100644 a/b\x00" + id,
		"empty":      "100644 \x00" + id,
		"git":        "40000 .git\x00" + id,
		"GIT":        "40000 .GiT\x00" + id,
		"git~1":      "40000 git~1\x00" + id,
		"git dot":    "40000 .git. .\x00" + id,
		"git stream": "40000 .git::$INDEX\x00" + id,
		"order":      "100644 b\x00" + id + "100644 a\x00" + id,
		"twice":      "100644 a\x00" + id + "100644 a\x00" + id,
		"twins":      "120000 a\x00" + id + "100644 a.b\x00" + id + "40000 a\x00" + id,
		"mode":       "100777 a\x00" + id,
		"cut":        "100644 a\x00" + id[:10],
	} {
		if err := newChecker().tree([]byte(body)); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	fine := "100644 --help\x00" + id + "100664 .gitignore\x00" + id + "40000 a\x00" + id + "100644 \xff\xfe\x00" + id + "160000 \xff\xff\x00" + id
	fine = "100644 --help\x00" + id + fine[len("100644 --help\x00")+20:]
	if err := newChecker().tree([]byte(fine)); err != nil {
		t.Error(err)
	}
}

func FuzzReceive(f *testing.F) {
	f.Add([]byte("PACK\x00\x00\x00\x02\x00\x00\x00\x01\x30x\x9c\x03\x00\x00\x00\x00\x01"))
	f.Add([]byte("PACK\x00\x00\x00\x02\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, p []byte) {
		limits := Limits{Bytes: 1 << 20, Objects: 1000, Object: 1 << 20}
		r, err := Receive(context.Background(), bytes.NewReader(p), t.TempDir(), limits)
		if (r == nil) == (err == nil) {
			t.Fatalf("%v %v", r, err)
		}
	})
}

func FuzzPatch(f *testing.F) {
	f.Add([]byte("base"), []byte{4, 6, 0x90, 4, 2, 'h', 'i'})
	f.Fuzz(func(t *testing.T, from, delta []byte) {
		p, err := readPatch(bytes.NewReader(delta), make([]byte, 1024))
		if err != nil || p.to > 1<<20 {
			return
		}
		var out bytes.Buffer
		if err := p.apply(kept(from), &out); err == nil && int64(out.Len()) != p.to {
			t.Fatalf("made %d bytes, claimed %d", out.Len(), p.to)
		}
	})
}
