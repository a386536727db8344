package node

import (
	"bytes"
	"strings"

	"paas/buildpacks/source"
)

// lockfile is what matters of a package-lock.json (npm's documentation, "package-lock.json").
type lockfile struct {
	Version  int `json:"lockfileVersion"`
	Packages map[string]struct {
		HasInstallScript bool     `json:"hasInstallScript"`
		OS               []string `json:"os"`
	} `json:"packages"`
}

// installScripts tells whether a package that Linux gets has an install script.
func installScripts(name string, text []byte) (bool, error) {
	if !bytes.Contains(text, []byte(`"hasInstallScript"`)) {
		return false, nil
	}
	var lock lockfile
	if err := source.Decode(name, text, &lock); err != nil {
		return false, err
	}
	for _, p := range lock.Packages {
		if p.HasInstallScript && forLinux(p.OS) {
			return true, nil
		}
	}
	return false, nil
}

// forLinux reads a package's list of systems: names, or names that start with "!" for all others.
func forLinux(systems []string) bool {
	listed, negated := false, false
	for _, s := range systems {
		if s == "!linux" {
			return false
		}
		listed = listed || s == "linux"
		negated = negated || strings.HasPrefix(s, "!")
	}
	return listed || negated || len(systems) == 0
}
