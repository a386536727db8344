package ruby

import (
	"errors"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"paas/buildpacks/source"
)

const (
	gemfile = "Gemfile"
	maxText = 4 << 20
)

// gems is what matters of a Gemfile and its lock (Bundler's documentation, "gemfile(5)", and the lock files that
// it writes).
type gems struct {
	file     string          // "Gemfile" or "gems.rb"
	lock     string          // "Gemfile.lock", or "" if nothing is locked
	names    map[string]bool // of gems, from the lock, else from the Gemfile
	ruby     string          // the version in the Gemfile
	locked   string          // the version in the lock
	remotes  int             // servers that gems come from
	git      bool            // a gem is a commit of a repository
	whole    bool            // more of the tree is read than the two files
	variable bool            // the environment is read
}

func readGems(src *source.Tree) (gems, error) {
	g := gems{names: map[string]bool{}}
	file, ok := src.First(gemfile, "gems.rb")
	if !ok {
		return g, nil
	}
	g.file = file
	text, err := src.Read(file, maxText)
	if err != nil {
		return g, err
	}
	g.readGemfile(string(text))
	name := map[string]string{gemfile: "Gemfile.lock", "gems.rb": "gems.locked"}[file]
	locked, err := src.Read(name, maxText)
	if errors.Is(err, fs.ErrNotExist) {
		return g, nil
	}
	if err == nil {
		g.lock, g.names = name, map[string]bool{}
		g.readLock(string(locked))
	}
	return g, err
}

var (
	gemLine  = regexp.MustCompile(`(?m)^\s*gem[\s(]\s*['"]([A-Za-z0-9_.-]+)['"]`)
	rubyLine = regexp.MustCompile(`(?m)^\s*ruby[\s(]\s*['"]([^'"]+)['"](?:\s*,\s*['"]([^'"]+)['"])?`)
	// A Gemfile is a program. These are the ways in which it customarily reads other files of the app.
	readsFiles = regexp.MustCompile(`\b(gemspec|eval_gemfile|require_relative|instance_eval|File\.|Dir\b|IO\.|path:|:path)`)
	readsEnv   = regexp.MustCompile(`\bENV\b`)
)

func (g *gems) readGemfile(text string) {
	text = withoutComments(text)
	for _, match := range gemLine.FindAllStringSubmatch(text, -1) {
		g.names[match[1]] = true
	}
	if match := rubyLine.FindStringSubmatch(text); match != nil {
		g.ruby = strings.Trim(match[1]+", "+match[2], ", ")
	}
	// ruby file: ".ruby-version" reads a file that the step sees anyway.
	g.whole = readsFiles.MatchString(text)
	g.variable = readsEnv.MatchString(text)
}

func withoutComments(text string) string {
	lines := strings.Split(text, "\n")
	return strings.Join(slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(strings.TrimSpace(l), "#") }), "\n")
}

var lockedGem = regexp.MustCompile(`^    ([A-Za-z0-9_.-]+) \(`)

// readLock goes over the sections of a lock file: a line without indentation begins one.
func (g *gems) readLock(text string) {
	section := ""
	for line := range strings.Lines(strings.ReplaceAll(text, "\r\n", "\n")) {
		line = strings.TrimRight(line, "\n")
		switch {
		case line != "" && line[0] != ' ':
			section = line
			g.git = g.git || section == "GIT"
			g.whole = g.whole || section == "PATH"
		case section == "RUBY VERSION" && strings.TrimSpace(line) != "":
			g.locked = strings.TrimPrefix(strings.TrimSpace(line), "ruby ")
		case section == "GEM" && strings.HasPrefix(line, "  remote: "):
			g.remotes++
		default:
			if match := lockedGem.FindStringSubmatch(line); match != nil {
				g.names[match[1]] = true
			}
		}
	}
}

func (g gems) has(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return g.names[name] })
}
