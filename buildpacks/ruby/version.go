package ruby

import (
	"regexp"
	"strconv"
	"strings"

	"paas/buildpacks/plan"
	"paas/buildpacks/source"
	"paas/buildpacks/versionfile"
)

// newest is the Ruby that Debian has.
const newest = "3.3"

// toolchain is the Ruby that the app asks for: the lock's RUBY VERSION, then the Gemfile's ruby, .ruby-version,
// .tool-versions, and else the newest.
func toolchain(src *source.Tree, g gems) (plan.Toolchain, error) {
	t := plan.Toolchain{Name: "ruby"}
	if g.locked != "" {
		t.Version, t.From = plain(g.locked), g.lock+" RUBY VERSION"
		return t, nil
	}
	if g.ruby != "" {
		t.Version, t.From = constraint(g.ruby), g.file+" ruby"
		return t, nil
	}
	line, err := versionfile.Line(src, ".ruby-version")
	if err != nil {
		return t, err
	}
	if line != "" {
		t.Version, t.From = plain(line), ".ruby-version"
		return t, nil
	}
	found, err := versionfile.Tool(src, "ruby")
	if found != "" {
		t.Version, t.From = plain(found), versionfile.Tools
	}
	return t, err
}

var patchLevel = regexp.MustCompile(`p-?[0-9]+$`)

// plain is a version without "ruby-" before and a patch level behind it.
func plain(version string) string {
	return short(patchLevel.ReplaceAllString(strings.TrimPrefix(version, "ruby-"), ""))
}

// constraint is what a Gemfile asks for: the newest where that will do.
func constraint(wish string) string {
	if allows(wish) {
		return newest
	}
	return short(strings.TrimPrefix(plain(wish), "= "))
}

// short keeps a stranger's text from filling a sentence.
func short(text string) string {
	const most = 40
	if len(text) > most {
		return text[:most]
	}
	return text
}

var bound = regexp.MustCompile(`^(~>|>=|<=|>|<|=|!=)\s*([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?$`)

// allows tells whether a constraint, "~> 3.2" or ">= 3.1, < 4", takes some release of the newest Ruby.
func allows(wish string) bool {
	for part := range strings.SplitSeq(wish, ",") {
		match := bound.FindStringSubmatch(strings.TrimSpace(part))
		if match == nil || !within(match) {
			return false
		}
	}
	return true
}

func within(match []string) bool {
	wanted, have := number(match[2], match[3]), number("3", "3")
	switch match[1] {
	case ">=", ">":
		return have >= wanted
	case "<=":
		return have <= wanted
	case "<":
		return have < wanted || have == wanted && match[4] != "" && match[4] != "0"
	case "~>":
		return match[4] == "" && match[2] == "3" && have >= wanted || have == wanted
	case "!=":
		return true
	}
	return have == wanted
}

// number makes "3", "4" comparable.
func number(major, minor string) int {
	a, _ := strconv.Atoi(major) // digits
	b, _ := strconv.Atoi(minor)
	return a*1000 + b
}
