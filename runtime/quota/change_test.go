package quota

import (
	"os"
	"path/filepath"
	"testing"
)

// A limit moves while files are there.
func TestLimitChanges(t *testing.T) {
	dir, able := fileSystem(t, "prjquota")
	if !able {
		unsupported(t, dir)
		return
	}
	tree := filepath.Join(dir, "tree")
	p := limited(t, tree, Limits{Bytes: 1 << 20})
	write := func() error {
		return asContainer(t, func() error { return os.WriteFile(filepath.Join(tree, "f"), make([]byte, 4<<20), 0o600) })
	}
	if write() == nil {
		t.Error("4 MiB into 1")
	}
	must(t, Change(tree, p, Limits{Bytes: 8 << 20}))
	must(t, write())
	must(t, Change(tree, p, Limits{}))
	u, err := Used(dir, p)
	must(t, err)
	if u.Limits != (Limits{}) {
		t.Errorf("limits %+v", u.Limits)
	}
}
