package image

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// reducedStore is one that shifts owners by copying, as on a host that cannot map them.
func reducedStore(t *testing.T) *Store {
	t.Helper()
	s, err := OpenWith(Options{Dir: filepath.Join(openDir(t), "store"), Shift: true})
	check(t, err)
	return s
}

func testIDs(t *testing.T) IDRange { return IDRange{Base: testBase, Size: testSize, UserNS: userns(t)} }

func TestThisHostMapsIDs(t *testing.T) {
	s := openStore(t)
	why, err := s.Reduced()
	check(t, err)
	equal(t, "reduced", why, "")
	nothingLeft(t, s)
	why, err = reducedStore(t).Reduced()
	check(t, err)
	if why == "" {
		t.Error("a store that shall shift does not")
	}
}

// A container sees and leaves the same, whether owners are mapped or shifted.
func TestShiftedIsLikeMapped(t *testing.T) {
	seen, left := map[string]string{}, map[string]string{}
	for name, s := range map[string]*Store{"mapped": openStore(t), "shifted": reducedStore(t)} {
		fillForShift(t, s)
		d, err := s.Draft()
		check(t, err)
		write(t, filepath.Join(d.Dir, "prepared/f"), "x")
		check(t, os.Chown(filepath.Join(d.Dir, "prepared/f"), 1000, 1000))
		root := Root{Layers: []string{"base", "top"}, Upper: d.Dir, Work: d.Work, IDs: testIDs(t)}
		for _, script := range []string{
			`stat -c '%n %u:%g %a' * bin/* prepared/f; cat bin/plain; cat sparse | wc -c
			echo more >> bin/plain; chown 33:44 bin/plain; mkdir new; ln -s x new/l; cp --preserve=all bin/cap bin/copied; rm gone; rm -r dir; mkdir dir`,
			`stat -c '%n %u:%g %a' bin/* new/*; chown -h 7:7 new/l; chmod 4711 bin/su`,
		} {
			m, err := s.Mount(t.Context(), root)
			check(t, err)
			seen[name] += inside(t, m, script)
			check(t, m.Close())
		}
		check(t, s.Unshift(d.Dir, root.IDs))
		left[name] = withoutTimes(listing(t, d.Dir)) + capsOf(t, filepath.Join(d.Dir, "bin/copied"))
		check(t, d.Discard())
	}
	equal(t, "seen inside", seen["shifted"], seen["mapped"])
	equal(t, "left on the disk", left["shifted"], left["mapped"])
	if !strings.Contains(seen["mapped"], "bin/su 5:6 4755") {
		t.Errorf("the container saw\n%s", seen["mapped"])
	}
}

func fillForShift(t *testing.T, s *Store) {
	t.Helper()
	d, err := s.Draft()
	check(t, err)
	write(t, filepath.Join(d.Dir, "bin/plain"), "plain")
	write(t, filepath.Join(d.Dir, "bin/su"), "su")
	write(t, filepath.Join(d.Dir, "bin/cap"), "cap")
	write(t, filepath.Join(d.Dir, "dir/f"), "f")
	write(t, filepath.Join(d.Dir, "gone"), "g")
	write(t, filepath.Join(d.Dir, "hidden"), "h")
	check(t, os.Link(filepath.Join(d.Dir, "bin/plain"), filepath.Join(d.Dir, "bin/second")))
	check(t, os.Chown(filepath.Join(d.Dir, "bin/su"), 5, 6))
	check(t, os.Chmod(filepath.Join(d.Dir, "bin/su"), 0o755|os.ModeSetuid))
	check(t, unix.Setxattr(filepath.Join(d.Dir, "bin/cap"), capabilityAttr, testCaps(0x02000000), 0))
	check(t, os.WriteFile(filepath.Join(d.Dir, "sparse"), nil, 0o644))
	check(t, os.Truncate(filepath.Join(d.Dir, "sparse"), 8<<20))
	check(t, d.Commit("base"))
	d, err = s.Draft()
	check(t, err)
	check(t, unix.Mknod(filepath.Join(d.Dir, "hidden"), unix.S_IFCHR, 0))
	check(t, d.Commit("top"))
}

