package buildpacks

import (
	"fmt"
	"strings"

	"paas/buildpacks/plan"
)

// makeMountPoints makes the directories that caches inside the app are mounted on. They belong to the app's user, who
// writes beside them; the runtime would make them as root.
func makeMountPoints(upper string, s plan.Step) error {
	var dirs []string
	for _, c := range s.Caches {
		if dir, ok := strings.CutPrefix(c.Dir, appDir+"/"); ok {
			dirs = append(dirs, dir)
		}
	}
	if len(dirs) == 0 {
		return nil
	}
	root, err := openApp(upper)
	if err != nil {
		return fmt.Errorf("make mount points: %w", err)
	}
	defer func() { _ = root.Close() }()
	to, made := place{root, appUser}, map[string]bool{".": true}
	for _, dir := range dirs {
		if err := checkPath(dir); err != nil {
			return err
		}
		if err := to.makeDir(dir, made); err != nil {
			return fmt.Errorf("make mount point %s: %w", dir, err)
		}
	}
	return nil
}
