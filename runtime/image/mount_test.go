package image

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

type way = func(*layers) (*os.File, error)

// ways are the two ways to mount an overlay; kernels since 6.15 know both, others must know the second.
func ways(t testing.TB) map[string]way {
	t.Helper()
	both := map[string]way{"descriptor": (*layers).byDescriptor, "path": (*layers).byPath}
	var u unix.Utsname
	check(t, unix.Uname(&u))
	var major, minor int
	_, err := fmt.Sscanf(string(u.Release[:]), "%d.%d", &major, &minor)
	check(t, err)
	if major < 6 || major == 6 && minor < 15 {
		delete(both, "descriptor")
	}
	return both
}

// mountBy is Overlay bound to one way.
func mountBy(way func(*layers) (*os.File, error), m MountSpec) (f *os.File, err error) {
	l, err := openLayers(m)
	if err != nil {
		return nil, err
	}
	defer l.close()
	err = onOwnThread(func() error {
		var e error
		if e = l.becomeOwner(); e == nil {
			f, e = way(l)
		}
		return e
	})
	return f, err
}

func TestOverlayKeepsOwnersUnshifted(t *testing.T) {
	for name, way := range ways(t) {
		t.Run(name, func(t *testing.T) {
			s := openStore(t)
			base := layer(t, s, "base", "etc/passwd", "root", "bin/x", "1", "bin/y", "2")
			check(t, os.Chown(filepath.Join(base, "bin/y"), 33, 44))
			d, err := s.Draft()
			check(t, err)
			before := mountTable(t)
			m, err := mountBy(way, MountSpec{Lowers: []string{base}, Upper: d.Dir, Work: d.Work, UserNS: userns(t)})
			check(t, err)
			equal(t, "host's mounts", mountTable(t), before)
			out := inside(t, m, `
				stat -c '%n %u:%g' . etc/passwd bin/x bin/y
				echo more >> etc/passwd; chown 33:33 bin/x; mkdir -p new/dir; echo n > new/dir/f; ln -s f new/dir/l`)
			check(t, m.Close())
			equal(t, "owners inside", out, ". 0:0\netc/passwd 0:0\nbin/x 0:0\nbin/y 33:44")
			check(t, d.Commit("next"))
			next := s.Dir("next")
			equal(t, "committed", owners(t, next), "bin/x 33:33, etc/passwd 0:0, new/dir/f 0:0, new/dir/l 0:0")
			equal(t, "base", owners(t, base), "bin/x 0:0, bin/y 33:44, etc/passwd 0:0")
		})
	}
}

// What a container deletes, renames and replaces must be the same when its upper is a lower.
func TestUpperBecomesLower(t *testing.T) {
	for name, way := range ways(t) {
		t.Run(name, func(t *testing.T) {
			s, ns := openStore(t), userns(t)
			base := layer(t, s, "base", "gone", "", "dir/a", "a", "dir/b", "b", "moved/x", "x", "moved/deep/y", "y",
				"again/old", "old", "file2dir", "f", "dir2file/in", "i", "emptied/e", "e")
			lowers := []string{base}
			for i, script := range []string{`
				rm gone dir/a; mv moved elsewhere; rm -r again; mkdir again; echo new > again/new
				rm file2dir; mkdir file2dir; echo in > file2dir/in; rm -r dir2file; echo f > dir2file; rm emptied/e`,
				`echo back > gone; rm -r elsewhere/deep; rm -r again; mkdir again; rm dir/b`,
			} {
				d, err := s.Draft()
				check(t, err)
				m, err := mountBy(way, MountSpec{Lowers: lowers, Upper: d.Dir, Work: d.Work, UserNS: ns})
				check(t, err)
				inside(t, m, script)
				check(t, m.Close())
				name := fmt.Sprintf("step%d", i)
				check(t, d.Commit(name))
				lowers = append(lowers, s.Dir(name))
			}
			for i, want := range []string{
				"again/old dir/a dir/b dir2file/in emptied/e file2dir gone moved/deep/y moved/x",
				"again/new dir/b dir2file elsewhere/deep/y elsewhere/x file2dir/in gone-",
				"dir2file elsewhere/x file2dir/in gone",
			} {
				m, err := mountBy(way, MountSpec{Lowers: append(lowers[:i+1:i+1], openDir(t)), UserNS: ns})
				check(t, err)
				got := strings.ReplaceAll(inside(t, m, `find . ! -type d | sort | sed 's,^\./,,'`), "\n", " ")
				check(t, m.Close())
				equal(t, fmt.Sprintf("after %d steps", i), got, strings.TrimSuffix(want, " gone-"))
			}
		})
	}
}

