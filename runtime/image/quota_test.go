package image

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"paas/runtime/quota"
)

// What a container writes through its overlay counts for the quota of its writable layer, and stops at
// it, be it root inside. Kernels without quotas for ext4 must say so.
func TestAContainerStopsAtItsQuota(t *testing.T) {
	dir := quotaDisk(t)
	s, err := Open(filepath.Join(dir, "store"))
	check(t, err)
	if ok, why := s.Quota(); !ok {
		equal(t, "the reason", strings.HasPrefix(why, quota.ErrUnsupported.Error()), true)
		return
	}
	layer(t, s, "base", "f", strings.Repeat("x", 100_000))
	writes := filepath.Join(dir, "writes")
	upper, work := filepath.Join(writes, "fs"), filepath.Join(writes, "work")
	check(t, os.MkdirAll(work, 0o700))
	check(t, mkdirExact(upper))
	project, err := quota.Of(writes)
	check(t, err)
	check(t, quota.Set(writes, project, quota.Limits{Bytes: 2 << 20}))
	m, err := s.Mount(t.Context(), Root{Layers: []string{"base"}, Upper: upper, Work: work, IDs: testIDs(t)})
	check(t, err)
	out, err := tryInside(t, m, "echo more >> f; dd if=/dev/zero of=big bs=64k count=64 2>&1")
	if err == nil || !strings.Contains(out, "quota exceeded") && !strings.Contains(out, "No space left") {
		t.Errorf("4 MiB into 2: %v %s", err, out)
	}
	check(t, m.Close())
	u, err := quota.Used(dir, project)
	check(t, err)
	if u.Bytes < 1<<20 || u.Bytes > 2<<20 {
		t.Errorf("%+v", u)
	}
}

// quotaDisk is an ext4 with project quotas, or any directory where the kernel has none.
func quotaDisk(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("mkfs.ext4"); err != nil {
		t.Fatal("this test needs mkfs.ext4: apt-get install e2fsprogs")
	}
	home := openDir(t)
	file, dir := filepath.Join(home, "disk"), filepath.Join(home, "mount")
	check(t, os.Mkdir(dir, 0o755))
	check(t, os.WriteFile(file, nil, 0o600))
	check(t, os.Truncate(file, 64<<20))
	out, err := exec.Command("mkfs.ext4", "-q", "-O", "quota,project", "-E", "quotatype=prjquota", file).CombinedOutput()
	if err != nil {
		t.Fatalf("mkfs.ext4: %v\n%s", err, out)
	}
	if out, err := exec.Command("mount", "-o", "loop,prjquota", file, dir).CombinedOutput(); err != nil {
		t.Logf("no quotas here: %s", out)
		return home
	}
	t.Cleanup(func() {
		out, err := exec.Command("umount", dir).CombinedOutput()
		if err != nil {
			t.Errorf("umount: %v\n%s", err, out)
		}
	})
	return dir
}
