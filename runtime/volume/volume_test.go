package volume

import (
	"context"
	"os"
	"testing"
)

func TestArea(t *testing.T) {
	a, err := Open(t.TempDir()+"/volumes", func() (string, error) { return "", nil })
	check(t, err)
	check(t, a.Make(1, 0))
	check(t, a.Make(1, 0))
	outside := t.TempDir()
	check(t, os.WriteFile(outside+"/f", make([]byte, 1<<20), 0o600))
	check(t, os.Symlink(outside, a.Path(1)+"/out"))
	check(t, os.WriteFile(a.Path(1)+"/f", make([]byte, 64<<10), 0o600))
	check(t, os.Link(a.Path(1)+"/f", a.Path(1)+"/g"))
	used, err := a.Used(context.Background(), 1)
	check(t, err)
	if used < 64<<10 || used > 128<<10 {
		t.Errorf("it takes %d bytes", used)
	}
	info, err := os.Stat(a.home(1))
	check(t, err)
	if info.Mode().Perm() != 0o700 {
		t.Errorf("others of the host may look in: %v", info.Mode())
	}
	for range 2 {
		check(t, a.Remove(1))
	}
	if _, err := os.Stat(outside + "/f"); err != nil {
		t.Errorf("what a symlink led to is gone: %v", err)
	}
	if ok, why := a.Sharable(); !ok {
		t.Error(why)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
