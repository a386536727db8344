package buildpacks

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A package's directory hid what another layer had there: Debian's Django was not found below Python's layer.
func TestLayersOfPackagesMerge(t *testing.T) {
	base, upper := t.TempDir(), t.TempDir()
	check(t, os.MkdirAll(filepath.Join(base, "usr/share"), 0o755))
	for _, dir := range []string{"usr/share", "usr/lib/python3"} {
		check(t, os.MkdirAll(filepath.Join(upper, dir), 0o755))
	}
	check(t, opaque(filepath.Join(upper, "usr/share"))) // it took the place of the base's
	check(t, opaque(filepath.Join(upper, "usr/lib")))
	check(t, mergeable(base, upper))
	for dir, want := range map[string]bool{"usr/share": true, "usr/lib": false} {
		_, err := unix.Lgetxattr(filepath.Join(upper, dir), "trusted.overlay.opaque", make([]byte, 1))
		if (err == nil) != want {
			t.Errorf("%s: %v", dir, err)
		}
	}
}
