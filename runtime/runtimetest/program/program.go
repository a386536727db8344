// Package program gives tests the programs of this module that they run. It imports nothing of the
// module, so that any package's tests may use it.
package program

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// Dir names the environment variable that names a directory with programs built beforehand: for
// machines without a Go toolchain.
const Dir = "PAAS_TEST_PROGRAMS"

// Init stands for the container's init, which the C compiler builds.
const Init = "paas/cmd/paas-init"

// Build makes a static program from an import path in dir. It does nothing where programs are built
// beforehand.
func Build(dir, pkg string) error {
	if os.Getenv(Dir) != "" {
		return nil
	}
	build := exec.Command("go", "build", "-o", Path(dir, pkg), pkg)
	if pkg == Init {
		root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
		if err != nil {
			return fmt.Errorf("find the module: %w", err)
		}
		build = exec.Command("sh", filepath.Join(strings.TrimSpace(string(root)), "cmd/paas-init/build.sh"), Path(dir, pkg))
	}
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
