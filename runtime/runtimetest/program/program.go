// Package program gives tests the programs of this module that they run. It imports nothing of the
// module, so that any package's tests may use it.
package program

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
)

// Dir names the environment variable that names a directory with programs built beforehand: for
// machines without a Go toolchain.
const Dir = "PAAS_TEST_PROGRAMS"

// Init is the import path of the container's init.
const Init = "paas/cmd/paas-init"

// Build makes a static program from an import path in dir. It does nothing where programs are built
// beforehand.
func Build(dir, pkg string) error {
	if os.Getenv(Dir) != "" {
		return nil
	}
	build := exec.Command("go", "build", "-o", Path(dir, pkg), pkg)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return nil
}

// Path is where the program is after Build with the same arguments.
func Path(dir, pkg string) string {
	if prebuilt := os.Getenv(Dir); prebuilt != "" {
		dir = prebuilt
	}
	return filepath.Join(dir, path.Base(pkg))
}
