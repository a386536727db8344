package python

import (
	"regexp"
	"strings"

	"paas/buildpacks/plan"
	"paas/buildpacks/source"
	"paas/buildpacks/versionfile"
	"paas/platform"
)

var version = regexp.MustCompile(`^[0-9]+(\.[0-9]+){0,2}$`)

// toolchain is the Python that the app asks for: .python-version, then runtime.txt, then .tool-versions,
// then the newest.
func toolchain(src *source.Tree) (plan.Toolchain, error) {
	t, err := wanted(src)
	if err != nil {
		return t, err
	}
	if t.Version != "" && !version.MatchString(t.Version) {
		return t, platform.Errorf(platform.Failed, "%s asks for Python %.40q, which is not a version", t.From, t.Version).
			WithHint("write the numbers only, such as 3.13 or 3.13.2")
	}
	return t, nil
}

func wanted(src *source.Tree) (plan.Toolchain, error) {
	t := plan.Toolchain{Name: "python"}
	for _, name := range []string{".python-version", "runtime.txt"} {
		line, err := versionfile.Line(src, name)
		if err != nil {
			return t, err
		}
		if line != "" {
			t.Version, t.From = strings.TrimPrefix(line, "python-"), name
			return t, nil
		}
	}
	found, err := versionfile.Tool(src, "python")
	if found != "" {
		t.Version, t.From = found, versionfile.Tools
	}
	return t, err
}
