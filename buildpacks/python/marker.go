package python

import (
	"regexp"
	"strings"
)

// place is where requirements are judged: Linux on x86_64 with CPython of a version such as "3.13".
type place struct {
	version string
	extra   string // of the package that asks
}

// value is a variable of a marker (packaging.python.org, "Dependency specifiers", "Environment markers").
func (p place) value(name string) (string, bool) {
	minor := p.version
	if parts := strings.SplitN(p.version, ".", 3); len(parts) == 3 {
		minor = parts[0] + "." + parts[1]
	}
	full := p.version
	if full == minor {
		full += ".99" // which patch release it is does not matter, but it is a late one
	}
	value, ok := map[string]string{
		"os_name": "posix", "sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64",
		"platform_python_implementation": "CPython", "implementation_name": "cpython",
		"python_version": minor, "python_full_version": full, "implementation_version": full,
		"platform_release": "", "platform_version": "", "extra": p.extra,
	}[name]
	return value, ok
}

// wants tells whether a marker is true. What is no marker is true, so that pip sees it and says what is wrong.
func (p place) wants(marker string) bool {
	tokens := markerToken.FindAllString(marker, -1)
	if len(tokens) == 0 || len(tokens) > maxTokens {
		return true
	}
	m := markerParser{place: p, tokens: tokens}
	truth, ok := m.either()
	return truth || !ok || m.next() != ""
}

const maxTokens = 10_000

var markerToken = regexp.MustCompile(`'[^']*'|"[^"]*"|[A-Za-z_.]+|\(|\)|[<>=!~]+|\S`)

// markerParser goes over the tokens of "a == 'x' and (b < 'y' or c in 'z')".
type markerParser struct {
	place
	tokens []string
	depth  int
}

func (m *markerParser) next() string {
	if len(m.tokens) == 0 {
		return ""
	}
	return m.tokens[0]
}

func (m *markerParser) take() string {
	t := m.next()
	if t != "" {
		m.tokens = m.tokens[1:]
	}
	return t
}

func (m *markerParser) either() (truth, ok bool) {
	truth, ok = m.both()
	for ok && m.next() == "or" {
		m.take()
		var also bool
		also, ok = m.both()
		truth = truth || also
	}
	return truth, ok
}

func (m *markerParser) both() (truth, ok bool) {
	truth, ok = m.one()
	for ok && m.next() == "and" {
		m.take()
		var also bool
		also, ok = m.one()
		truth = truth && also
	}
	return truth, ok
}

func (m *markerParser) one() (truth, ok bool) {
	if m.next() != "(" {
		return m.comparison()
	}
	if m.depth++; m.depth > 100 {
		return false, false
	}
	m.take()
	truth, ok = m.either()
	return truth, ok && m.take() == ")"
}

func (m *markerParser) comparison() (truth, ok bool) {
	left, isVersion, ok := m.operand()
	if !ok {
		return false, false
	}
	op := m.take()
	if op == "not" {
		op += " " + m.take()
	}
	right, alsoVersion, ok := m.operand()
	if !ok {
		return false, false
	}
	switch op {
	case "in":
		return strings.Contains(right, left), true
	case "not in":
		return !strings.Contains(right, left), true
	}
	if isVersion || alsoVersion {
		return compareBy(op, left, right), true
	}
	return (op == "==" || op == "===") == (left == right), op == "==" || op == "!=" || op == "==="
}

func (m *markerParser) operand() (value string, version, ok bool) {
	t := m.take()
	if len(t) >= 2 && (t[0] == '\'' || t[0] == '"') {
		return t[1 : len(t)-1], false, true
	}
	value, ok = m.value(t)
	return value, strings.HasSuffix(t, "_version") && t != "platform_version", ok
}
