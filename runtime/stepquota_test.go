package runtime

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"paas/platform"
	"paas/runtime/quota"
	"paas/runtime/runtimetest/sandbox"
)

// quotaDisk mounts a fresh ext4 that keeps project quotas, on a loop device; false where the kernel has none for it
// (CONFIG_QFMT_V2).
func quotaDisk(t *testing.T) (dir string, able bool) {
	t.Helper()
	if _, err := exec.LookPath("mkfs.ext4"); err != nil {
		t.Fatal("this test needs mkfs.ext4: apt-get install e2fsprogs")
	}
	home := t.TempDir()
	file, dir := filepath.Join(home, "disk"), filepath.Join(home, "mount")
	check(t, os.Mkdir(dir, 0o700))
	check(t, os.WriteFile(file, nil, 0o600))
	check(t, os.Truncate(file, 128<<20))
	out, err := exec.Command("mkfs.ext4", "-q", "-O", "quota,project", "-E", "quotatype=prjquota", file).CombinedOutput()
	if err != nil {
		t.Fatalf("mkfs.ext4: %v\n%s", err, out)
	}
	option := "loop,prjquota"
	if out, err = exec.Command("mount", "-o", option, file, dir).CombinedOutput(); err != nil {
		t.Logf("this kernel keeps no quotas of ext4: %s", out)
		return t.TempDir(), false
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v\n%s", err, out)
		}
	})
	return dir, true
}

// quotaStep is a step that writes to the disk: a layer and a cache, as builds have them.
func (b *bench) quotaStep(disk, script string) platform.StepSpec {
	b.t.Helper()
	s, discard := b.step(script)
	b.t.Cleanup(discard)
	home, err := os.MkdirTemp(disk, "draft-")
	check(b.t, err)
	cache := filepath.Join(disk, "cache")
	check(b.t, os.MkdirAll(cache, 0o777))
	s.Upper = filepath.Join(home, "fs")
	check(b.t, os.Mkdir(s.Upper, 0o755))
	s.Limits.Disk = 8 << 20
	s.Binds = []platform.Bind{{Source: cache, Target: "/cache"}}
	return s
}

// Where the file system keeps quotas, the kernel refuses a step more disk than it may write, in one file, in its cache,
// and at once; what it left there before does not count. Elsewhere the files are looked at, with the same end.
func TestStepDiskQuota(t *testing.T) {
	b := newBench(t)
	disk, able := quotaDisk(t)
	for _, c := range []struct {
		name, script string
		over         platform.Resource
	}{
		{"a layer", "dd if=/dev/zero of=/fill bs=1M count=40 && sleep 100", platform.DiskResource},
		{"what fits", "dd if=/dev/zero of=/cache/kept bs=1M count=6", ""},
		{"a cache that has something", "dd if=/dev/zero of=/cache/more bs=1M count=6 && mv /cache/kept /cache/moved", ""},
		{"a cache", "dd if=/dev/zero of=/cache/fill bs=1M count=40 && sleep 100", platform.DiskResource},
		{"both together", "dd if=/dev/zero of=/fill bs=1M count=6; dd if=/dev/zero of=/cache/half bs=1M count=6; sleep 100", platform.DiskResource},
	} {
		if !able && c.name == "a cache that has something" {
			continue // what was written a moment before the step counts where files are looked at
		}
		s := b.quotaStep(disk, c.script)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		var out sandbox.Buffer
		exit, err := b.Step(ctx, s, io.Writer(&out))
		cancel()
		if err != nil || exit.Over != c.over || (exit.Code == 0) != (c.over == "") {
			t.Errorf("%s: %+v, %v\n%s", c.name, exit, err, out.String())
		}
		info, statErr := os.Stat(filepath.Join(s.Upper, "fill"))
		if able && statErr == nil && info.Size() > s.Limits.Disk {
			t.Errorf("%s: it wrote %d bytes", c.name, info.Size())
		}
		if project, in := quota.In(s.Upper); in {
			used, err := quota.Used(disk, project)
			if err != nil || used.Limits != (quota.Limits{}) {
				t.Errorf("%s: a limit is left: %+v, %v", c.name, used, err)
			}
		}
		_ = os.Remove(filepath.Join(disk, "cache", "fill"))
		_ = os.RemoveAll(filepath.Dir(s.Upper))
	}
	if q, err := boundStep(b.quotaStep(disk, "true")); err != nil || (q != nil) != able {
		t.Errorf("the step is bounded: %v, %v", q, err)
	}
}
