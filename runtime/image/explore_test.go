package image

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"paas/platform"
)

// exploring makes three layers with every kind of change.
func exploring(t *testing.T, s *Store) []string {
	t.Helper()
	layer(t, s, "base", "bin/tool", strings.Repeat("t", 1000), "etc/conf", strings.Repeat("c", 100),
		"doc/a", strings.Repeat("d", 500), "doc/deep/b", strings.Repeat("d", 50), "cache/x", strings.Repeat("x", 300), "kind/f", "1234")
	d, err := s.Draft()
	check(t, err)
	write(t, filepath.Join(d.Dir, "etc/conf"), strings.Repeat("c", 200))
	write(t, filepath.Join(d.Dir, "app/main"), strings.Repeat("m", 700))
	check(t, os.Link(filepath.Join(d.Dir, "app/main"), filepath.Join(d.Dir, "app/second")))
	check(t, unix.Mknod(filepath.Join(d.Dir, "doc"), unix.S_IFCHR, 0))
	write(t, filepath.Join(d.Dir, "cache/y"), "yy")
	check(t, unix.Setxattr(filepath.Join(d.Dir, "cache"), opaqueAttr, []byte("y"), 0))
	write(t, filepath.Join(d.Dir, "kind"), "a file now")
	d.Note = "step build: make"
	check(t, d.Commit("build"))
	layer(t, s, "top", "etc/conf", strings.Repeat("c", 10), "doc/new", "n")
	return []string{"base", "build", "top"}
}

func tellChanges(c platform.Changes) string {
	return fmt.Sprintf("+%d/%d ~%d/%d -%d/%d", c.Added.Files, c.Added.Bytes, c.Changed.Files, c.Changed.Bytes, c.Removed.Files, c.Removed.Bytes)
}

func TestExplore(t *testing.T) {
	s := openStore(t)
	c, err := s.Explore(t.Context(), exploring(t, s), "")
	check(t, err)
	var lines []string
	for _, l := range c.Layers {
		lines = append(lines, fmt.Sprintf("%d %s %q %d wasted %d %s", l.Number, l.Layer, l.Note, l.Bytes, l.Wasted, tellChanges(l.Changes)))
	}
	equal(t, "layers", strings.Join(lines, "\n"), strings.TrimSpace(`
1 base "" 1954 wasted 954 +6/1954 ~0/0 -0/0
2 build "step build: make" 912 wasted 200 +4/712 ~1/200 -4/854
3 top "" 11 wasted 0 +1/1 ~1/10 -0/0`))
	equal(t, "sum", fmt.Sprintf("%d wasted %d, %.3f", c.Bytes, c.Wasted, c.Efficiency), "2877 wasted 1154, 0.599")
	equal(t, "waste", fmt.Sprint(c.Waste), "[{/doc/a 500 1} {/cache/x 300 1} {/etc/conf 300 2} {/doc/deep/b 50 1} {/kind/f 4 1}]")
	equal(t, "paths", len(c.Paths), 0)
}

func TestExploreAPath(t *testing.T) {
	s := openStore(t)
	layers := exploring(t, s)
	for below, want := range map[string]string{
		"/": "1 /bin +1/1000, 1 /cache +1/300, 1 /doc +2/550, 1 /etc +1/100, 1 /kind +1/4, 2 /app +2/700, 2 /cache +1/2 -1/300, " +
			"2 /doc -2/550, 2 /etc ~1/200, 2 /kind +1/10 -1/4, 3 /doc +1/1, 3 /etc ~1/10",
		"/doc/":     "1 /doc/a +1/500, 1 /doc/deep +1/50, 2 /doc/a -1/500, 2 /doc/deep -1/50, 3 /doc/new +1/1",
		"etc/conf":  "1 /etc/conf +1/100, 2 /etc/conf ~1/200, 3 /etc/conf ~1/10",
		"/../../do": "",
	} {
		c, err := s.Explore(t.Context(), layers, below)
		check(t, err)
		var lines []string
		for _, p := range c.Paths {
			line := fmt.Sprintf("%d %s", p.Number, p.Path)
			for i, sum := range []platform.Tally{p.Added, p.Changed, p.Removed} {
				if sum.Files > 0 {
					line += fmt.Sprintf(" %c%d/%d", "+~-"[i], sum.Files, sum.Bytes)
				}
			}
			lines = append(lines, line)
		}
		equal(t, below, strings.Join(lines, ", "), want)
	}
}

func TestExploreAnEmptyImage(t *testing.T) {
	c, err := openStore(t).Explore(t.Context(), nil, "")
	check(t, err)
	equal(t, "efficiency", c.Efficiency, 1)
}
