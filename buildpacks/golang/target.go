package golang

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"paas/platform"
)

// target is what is given to go build, and the binaries it makes.
type target struct {
	pattern  string
	binaries []string
}

var safePattern = regexp.MustCompile(`^[A-Za-z0-9._/@~+-]+$`)

// targets are the packages to build: those that go.mod names in "// +heroku install" lines, else the root, else
// all below cmd, else the only one there is.
func (w workspace) targets(packages []packageDir) ([]target, error) {
	mains := w.mains(packages)
	if named := w.named(mains); len(named) > 0 {
		return named, nil
	}
	if w.work == nil && slices.Contains(mains, "") {
		return w.all([]string{""}), nil
	}
	if commands := below(mains, "cmd"); len(commands) > 0 && w.work == nil {
		return w.all(commands), nil
	}
	if len(mains) == 1 || w.work != nil && len(mains) > 0 {
		return w.all(mains), nil
	}
	return nil, noTarget(w.detected, mains)
}

// mains are the directories of programs in the app's own modules.
func (w workspace) mains(packages []packageDir) []string {
	var mains []string
	for _, p := range packages {
		if p.main && safePattern.MatchString("./"+p.dir) {
			mains = append(mains, p.dir)
		}
	}
	return mains
}

func below(dirs []string, top string) []string {
	var found []string
	for _, d := range dirs {
		if top == "" || d == top || strings.HasPrefix(d, top+"/") {
			found = append(found, d)
		}
	}
	return found
}

func (w workspace) named(mains []string) []target {
	var targets []target
	for _, m := range w.modules[:w.members] {
		for _, pattern := range m.install {
			if safePattern.MatchString(pattern) && !strings.HasPrefix(pattern, "-") {
				targets = append(targets, target{pattern, w.binaries(pattern, mains)})
			}
		}
	}
	return targets
}

// binaries are the names of what a pattern of packages makes.
func (w workspace) binaries(pattern string, mains []string) []string {
	if dir, all := strings.CutSuffix(pattern, "..."); all {
		var names []string
		for _, d := range below(mains, clean(strings.TrimSuffix(dir, "/"))) {
			names = append(names, w.binary(d))
		}
		return names
	}
	if pattern == "." || strings.HasPrefix(pattern, "./") {
		return []string{w.binary(clean(pattern))}
	}
	return []string{binary(pattern)}
}

func clean(dir string) string {
	if dir = path.Clean(dir); dir == "." {
		return ""
	}
	return dir
}

func (w workspace) all(dirs []string) []target {
	targets := make([]target, len(dirs))
	for i, dir := range dirs {
		targets[i] = target{pattern: "./" + dir, binaries: []string{w.binary(dir)}}
		if dir == "" {
			targets[i].pattern = "."
		}
	}
	return targets
}

// binary is what the program of a directory is called: after its import path.
func (w workspace) binary(dir string) string {
	for _, m := range w.modules {
		if m.dir == dir {
			return binary(m.path)
		}
	}
	return binary(dir)
}

func noTarget(detected string, mains []string) error {
	if len(mains) == 0 {
		return platform.Errorf(platform.Failed, "%s is there, but no package main that could be built and run", detected).
			WithHint("put package main into the root or into cmd/NAME")
	}
	return platform.Errorf(platform.Failed, "there are %d programs and none is in the root or below cmd: %s", len(mains), list(mains)).
		WithHint("name what to build in go.mod: // +heroku install ./%s", mains[0])
}

func list(dirs []string) string {
	const most = 5
	if len(dirs) > most {
		return strings.Join(dirs[:most], ", ") + ", …"
	}
	return strings.Join(dirs, ", ")
}