func TestReadOnlyMounts(t *testing.T) {
	s, ns := openStore(t), userns(t)
	a, b := layer(t, s, "a", "f", "lower", "g", "g"), layer(t, s, "b", "f", "upper")
	for _, c := range []struct {
		lowers []string
		want   string
	}{{[]string{a}, "lower"}, {[]string{a, b}, "upper"}, {[]string{b, a}, "lower"}} {
		m, err := Overlay(MountSpec{Lowers: c.lowers, UserNS: ns})
		check(t, err)
		out := inside(t, m, `cat f; stat -c ' %u' f; touch f 2>/dev/null && echo writable || true`)
		equal(t, fmt.Sprint(c.lowers), out, c.want+" 0")
		check(t, m.Close())
	}
}

func TestOverlayWithoutIDMap(t *testing.T) {
	s := openStore(t)
	a := layer(t, s, "a", "f", "a")
	d, err := s.Draft()
	check(t, err)
	m, err := Overlay(MountSpec{Lowers: []string{a}, Upper: d.Dir, Work: d.Work})
	check(t, err)
	fd, err := unix.Openat(int(m.Fd()), "new", unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	check(t, err)
	check(t, errors.Join(unix.Close(fd), m.Close(), d.Commit("b")))
	equal(t, "owners", owners(t, s.Dir("b")), "new 0:0")
}

func TestNoLowerIsAPlainMount(t *testing.T) {
	s := openStore(t)
	d, err := s.Draft()
	check(t, err)
	m, err := Overlay(MountSpec{Upper: d.Dir, Work: d.Work, UserNS: userns(t)})
	check(t, err)
	inside(t, m, `mkdir etc; echo x > etc/f; chown 5 etc/f`)
	check(t, m.Close())
	check(t, d.Commit("base"))
	equal(t, "owners", owners(t, s.Dir("base")), "etc/f 5:0")
}

// An overlay is mounted on the same upper and work again, as two commands of one step need it.
func TestUpperIsMountedAgain(t *testing.T) {
	s, ns := openStore(t), userns(t)
	a := layer(t, s, "a", "f", "a")
	d, err := s.Draft()
	check(t, err)
	for i := range 3 {
		m, err := Overlay(MountSpec{Lowers: []string{a}, Upper: d.Dir, Work: d.Work, UserNS: ns})
		check(t, err)
		inside(t, m, fmt.Sprintf("touch n%d; rm -f f; ls", i))
		check(t, m.Close())
	}
	check(t, d.Commit("b"))
	equal(t, "owners", owners(t, s.Dir("b")), "f 0:0, n0 0:0, n1 0:0, n2 0:0")
}

func TestHundredLayers(t *testing.T) {
	for name, way := range ways(t) {
		t.Run(name, func(t *testing.T) {
			s := openStore(t)
			var lowers []string
			for i := range 100 {
				dir := filepath.Join(s.dir, "layers", fmt.Sprintf("a-rather-long-layer-name-to-fill-a-page-%d", i))
				write(t, filepath.Join(dir, fmt.Sprintf("f%d", i)), "")
				lowers = append(lowers, dir)
			}
			m, err := mountBy(way, MountSpec{Lowers: lowers, UserNS: userns(t)})
			check(t, err)
			equal(t, "files", inside(t, m, "ls | wc -l"), "100")
			check(t, m.Close())
		})
	}
}

// A file capability of a layer counts inside, as if the container's root had set it.
func TestFileCapabilitiesSurviveTheMapping(t *testing.T) {
	s := openStore(t)
	base := layer(t, s, "base", "f", "x")
	v2 := []byte{1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0} // cap_net_bind_service=ep
	check(t, unix.Setxattr(filepath.Join(base, "f"), "security.capability", v2, 0))
	d, err := s.Draft()
	check(t, err)
	m, err := Overlay(MountSpec{Lowers: []string{base}, Upper: d.Dir, Work: d.Work, UserNS: userns(t)})
	check(t, err)
	inside(t, m, `cp --preserve=all f g; mv f h`)
	check(t, m.Close())
	got := make([]byte, 64)
	n, err := unix.Getxattr(filepath.Join(d.Dir, "h"), "security.capability", got)
	check(t, err)
	if !bytes.Equal(got[:n], v2) {
		t.Errorf("copied up capability % x", got[:n])
	}
	check(t, d.Discard())
}

func TestBind(t *testing.T) {
	ns, dir := userns(t), openDir(t)
	write(t, filepath.Join(dir, "d/f"), "hello")
	check(t, os.Symlink("d", filepath.Join(dir, "link")))
	m, err := Bind(filepath.Join(dir, "d"), false, ns)
	check(t, err)
	equal(t, "inside", inside(t, m, "stat -c %u f; cat f; touch mine"), "0\nhello")
	check(t, m.Close())
	equal(t, "owners", owners(t, filepath.Join(dir, "d")), "f 0:0, mine 0:0")

	m, err = Bind(filepath.Join(dir, "d"), true, ns)
	check(t, err)
	out, err := tryInside(t, m, "touch other")
	if err == nil || !strings.Contains(out, "Read-only") {
		t.Errorf("write to a read-only bind: %v %s", err, out)
	}
	check(t, m.Close())

	f, err := Bind(filepath.Join(dir, "d/f"), true, nil)
	check(t, err)
	check(t, f.Close())
	for _, bad := range []string{filepath.Join(dir, "link"), filepath.Join(dir, "none"), "/proc/self/root/etc"} {
		if m, err := Bind(bad, true, nil); err == nil {
			t.Errorf("bind of %s worked", bad)
			_ = m.Close()
		}
	}
}

func TestBadSpecs(t *testing.T) {
	dir := openDir(t)
	for _, m := range []MountSpec{
		{}, {Lowers: []string{"relative"}}, {Lowers: []string{dir}, Upper: dir + "/u"},
		{Lowers: []string{dir + "/none"}}, {Lowers: []string{dir}, Upper: dir + "/u", Work: dir + "/w"},
	} {
		if f, err := Overlay(m); err == nil {
			t.Errorf("%+v worked", m)
			_ = f.Close()
		}
	}
}

func TestUserNSMapsTheRange(t *testing.T) {
	dir := layer(t, openStore(t), "a", "f", "")
	for name, open := range map[string]func(base, size uint32) (*os.File, error){"traced": UserNS, "waiting": waitingUserNS} {
		ns, err := open(testBase, testSize)
		check(t, err)
		m, err := Bind(dir, true, ns)
		check(t, err)
		var st unix.Stat_t
		check(t, unix.Fstatat(int(m.Fd()), "f", &st, 0))
		equal(t, name+": owner", fmt.Sprintf("%d:%d", st.Uid, st.Gid), fmt.Sprintf("%d:%d", testBase, testBase))
		check(t, errors.Join(m.Close(), ns.Close()))
	}
}

func owners(t *testing.T, root string) string {
	t.Helper()
	var all []string
	check(t, filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		fi, err := d.Info()
		if err == nil {
			st := fi.Sys().(*syscall.Stat_t)
			rel, _ := filepath.Rel(root, path)
			all = append(all, fmt.Sprintf("%s %d:%d", rel, st.Uid, st.Gid))
		}
		return err
	}))
	return strings.Join(all, ", ")
}

