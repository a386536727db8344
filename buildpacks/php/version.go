package php

import (
	"regexp"
	"strconv"
	"strings"
)

// newest is the PHP that Debian has.
const newest = "8.4"

// allows tells whether some release of a version's line satisfies a constraint (Composer's documentation,
// "Versions and constraints"): "^8.2", "~8.3.0 || ~8.4.0", ">=8.1 <9", "8.4.*", "8.1 - 8.4".
func allows(constraint, line string) bool {
	for alternative := range strings.SplitSeq(strings.ReplaceAll(constraint, "||", "|"), "|") {
		if allowsAll(alternative, line) {
			return true
		}
	}
	return false
}

var (
	hyphen  = regexp.MustCompile(`^\s*v?([0-9.]+)\s+-\s+v?([0-9.]+)\s*$`)
	spaced  = regexp.MustCompile(`([<>=!^~]+)\s+`)
	oneTerm = regexp.MustCompile(`^([<>=!^~]*)v?([0-9]+)(?:\.([0-9]+|\*|x))?(?:\.([0-9]+|\*|x))?(?:\.[0-9*x]+)?(?:[-@][A-Za-z0-9.]+)?$`)
)

func allowsAll(alternative, line string) bool {
	if match := hyphen.FindStringSubmatch(alternative); match != nil {
		alternative = ">=" + match[1] + " <=" + match[2]
	}
	alternative = spaced.ReplaceAllString(alternative, "$1")
	terms := strings.FieldsFunc(alternative, func(r rune) bool { return r == ',' || r == ' ' })
	for _, term := range terms {
		if term != "*" && !allowsOne(term, line) {
			return false
		}
	}
	return len(terms) > 0
}

// allowsOne compares lines: of the right one, any release will do.
func allowsOne(term, line string) bool {
	match := oneTerm.FindStringSubmatch(term)
	if match == nil {
		return false
	}
	major, minor, _ := strings.Cut(line, ".")
	have, want, sameMajor := number(major, minor), number(match[2], match[3]), major == match[2]
	open := match[3] == "" || match[3] == "*" || match[3] == "x"
	switch match[1] {
	case "^":
		return sameMajor && have >= want
	case "~":
		return sameMajor && (match[4] == "" && have >= want || have == want)
	case ">=":
		return have >= want
	case ">":
		return have > want || have == want && match[4] != ""
	case "<=":
		return have <= want || open && sameMajor
	case "<":
		return have < want || have == want && match[4] != "" && match[4] != "0"
	case "!=", "<>":
		return true
	}
	return have == want || open && sameMajor
}

func number(major, minor string) int {
	a, _ := strconv.Atoi(major) // digits
	b, _ := strconv.Atoi(minor) // or a wildcard, which is the lowest
	return a*1000 + b
}
