package quota

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// fileSystem mounts a fresh ext4 with project quotas on a loop device. When the kernel cannot, as one
// built without CONFIG_QFMT_V2, it tells so.
func fileSystem(t *testing.T, option string) (dir string, able bool) {
	t.Helper()
	if _, err := exec.LookPath("mkfs.ext4"); err != nil {
		t.Fatal("this test needs mkfs.ext4: apt-get install e2fsprogs")
	}
	home := t.TempDir()
	file, dir := filepath.Join(home, "disk"), filepath.Join(home, "mount")
	must(t, os.Mkdir(dir, 0o700))
	must(t, os.WriteFile(file, nil, 0o600))
	must(t, os.Truncate(file, 64<<20))
	mustRun(t, "mkfs.ext4", "-q", "-O", "quota,project", "-E", "quotatype=prjquota", file)
	out, err := exec.Command("mount", "-o", "loop,"+option, file, dir).CombinedOutput()
	if err != nil {
		t.Logf("mount: %s", out)
		return t.TempDir(), false
	}
	t.Cleanup(func() { mustRun(t, "umount", dir) })
	return dir, true
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustRun(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// kernelHas tells whether the kernel itself says that it knows quotas for ext4.
func kernelHas(t *testing.T) bool {
	t.Helper()
	for _, config := range []string{"/proc/config.gz", "/boot/config-" + release(t)} {
		out, err := exec.Command("zgrep", "-E", "^CONFIG_QFMT_V2=", config).Output()
		if err == nil {
			return len(out) > 0
		}
		if _, missing := os.Stat(config); missing == nil {
			return false // it is there and does not say so
		}
	}
	return true
}

func release(t *testing.T) string {
	t.Helper()
	var u unix.Utsname
	must(t, unix.Uname(&u))
	return string(u.Release[:bytes.IndexByte(u.Release[:], 0)])
}

// A tree that reaches its limit gets EDQUOT; its neighbours and the disk do not notice. Where the kernel
// has no quotas, Set and Probe say so.
func TestLimitsAreKept(t *testing.T) {
	dir, able := fileSystem(t, "prjquota")
	if able != kernelHas(t) {
		t.Fatalf("mounted with prjquota: %v, the kernel's configuration has quotas: %v", able, kernelHas(t))
	}
	if !able {
		unsupported(t, dir)
		return
	}
	if ok, why := Probe(dir); !ok {
		t.Fatal(why)
	}
	small, large := filepath.Join(dir, "small"), filepath.Join(dir, "large")
	projects := map[string]Project{small: limited(t, small, Limits{Bytes: 2 << 20, Files: 10}), large: limited(t, large, Limits{Bytes: 30 << 20})}

	err := asContainer(t, func() error { return os.WriteFile(filepath.Join(small, "f"), make([]byte, 4<<20), 0o600) })
	if !errors.Is(err, unix.EDQUOT) && !errors.Is(err, unix.ENOSPC) {
		t.Errorf("4 MiB into 2: %v", err)
	}
	u, err := Used(dir, projects[small])
	must(t, err)
	if u.Bytes == 0 || u.Bytes > 2<<20 || u.Limits != (Limits{2 << 20, 10}) {
		t.Errorf("usage %+v", u)
	}
	must(t, asContainer(t, func() error {
		return errors.Join(os.WriteFile(filepath.Join(large, "f"), make([]byte, 8<<20), 0o600),
			os.WriteFile(filepath.Join(dir, "free"), make([]byte, 8<<20), 0o600))
	}))
	tooManyFiles(t, small)
	cleared(t, small, projects[small])
}

// asContainer does something without the capability to exceed quotas (CAP_SYS_RESOURCE), which overlayfs
// never uses for those who write through it.
func asContainer(t *testing.T, f func() error) error {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var caps [2]unix.CapUserData
		err := unix.Capget(&head, &caps[0])
		caps[0].Effective &^= 1 << unix.CAP_SYS_RESOURCE
		err = errors.Join(err, unix.Capset(&head, &caps[0]))
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

func limited(t *testing.T, dir string, l Limits) Project {
	t.Helper()
	must(t, os.MkdirAll(filepath.Join(dir, "there"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "there", "already"), []byte("x"), 0o600))
	p, err := Of(dir)
	must(t, err)
	if got, limited := In(dir); limited {
		t.Errorf("before: project %d", got)
	}
	must(t, Set(dir, p, l))
	if got, limited := In(dir); !limited || got != p {
		t.Errorf("after: project %d, %v; want %d", got, limited, p)
	}
	return p
}

// tooManyFiles also shows that directories below belong to the project.
func tooManyFiles(t *testing.T, dir string) {
	t.Helper()
	below := filepath.Join(dir, "there", "b")
	must(t, os.Remove(filepath.Join(dir, "f")))
	must(t, os.MkdirAll(below, 0o700))
	err := asContainer(t, func() (err error) {
		for i := 0; i < 20 && err == nil; i++ {
			err = os.WriteFile(filepath.Join(below, fmt.Sprint(i)), nil, 0o600)
		}
		return err
	})
	if !errors.Is(err, unix.EDQUOT) {
		t.Errorf("20 files where 10 may be: %v", err)
	}
}

func cleared(t *testing.T, dir string, p Project) {
	t.Helper()
	must(t, os.RemoveAll(dir))
	must(t, Clear(filepath.Dir(dir), p))
	u, err := Used(filepath.Dir(dir), p)
	if err == nil && u != (Usage{}) {
		t.Errorf("after the end: %+v", u)
	}
}

// Counting without the mount option is not enough.
func TestWithoutTheMountOption(t *testing.T) {
	dir, able := fileSystem(t, "noquota")
	if !able {
		unsupported(t, dir)
		return
	}
	ok, why := Probe(dir)
	if ok || !strings.Contains(why, "prjquota") {
		t.Errorf("supported %v: %s", ok, why)
	}
}

func TestWhereThereIsNone(t *testing.T) { unsupported(t, "/proc/sys") }

func unsupported(t *testing.T, dir string) {
	t.Helper()
	ok, why := Probe(dir)
	if ok || !strings.Contains(why, ErrUnsupported.Error()) {
		t.Errorf("supported %v: %s", ok, why)
	}
	if err := Set(dir, ownProjects+1, Limits{Bytes: 1 << 20}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("set: %v", err)
	}
}
