package perl

import (
	"fmt"
	"strconv"
	"strings"

	"paas/buildpacks/plan"
	"paas/buildpacks/source"
	"paas/buildpacks/versionfile"
)

// newest is the Perl that Debian has.
const newest = "5.40"

// toolchain is the Perl that the app asks for: .perl-version, then .tool-versions, then the least one that the
// cpanfile requires, and else the newest.
func toolchain(src *source.Tree, m modules) (plan.Toolchain, error) {
	t := plan.Toolchain{Name: "perl"}
	line, err := versionfile.Line(src, ".perl-version")
	if err != nil {
		return t, err
	}
	if line != "" {
		t.Version, t.From = short(strings.TrimPrefix(strings.TrimPrefix(line, "perl-"), "v")), ".perl-version"
		return t, nil
	}
	found, err := versionfile.Tool(src, "perl")
	if found != "" {
		t.Version, t.From = short(found), versionfile.Tools
		return t, err
	}
	if m.perl != "" {
		t.Version, t.From = newest, cpanfile+" requires perl"
		if major, minor := parts(m.perl); major != 5 || minor > 40 {
			t.Version = fmt.Sprintf("%d.%d", major, minor)
		}
	}
	return t, err
}

func short(text string) string {
	const most = 40
	if len(text) > most {
		return text[:most]
	}
	return text
}

// parts reads "5.36", "5.36.1" and the older "5.036001", which is the same (perldoc perlvar, "$]").
func parts(version string) (major, minor int) {
	first, rest, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	rest, _, dotted := strings.Cut(rest, ".")
	if !dotted && len(rest) >= 3 {
		rest = rest[:3]
	}
	major, _ = strconv.Atoi(first) // what is no number is no version, and asks for nothing that there is
	minor, _ = strconv.Atoi(rest)
	return major, minor
}
