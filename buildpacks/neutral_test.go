package buildpacks

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"paas/platform"
)

// The base image says nothing of the host that made it.
func TestBaseSaysNothingOfTheHost(t *testing.T) {
	e := hostEngine(t)
	base, err := e.baseLayer(t.Context(), platform.NewStory(t.Output(), nil))
	check(t, err)
	dir := e.Images.Dir(base)
	for _, gone := range []string{"etc/hostname", "etc/machine-id", "etc/apt/apt.conf.d/99mmdebstrap", "etc/passwd-", "var/cache/ldconfig/aux-cache"} {
		if _, err := os.Lstat(filepath.Join(dir, gone)); err == nil {
			t.Errorf("the base has /%s", gone)
		}
	}
	resolv, err := os.ReadFile(filepath.Join(dir, "etc/resolv.conf"))
	if err != nil || len(resolv) > 0 {
		t.Errorf("/etc/resolv.conf is %q, %v", resolv, err)
	}
	conf, err := filepath.Glob(filepath.Join(dir, "etc/apt/apt.conf.d/*"))
	check(t, err)
	for _, name := range conf {
		text, err := os.ReadFile(name)
		check(t, err)
		if strings.Contains(string(text), "Proxy") || strings.Contains(string(text), "Check-") {
			t.Errorf("%s has the host's settings:\n%s", name, text)
		}
	}
	shadow, err := os.ReadFile(filepath.Join(dir, "etc/shadow"))
	if err != nil || !strings.Contains(string(shadow), "app:!:20309:") {
		t.Errorf("/etc/shadow tells the day: %v\n%s", err, shadow)
	}
}

// What was made just now gets the time of the newest file that came out of a package.
func TestNeutralTimes(t *testing.T) {
	dir := t.TempDir()
	packaged, began := time.Unix(1_700_000_000, 0), time.Now().Add(-time.Minute)
	for name, at := range map[string]time.Time{"usr/bin/tool": packaged, "usr/bin/older": packaged.Add(-time.Hour), "etc/made": time.Now()} {
		path := filepath.Join(dir, name)
		check(t, os.MkdirAll(filepath.Dir(path), 0o755))
		check(t, os.WriteFile(path, []byte(name), 0o644))
		check(t, os.Chtimes(path, at, at))
	}
	for _, made := range []string{"etc/apt/apt.conf.d", "var/log/apt"} {
		check(t, os.MkdirAll(filepath.Join(dir, made), 0o755))
	}
	check(t, os.WriteFile(filepath.Join(dir, "etc/hostname"), []byte("secret-name"), 0o644))
	check(t, os.WriteFile(filepath.Join(dir, "etc/apt/apt.conf.d/99mmdebstrap"), []byte(`Acquire::http::Proxy "http://10.0.0.1/";`), 0o644))
	check(t, os.Symlink("tool", filepath.Join(dir, "usr/bin/link")))
	check(t, neutralise(dir, began))
	check(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		check(t, err)
		info, err := d.Info()
		check(t, err)
		if info.ModTime().After(packaged) {
			t.Errorf("%s is of %s", path, info.ModTime())
		}
		return nil
	}))
	for _, gone := range []string{"etc/hostname", "etc/apt/apt.conf.d/99mmdebstrap", "var/log/apt"} {
		if _, err := os.Lstat(filepath.Join(dir, gone)); err == nil {
			t.Errorf("%s is left", gone)
		}
	}
}