// mountTable is the host's, less what other tests on this machine come and go with.
func mountTable(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("/proc/self/mountinfo")
	check(t, err)
	var ours []string
	for line := range strings.Lines(string(data)) {
		if strings.Contains(line, "image-test-") || strings.Contains(line, " layers ") {
			ours = append(ours, line)
		}
	}
	return strings.Join(ours, "")
}

func BenchmarkUserNS(b *testing.B) {
	for b.Loop() {
		f, err := UserNS(testBase, testSize)
		check(b, err)
		check(b, f.Close())
	}
}

func BenchmarkOverlay(b *testing.B) {
	for name, way := range ways(b) {
		b.Run(name, func(b *testing.B) { benchmarkOverlay(b, way) })
	}
}

func benchmarkOverlay(b *testing.B, way func(*layers) (*os.File, error)) {
	s, err := Open(filepath.Join(b.TempDir(), "store"))
	check(b, err)
	ns, err := UserNS(testBase, testSize)
	check(b, err)
	d, err := s.Draft()
	check(b, err)
	lowers := []string{filepath.Join(s.dir, "trash"), filepath.Join(s.dir, "layers"), filepath.Join(s.dir, "drafts")}
	for b.Loop() {
		m, err := mountBy(way, MountSpec{Lowers: lowers, Upper: d.Dir, Work: d.Work, UserNS: ns})
		check(b, err)
		check(b, m.Close())
	}
	check(b, errors.Join(d.Discard(), ns.Close()))
}
