package foreign

import (
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/gitignore"

	"paas/buildpacks/source"
)

// IgnoreName is the file of Heroku's that names what is no part of the app (Heroku Dev Center, "Slug
// Compiler").
const IgnoreName = ".slugignore"

const maxPatterns = 1000

// Patterns tell paths by the rules of a .gitignore.
type Patterns struct{ matcher gitignore.Matcher }

// ReadIgnore reads the .slugignore. ok is false if there is none. Negated patterns have no meaning in it.
func ReadIgnore(tree *source.Tree) (lines []string, ok bool, err error) {
	text, ok, err := read(tree, IgnoreName)
	if err != nil || !ok {
		return nil, false, err
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "!") {
			lines = append(lines, line)
		}
	}
	return lines, len(lines) > 0, nil
}

// ParsePatterns reads lines of a .gitignore; those beyond a thousand are passed over.
func ParsePatterns(lines []string) Patterns {
	var list []gitignore.Pattern
	for _, line := range lines[:min(len(lines), maxPatterns)] {
		list = append(list, gitignore.ParsePattern(line, nil))
	}
	return Patterns{gitignore.NewMatcher(list)}
}

// Match tells whether the file at the path is meant, or a directory that it is in.
func (p Patterns) Match(path string) bool {
	return p.matcher.Match(strings.Split(path, "/"), false)
}
