package runtime

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"paas/platform"
	"paas/runtime/runtimetest/sandbox"
)

func baseLayers() []string { return []string{baseLayer} }

// entries reads an archive: "type name owner: content or target".
func entries(t testing.TB, r io.Reader) (list []string) {
	t.Helper()
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		if err == io.EOF {
			return list
		}
		check(t, err)
		content, err := io.ReadAll(archive)
		check(t, err)
		list = append(list, fmt.Sprintf("%c %s %d:%d %o %s%s", h.Typeflag, h.Name, h.Uid, h.Gid, h.Mode, content, h.Linkname))
	}
}

func archiveOf(t testing.TB, heads ...tar.Header) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range heads {
		content := h.Uname // the test's way to say what is in a file
		h.Uname = ""
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(content))
		}
		if h.Mode == 0 {
			h.Mode = 0o640
		}
		check(t, w.WriteHeader(&h))
		if h.Typeflag == tar.TypeReg {
			_, err := io.WriteString(w, content)
			check(t, err)
		}
	}
	check(t, w.Close())
	return &b
}

func (b *bench) inside(id platform.InstanceID, script string) string {
	b.t.Helper()
	var out sandbox.Buffer
	exit, err := b.Exec(context.Background(), id, []string{"/bin/sh", "-c", script}, &out)
	check(b.t, err)
	if exit.Code != 0 {
		b.t.Fatalf("%s: exit %d: %s", script, exit.Code, out.String())
	}
	return strings.TrimSpace(out.String())
}

func TestCopyOut(t *testing.T) {
	b := newBench(t)
	i := b.start(`mkdir -p d/e; echo one > d/one; ln d/one d/two; ln -s /etc/passwd d/link; mkfifo d/pipe; chmod 750 d/e; ln -s d short; echo ready; exec sleep 1000`)
	b.awaitLine("ready")
	var out bytes.Buffer
	check(t, b.CopyOut(context.Background(), i.ID, "/app/short/../d", &out))
	got := entries(t, &out)
	slices.Sort(got[1:])
	want := []string{
		"5 d/ 1000:1000 755 ", "0 d/one 1000:1000 644 one\n", "1 d/two 1000:1000 644 d/one",
		"2 d/link 1000:1000 777 /etc/passwd", "5 d/e/ 1000:1000 750 ", "6 d/pipe 1000:1000 644 ",
	}
	slices.Sort(want[1:])
	// Which of two names comes first is the directory's order.
	if !slices.Equal(got, want) && !slices.ContainsFunc(got, func(s string) bool { return s == "0 d/two 1000:1000 644 one\n" }) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	out.Reset()
	check(t, b.CopyOut(context.Background(), i.ID, "app/short/one", &out))
	equal(t, "a file through a symlink", entries(t, &out)[0], "0 one 1000:1000 644 one\n")
	err := b.CopyOut(context.Background(), i.ID, "/nothing/here", io.Discard)
	equal(t, "missing", platform.KindOf(err), platform.NotFound)
}

// What is on the kernel's file systems would be read with the rights of the host's root.
func TestCopyOutLeavesTheKernelAlone(t *testing.T) {
	b := newBench(t)
	i := b.start("ln -s /proc/1 self; echo ready; exec sleep 1000")
	b.awaitLine("ready")
	for _, path := range []string{"/proc/1/environ", "/proc/1/root/etc/passwd", "/proc", "/app/self/environ", "/sys/kernel", "/dev/pts"} {
		err := b.CopyOut(context.Background(), i.ID, path, io.Discard)
		equal(t, path, platform.KindOf(err), platform.Denied)
	}
	var out bytes.Buffer
	check(t, b.CopyOut(context.Background(), i.ID, "/dev", &out))
	for _, e := range entries(t, &out) {
		if !strings.HasPrefix(e, "5 ") && !strings.HasPrefix(e, "2 ") {
			t.Errorf("copied %s", e)
		}
	}
}

// A process of the container that swaps a directory for a symlink to / all the time gets nothing of the
// host out (CVE-2018-15664), and nothing of the host is written.
func TestCopyRacesWithSymlinks(t *testing.T) {
	b := newBench(t)
	secret := filepath.Join(t.TempDir(), "secret")
	check(t, os.WriteFile(secret, []byte("of the host"), 0o644))
	up := strings.Repeat("../", 20)
	i := b.start(fmt.Sprintf(`d=$(dirname %s); mkdir -p /app$d /app/real$d; echo mine > /app/real%s
		cd /app; ln -s %s/ evil; cp -r real x; echo ready
		while :; do mv x y; ln -s / x; rm x; ln -s %s x; rm x; mv y x; done`, secret, secret, up, up))
	b.awaitLine("ready")
	deadline := time.Now().Add(2 * time.Second)
	for n := 0; time.Now().Before(deadline); n++ {
		var out bytes.Buffer
		if err := b.CopyOut(context.Background(), i.ID, "/app/x"+secret, &out); err == nil {
			equal(t, "content", entries(t, &out)[0], "0 secret 1000:1000 644 mine\n")
		}
		in := platform.CopyIn{Dir: "/app/x" + filepath.Dir(secret), UID: 1000, GID: 1000}
		_ = b.CopyIn(context.Background(), i.ID, in, archiveOf(t, tar.Header{Typeflag: tar.TypeReg, Name: "planted", Uname: "x"}))
	}
	all, err := os.ReadDir(filepath.Dir(secret))
	check(t, err)
	equal(t, "files of the host", len(all), 1)
	var out bytes.Buffer
	err = b.CopyOut(context.Background(), i.ID, "/app/evil"+secret, &out)
	equal(t, "through ..", platform.KindOf(err), platform.NotFound)
}

