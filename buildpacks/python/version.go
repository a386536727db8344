package python

import (
	"cmp"
	"regexp"
	"strings"

	"paas/buildpacks/plan"
	"paas/buildpacks/source"
	"paas/buildpacks/versionfile"
	"paas/platform"
)

var version = regexp.MustCompile(`^[0-9]+(\.[0-9]+){0,2}$`)

// newest is the Python that Debian has, which apps get that leave it open.
const newest = "3.13"

// toolchain is the Python that the app asks for: .python-version, then runtime.txt, .tool-versions, the Pipfile,
// what the project requires, and else the newest.
func toolchain(src *source.Tree) (plan.Toolchain, error) {
	t, err := wanted(src)
	if err != nil || t.Version != "" {
		return t, err
	}
	return required(src)
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
			return t, checkVersion(t)
		}
	}
	found, err := versionfile.Tool(src, "python")
	if found != "" {
		t.Version, t.From = found, versionfile.Tools
		return t, checkVersion(t)
	}
	return t, err
}

func checkVersion(t plan.Toolchain) error {
	if version.MatchString(t.Version) {
		return nil
	}
	return platform.Errorf(platform.Failed, "%s asks for Python %.40q, which is not a version", t.From, t.Version).
		WithHint("write the numbers only, such as 3.13 or 3.13.2")
}

// required is what the project's own files allow: the newest where they do.
func required(src *source.Tree) (plan.Toolchain, error) {
	t := plan.Toolchain{Name: "python"}
	pip, err := readPipfile(src)
	if err != nil {
		return t, err
	}
	if v := cmp.Or(pip.Requires.Full, pip.Requires.Version); v != "" {
		t.Version, t.From = v, pipfile
		return t, checkVersion(t)
	}
	p, err := readProject(src)
	if err != nil {
		return t, err
	}
	spec, from := p.requires()
	if spec == "" {
		return t, nil
	}
	t.Version, t.From = newest, from
	if !fits(newest+".99", spec) && !fits(newest+".0", spec) {
		t.Version = short(spec)
	}
	return t, nil
}

func short(text string) string {
	const most = 40
	if len(text) > most {
		return text[:most]
	}
	return text
}

// newPlace is where requirements are judged: the Python that the app will have.
func newPlace(t plan.Toolchain) place {
	if version.MatchString(t.Version) && strings.Contains(t.Version, ".") {
		return place{version: t.Version}
	}
	return place{version: newest}
}