// testCaps is cap_net_bind_service=ep.
func testCaps(revision uint32, more ...byte) []byte {
	caps := make([]byte, 20, 24)
	binary.LittleEndian.PutUint32(caps, revision|1)
	caps[5] = 4
	return append(caps, more...)
}

func capsOf(t *testing.T, path string) string {
	t.Helper()
	v, err := attr(path, capabilityAttr)
	check(t, err)
	return string(v)
}

func withoutTimes(listing string) string {
	var lines []string
	for line := range strings.Lines(listing) {
		if i := strings.Index(line, " @"); i > 0 {
			line = line[:i] + "\n"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "")
}

// The copies of an app's range are made once, cost what they cost, and go with their layer.
func TestShiftedCopiesAreKeptAndCollected(t *testing.T) {
	s := reducedStore(t)
	layer(t, s, "base", "f", strings.Repeat("x", 100_000))
	before, err := s.Usage()
	check(t, err)
	root := Root{Layers: []string{"base"}, IDs: testIDs(t)}
	var inodes [2]uint64
	for i := range inodes {
		m, err := s.Mount(t.Context(), root)
		check(t, err)
		equal(t, "owner", inside(t, m, "stat -c %u f"), "0")
		var st unix.Stat_t
		check(t, unix.Fstatat(int(m.Fd()), "f", &st, 0))
		inodes[i] = st.Ino
		check(t, m.Close())
	}
	equal(t, "inode the second time", inodes[1], inodes[0])
	after, err := s.Usage()
	check(t, err)
	if after[0].Bytes < before[0].Bytes+100_000 {
		t.Errorf("%d bytes before, %d with a copy", before[0].Bytes, after[0].Bytes)
	}
	check(t, os.Rename(s.Dir("base"), filepath.Join(s.dir, "trash/base")))
	_, err = s.Collect(func(string) bool { return false })
	check(t, err)
	left, err := s.copies("*")
	check(t, err)
	equal(t, "copies left", len(left), 0)
	nothingLeft(t, s)
}

func TestShiftedBind(t *testing.T) {
	s, dir := reducedStore(t), openDir(t)
	write(t, filepath.Join(dir, "d/f"), "hello")
	check(t, os.Chown(filepath.Join(dir, "d/f"), 1000, 1000))
	for range 2 { // the second time it is shifted already
		m, err := s.Bind(filepath.Join(dir, "d"), false, testIDs(t))
		check(t, err)
		equal(t, "inside", inside(t, m, "stat -c %u:%g . f; cat f; touch mine"), "0:0\n1000:1000\nhello")
		check(t, m.Close())
	}
	check(t, s.Unshift(filepath.Join(dir, "d"), testIDs(t)))
	equal(t, "owners", owners(t, filepath.Join(dir, "d")), "f 1000:1000, mine 0:0")
}

func TestCapabilitiesMoveBetweenNamespaces(t *testing.T) {
	root := []byte{0x40, 0x42, 0x0f, 0} // 1,000,000
	for name, c := range map[string]struct {
		by        shifting
		got, want []byte
	}{
		"in":        {IDRange{Base: testBase, Size: testSize}.shift(), testCaps(0x02000000), testCaps(0x03000000, root...)},
		"out":       {IDRange{Base: testBase, Size: testSize}.unshift(), testCaps(0x03000000, root...), testCaps(0x02000000)},
		"in twice":  {IDRange{Base: testBase, Size: testSize}.shift(), testCaps(0x03000000, root...), testCaps(0x03000000, root...)},
		"malformed": {IDRange{Base: testBase, Size: testSize}.shift(), []byte{1, 2}, []byte{1, 2}},
	} {
		equal(t, name, string(c.by.capabilities(c.got)), string(c.want))
	}
}