func TestCopyIn(t *testing.T) {
	b := newBench(t)
	i := b.start("mkdir there; echo old > there/file; chmod 700 there; echo ready; exec sleep 1000")
	b.awaitLine("ready")
	heads := []tar.Header{
		{Typeflag: tar.TypeDir, Name: "there/", Mode: 0o755, Uid: 7, Gid: 7},
		{Typeflag: tar.TypeReg, Name: "there/file", Uname: "new\n", Uid: 7, Gid: 8, Mode: 0o4755},
		{Typeflag: tar.TypeReg, Name: "a/b/c", Uname: "deep", ModTime: time.Unix(1e9, 0)},
		{Typeflag: tar.TypeSymlink, Name: "a/link", Linkname: "b/c"},
		{Typeflag: tar.TypeLink, Name: "a/hard", Linkname: "a/b/c"},
	}
	in := platform.CopyIn{Dir: "/app", UID: 1000, GID: 1000}
	check(t, b.CopyIn(context.Background(), i.ID, in, archiveOf(t, heads...)))
	equal(t, "file", b.inside(i.ID, "cat there/file; stat -c '%u:%g %a' there there/file a a/b a/b/c a/hard"),
		"new\n1000:1000 700\n1000:1000 755\n1000:1000 755\n1000:1000 755\n1000:1000 640\n1000:1000 640")
	equal(t, "link", b.inside(i.ID, "readlink a/link; cat a/link; stat -c '%h %Y' a/hard"), "b/c\ndeep2 1000000000")
	in.Owners = true
	check(t, b.CopyIn(context.Background(), i.ID, in, archiveOf(t, heads...)))
	equal(t, "kept", b.inside(i.ID, "stat -c '%u:%g %a' there/file"), "7:8 4755")
}

func TestCopyInRefuses(t *testing.T) {
	b := newBench(t)
	i := b.start("ln -s /etc out; mkdir dir; echo ready; exec sleep 1000")
	b.awaitLine("ready")
	for _, c := range []struct {
		dir  string
		head tar.Header
		want platform.Kind
	}{
		{"/app", tar.Header{Typeflag: tar.TypeReg, Name: "../etc/x"}, platform.Denied},
		{"/app", tar.Header{Typeflag: tar.TypeReg, Name: "dir/../../x"}, platform.Denied},
		{"/app", tar.Header{Typeflag: tar.TypeReg, Name: "out/x"}, platform.Denied},
		{"/app", tar.Header{Typeflag: tar.TypeChar, Name: "null", Devmajor: 1, Devminor: 3}, platform.Denied},
		{"/app", tar.Header{Typeflag: tar.TypeReg, Name: "dir"}, platform.Conflict},
		{"/app", tar.Header{Typeflag: tar.TypeDir, Name: "out"}, platform.Conflict},
		{"/proc/self", tar.Header{Typeflag: tar.TypeReg, Name: "comm"}, platform.NotFound},
		{"/proc/1", tar.Header{Typeflag: tar.TypeReg, Name: "comm"}, platform.Denied},
		{"/", tar.Header{Typeflag: tar.TypeReg, Name: "proc/1/oom_score_adj"}, platform.Denied},
		{"/none", tar.Header{Typeflag: tar.TypeReg, Name: "x"}, platform.NotFound},
		{"/proc/1/cwd", tar.Header{Typeflag: tar.TypeReg, Name: "x"}, platform.Denied},
		{"/app", tar.Header{Typeflag: tar.TypeLink, Name: "hard", Linkname: "/etc/shadow"}, platform.Failed},
		{"/app", tar.Header{Typeflag: tar.TypeReg, Name: strings.Repeat("x", 300)}, platform.Failed},
	} {
		err := b.CopyIn(context.Background(), i.ID, platform.CopyIn{Dir: c.dir}, archiveOf(t, c.head))
		if platform.KindOf(err) != c.want && (c.dir != "/proc/self" || err == nil) {
			t.Errorf("%s in %s: %v", c.head.Name, c.dir, err)
		}
	}
	err := b.CopyIn(context.Background(), i.ID, platform.CopyIn{Dir: "/app"}, strings.NewReader("no archive"))
	equal(t, "no archive", platform.KindOf(err), platform.Failed)
	err = b.CopyIn(context.Background(), i.ID, platform.CopyIn{Dir: "/app", Owners: true},
		archiveOf(t, tar.Header{Typeflag: tar.TypeReg, Name: "x", Uid: 70000}))
	equal(t, "id", platform.KindOf(err), platform.Failed)
	equal(t, "etc", b.inside(i.ID, "ls /etc/x 2>/dev/null || echo none"), "none")
}

