package cpp

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

var (
	assignment = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]*)[ \t]*[:?]?:?=[ \t]*(.*)$`)
	reference  = regexp.MustCompile(`\$[({]([A-Za-z_][A-Za-z0-9_]*)[)}]`)
	made       = regexp.MustCompile(`^(?:\./)?[A-Za-z0-9_][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_][A-Za-z0-9_+-]*)*$`)
)

// makefile is what a Makefile's lines say, as far as it is needed: rules and simple variables. Neither functions
// nor conditions are understood; what needs them has no known program.
type makefile struct {
	variables map[string]string
	phony     []string
	goal      string              // the first rule's target, which make makes (GNU make, "How make Processes a Makefile")
	needs     map[string][]string // of each target
}

func readMakefile(text string) makefile {
	m := makefile{variables: map[string]string{}, needs: map[string][]string{}}
	for line := range strings.SplitSeq(strings.ReplaceAll(text, "\\\n", " "), "\n") {
		line, _, _ = strings.Cut(line, "#")
		if a := assignment.FindStringSubmatch(line); a != nil {
			m.variables[a[1]] = strings.TrimSpace(a[2])
			continue
		}
		targets, needs, isRule := strings.Cut(line, ":")
		if isRule && !strings.HasPrefix(line, "\t") {
			m.rule(strings.Fields(m.expand(targets)), strings.Fields(m.expand(needs)))
		}
	}
	return m
}

func (m *makefile) rule(targets, needs []string) {
	for _, t := range targets {
		switch {
		case t == ".PHONY":
			m.phony = append(m.phony, needs...)
			continue
		case strings.HasPrefix(t, ".") && !strings.Contains(t, "/"):
			continue
		case m.goal == "" && !strings.Contains(t, "%"):
			m.goal = t
		}
		m.needs[t] = append(m.needs[t], needs...)
	}
}

// expand puts in variables, those of variables too.
func (m *makefile) expand(text string) string {
	const deep, long = 3, 4096
	for range deep {
		text = reference.ReplaceAllStringFunc(text, func(r string) string { return m.variables[r[2:len(r)-1]] })
		text = text[:min(len(text), long)]
	}
	return text
}

// program is the file that make makes without being told what, or "" if that is several or cannot be told.
func (m *makefile) program() string {
	name := m.goal
	for range len(m.needs) {
		if !m.isName(name) {
			break
		}
		next := slices.DeleteFunc(slices.Clone(m.needs[name]), func(n string) bool { return m.isName(n) && len(m.needs[n]) == 0 })
		if len(next) != 1 {
			return ""
		}
		name = next[0]
	}
	if m.isName(name) || !made.MatchString(name) {
		return ""
	}
	return "./" + path.Clean(name)
}

// isName tells whether a target is no file.
func (m *makefile) isName(target string) bool {
	return slices.Contains(m.phony, target) || slices.Contains([]string{"all", "build", "default", "clean", "install", "test"}, target)
}
