package node

import (
	"fmt"
	"strings"

	"paas/buildpacks/plan"
	"paas/buildpacks/source"
	"paas/buildpacks/versionfile"
	"paas/platform"
)

// toolchain is the node that the app asks for: engines.node, then .nvmrc, .node-version, .tool-versions, mise.toml,
// then the newest stable one.
func toolchain(src *source.Tree, pkg manifest) (plan.Toolchain, error) {
	version, from, err := wanted(src, pkg)
	if err != nil {
		return plan.Toolchain{}, err
	}
	version, err = plain(version)
	if err == nil {
		_, err = ParseRange(version)
	}
	if err != nil {
		return plan.Toolchain{}, badVersion("Node.js", version, from).Because(err)
	}
	return plan.Toolchain{Name: "node", Version: version, From: from}, nil
}

func wanted(src *source.Tree, pkg manifest) (version, from string, err error) {
	if pkg.Engines.Node != "" {
		return pkg.Engines.Node, "package.json engines.node", nil
	}
	for _, name := range []string{".nvmrc", ".node-version"} {
		version, err := versionfile.Line(src, name)
		if version != "" || err != nil {
			return version, name, err
		}
	}
	return versionfile.Named(src, "nodejs", "node")
}

// plain turns nvm's names for releases into ranges. "lts/*" and "node" are the newest stable one.
func plain(version string) (string, error) {
	name, lts := strings.CutPrefix(strings.ToLower(version), "lts/")
	if !lts {
		return ordinary(version), nil
	}
	if name == "*" {
		return "", nil
	}
	major, ok := codename(name)
	if !ok {
		return version, fmt.Errorf("no long-term release is called %q", name)
	}
	return major, nil
}

// ordinary leaves a range as it is; a name for the newest one becomes the empty range.
func ordinary(version string) string {
	version = strings.TrimSpace(version)
	if anything(version) {
		return ""
	}
	return version
}

// codename is the major version of a long-term release (Node.js release schedule, schedule.json).
func codename(name string) (string, bool) {
	major, ok := map[string]string{
		"argon": "4.x", "boron": "6.x", "carbon": "8.x", "dubnium": "10.x", "erbium": "12.x", "fermium": "14.x",
		"gallium": "16.x", "hydrogen": "18.x", "iron": "20.x", "jod": "22.x", "krypton": "24.x",
	}[name]
	return major, ok
}

func badVersion(what, version, from string) *platform.Error {
	return platform.Errorf(platform.Failed, "%s asks for %s %.40q, which is not a version or a range of versions", from, what, version).
		WithHint(`write a range such as "22.x" or ">=20 <23"`)
}