func TestCopyWhilePaused(t *testing.T) {
	b := newBench(t)
	i := b.start("echo x > file; echo ready; exec sleep 1000")
	b.awaitLine("ready")
	check(t, b.Pause(context.Background(), i.ID))
	var out bytes.Buffer
	check(t, b.CopyOut(context.Background(), i.ID, "/app/file", &out))
	equal(t, "entry", entries(t, &out)[0], "0 file 1000:1000 644 x\n")
}

func (b *bench) changes(id platform.InstanceID) string {
	b.t.Helper()
	list, err := b.Changes(context.Background(), id, baseLayers())
	check(b.t, err)
	var lines []string
	for _, c := range list {
		lines = append(lines, string(c.Kind)+" "+c.Path)
	}
	return strings.Join(lines, "\n")
}

func TestChanges(t *testing.T) {
	b := newBench(t)
	s := asRoot(spec(`echo more >> /etc/passwd; rm /bin/true; mkdir /new; echo x > /new/file; chmod 700 /var
		rm -r /usr/bin; mkdir /usr/bin; touch /usr/bin/tool; rm -r /tmp; echo x > /tmp; mkdir /gone; rmdir /gone; echo ready; exec sleep 1000`))
	i, err := b.Start(context.Background(), s)
	check(t, err)
	b.awaitLine("ready")
	want := "D /bin/true\nC /etc/passwd\nA /new\nA /new/file\nC /tmp\nA /usr/bin/tool\nC /var"
	got := b.changes(i.ID)
	if strings.ReplaceAll(got, "\nA /run", "") != want {
		t.Errorf("changes:\n%s\nwant:\n%s", got, want)
	}
}

func TestChangesOfNothing(t *testing.T) {
	b := newBench(t)
	i := b.start("echo ready; exec sleep 1000")
	b.awaitLine("ready")
	equal(t, "changes", b.changes(i.ID), "")
}

func TestCommit(t *testing.T) {
	b := newBench(t)
	script := `umask 022; echo more >> /etc/passwd; rm /bin/true; mkdir /new; echo x > /new/file; ln /new/file /new/again
		ln -s file /new/link; rm -r /usr/bin; mkdir /usr/bin; truncate -s 3000000 /new/sparse; chown 7:8 /new/file; chmod 4755 /new/file
		touch -d 2001-09-09 /new/file; echo ready; exec sleep 1000`
	s := asRoot(spec(script))
	i, err := b.Start(context.Background(), s)
	check(t, err)
	b.awaitLine("ready")
	layer, err := b.Commit(context.Background(), i.ID)
	check(t, err)
	equal(t, "it goes on", b.inside(i.ID, "echo yes"), "yes")
	again, err := b.Commit(context.Background(), i.ID)
	check(t, err)
	equal(t, "equal writes, equal layers", again, layer)

	s.Image.Layers = []string{baseLayer, layer}
	s.Command = []string{"/bin/sh", "-c", `tail -n 1 /etc/passwd; ls /bin/true /usr/bin 2>/dev/null
		stat -c '%u:%g %a %h %Y' /new/file; readlink /new/link; cat /new/again; stat -c %s /new/sparse; ls -d /dev /proc /etc/hosts`}
	out := b.output(s)
	for _, want := range []string{"more", "7:8 4755 2 ", "file", "x", "3000000"} {
		if !strings.Contains(out, want) {
			t.Errorf("the image lacks %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "/bin/true") {
		t.Errorf("a deleted file is back:\n%s", out)
	}
	for _, name := range []string{"dev/null", "proc", "sys"} {
		if len(glob(t, filepath.Join(b.images.Dir(layer), name))) > 0 {
			t.Errorf("the layer has %s", name)
		}
	}
}

func TestCommitOfPausedStaysPaused(t *testing.T) {
	b := newBench(t)
	i := b.start("echo x > file; echo ready; exec sleep 1000")
	b.awaitLine("ready")
	check(t, b.Pause(context.Background(), i.ID))
	_, err := b.Commit(context.Background(), i.ID)
	check(t, err)
	all, err := b.Instances(context.Background())
	check(t, err)
	equal(t, "paused", all[0].Paused, true)
	_, err = b.Exec(context.Background(), i.ID, []string{"true"}, &sandbox.Buffer{})
	equal(t, "kind", platform.KindOf(err), platform.Conflict)
}

// A daemon that dies in the middle of a commit or a copy leaves an instance that runs, and no layer.
func TestDaemonDiesWhileItCommits(t *testing.T) {
	b := newBench(t)
	for round := range 4 {
		id := platform.InstanceID(b.doomed("commit", `head -c 5000000 /dev/urandom > /app/big; echo ready; `+ticking, time.Duration(15+40*round)*time.Millisecond))
		b.open()
		c, err := b.running(id)
		check(t, err)
		f, err := c.freezer()
		check(t, err)
		equal(t, "frozen", f.begun(), false)
		equal(t, "it answers", b.inside(id, "echo yes"), "yes")
		check(t, b.Stop(context.Background(), id, 0))
	}
}
