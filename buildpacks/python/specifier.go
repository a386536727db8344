package python

import (
	"regexp"
	"strconv"
	"strings"
)

// fits tells whether a version is one of a set: PEP 440's specifiers (">=3.11,<4", "~=3.12.1", "==3.12.*"), and
// Poetry's own ("^3.11", "~3.12", "3.12.*", "||").
func fits(version, spec string) bool {
	for alternative := range strings.SplitSeq(strings.ReplaceAll(spec, "||", "|"), "|") {
		if fitsAll(version, alternative) {
			return true
		}
	}
	return false
}

var clause = regexp.MustCompile(`(===|==|~=|!=|<=|>=|<|>|\^|~|=)?\s*([0-9A-Za-z.*+!_-]+)`)

func fitsAll(version, spec string) bool {
	for _, c := range clause.FindAllStringSubmatch(spec, -1) {
		if c[2] != "*" && !compareBy(c[1], version, c[2]) {
			return false
		}
	}
	return true
}

// compareBy is one clause.
func compareBy(op, version, bound string) bool {
	prefix, wild := strings.CutSuffix(bound, ".*")
	switch op {
	case "==", "", "=", "===":
		return wild && begins(version, prefix) || !wild && order(version, bound) == 0
	case "!=":
		return wild && !begins(version, prefix) || !wild && order(version, bound) != 0
	case "<":
		return order(version, prefix) < 0
	case "<=":
		return order(version, prefix) <= 0
	case ">":
		return order(version, prefix) > 0
	case ">=":
		return order(version, prefix) >= 0
	}
	return order(version, prefix) >= 0 && begins(version, same(op, prefix))
}

// same is the part of a bound that a version of its kind shares: "~=3.12.1" has 3.12, "^3.11" has 3, "^0.3.1" has 0.3.
func same(op, bound string) string {
	parts := strings.Split(bound, ".")
	switch op {
	case "~=":
		return strings.Join(parts[:max(len(parts)-1, 1)], ".")
	case "~":
		return strings.Join(parts[:min(len(parts), 2)], ".")
	}
	for i, p := range parts {
		if p != "0" {
			return strings.Join(parts[:i+1], ".")
		}
	}
	return bound
}

func begins(version, prefix string) bool {
	a, b := numbers(version), numbers(prefix)
	for i := range b {
		if i >= len(a) && b[i] != 0 || i < len(a) && a[i] != b[i] {
			return false
		}
	}
	return true
}

// order compares release numbers; what follows them, such as "rc1", counts as older.
func order(a, b string) int {
	x, y := numbers(a), numbers(b)
	for i := range max(len(x), len(y)) {
		var m, n int
		if i < len(x) {
			m = x[i]
		}
		if i < len(y) {
			n = y[i]
		}
		if m != n {
			return m - n
		}
	}
	return suffix(a) - suffix(b)
}

var release = regexp.MustCompile(`^v?(?:[0-9]+!)?([0-9]+(?:\.[0-9]+)*)(.*)$`)

func numbers(version string) (list []int) {
	match := release.FindStringSubmatch(version)
	if match == nil {
		return nil
	}
	for part := range strings.SplitSeq(match[1], ".") {
		n, _ := strconv.Atoi(part) // digits; a huge one is the highest
		list = append(list, n)
	}
	return list
}

var (
	early = regexp.MustCompile(`^[._-]?(a|b|c|rc|alpha|beta|pre|preview|dev)`)
	late  = regexp.MustCompile(`^[._-]?(post|rev|r)`)
)

func suffix(version string) int {
	match := release.FindStringSubmatch(version)
	switch {
	case match == nil:
		return 0
	case early.MatchString(match[2]):
		return -1
	case late.MatchString(match[2]):
		return 1
	}
	return 0
}
