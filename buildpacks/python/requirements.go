package python

import (
	"errors"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"paas/buildpacks/source"
	"paas/platform"
)

// Requirements is the file that names an app's dependencies.
const Requirements = "requirements.txt"

const maxFiles = 100 // requirements files that include each other

// requirements is what matters of an app's requirements files (pip's documentation, "Requirements File Format").
type requirements struct {
	files  []string          // what pip reads in the tree, in the notation of plan.Step
	names  map[string]string // normal name of a package: its extras
	links  []string          // directories where wheels are customarily committed
	stores []string          // links, and what the files themselves name so
	remote bool              // something is not in the tree
	whole  bool              // something is built from the tree itself
	config bool              // config vars are part of the text

	src    *source.Tree
	seen   map[string]bool
	sought []string // packages that a wheel or an index must provide
}

func readRequirements(src *source.Tree) (requirements, error) {
	r := requirements{src: src, names: map[string]string{}, seen: map[string]bool{}}
	if !src.Has(Requirements) {
		return r, nil
	}
	r.vendored()
	err := r.read(Requirements)
	r.remote = r.remote || slices.ContainsFunc(r.sought, func(name string) bool { return !r.hasWheel(name) })
	slices.Sort(r.files[1:])
	r.files = slices.Compact(r.files)
	return r, err
}

// vendored finds the wheels of the tree.
func (r *requirements) vendored() {
	r.see(Requirements)
	r.links = wheelDirs(r.src)
	for _, dir := range r.links {
		r.files = append(r.files, dir+"/")
	}
	r.stores = slices.Clone(r.links)
}

// wheelDirs are the directories where wheels are customarily committed, as far as there are some.
func wheelDirs(src *source.Tree) (dirs []string) {
	for _, dir := range []string{"wheels", "wheelhouse", "vendor/wheels", "vendor"} {
		if slices.ContainsFunc(src.Below(dir), func(f platform.File) bool {
			return path.Dir(f.Path) == dir && strings.HasSuffix(f.Path, ".whl")
		}) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

func (r *requirements) see(file string) { r.files = append(r.files, r.src.Trail(file)...) }

func (r *requirements) read(file string) error {
	if r.seen[file] {
		return nil
	}
	if len(r.seen) == maxFiles {
		return platform.Errorf(platform.Failed, "requirements.txt includes more than %d files", maxFiles).WithHint("put them into fewer files")
	}
	r.seen[file] = true
	text, err := r.src.Read(file, maxText)
	if err != nil {
		return err
	}
	if file != Requirements {
		r.see(file)
	}
	r.config = r.config || strings.Contains(string(text), "${")
	for _, line := range logicalLines(string(text)) {
		if err := r.line(file, line); err != nil {
			return err
		}
	}
	return nil
}

var comment = regexp.MustCompile(`(^|\s)#.*$`)

// logicalLines joins what a backslash continues and leaves out comments and empty lines.
func logicalLines(text string) []string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = strings.ReplaceAll(text, "\\\n", " ")
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimSpace(comment.ReplaceAllString(line, "")); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

func (r *requirements) line(file, line string) error {
	if !strings.HasPrefix(line, "-") {
		return r.requirement(line)
	}
	name, value := option(line)
	switch name {
	case "-r", "--requirement", "-c", "--constraint":
		return r.include(file, value)
	case "-f", "--find-links":
		return r.local(file, value)
	case "-e", "--editable":
		return r.editable(value)
	}
	return nil
}

// option splits "-r x", "-rx", "--requirement x" and "--requirement=x".
func option(line string) (name, value string) {
	if end := strings.IndexAny(line, " \t="); end > 0 {
		return line[:end], strings.Trim(line[end+1:], " \t='\"")
	}
	if !strings.HasPrefix(line, "--") && len(line) > 2 {
		return line[:2], line[2:]
	}
	return line, ""
}

// include reads another requirements file; its path is relative to the one that names it.
func (r *requirements) include(file, name string) error {
	if strings.Contains(name, "://") {
		return nil
	}
	target, err := inside(path.Dir(file), name)
	if err != nil {
		return err
	}
	err = r.read(target)
	if errors.Is(err, fs.ErrNotExist) {
		return platform.Errorf(platform.Failed, "%s includes %s, which is missing", file, target).Because(err).
			WithHint("commit it, or remove the line")
	}
	return err
}

// local makes a directory or an archive of the tree visible to pip.
func (r *requirements) local(file, name string) error {
	name = strings.TrimPrefix(strings.TrimPrefix(name, "file://"), "file:")
	if strings.Contains(name, "://") || path.IsAbs(name) {
		return nil
	}
	target, err := inside(path.Dir(file), name)
	if err != nil {
		return err
	}
	if target == "" {
		r.whole = true
		return nil
	}
	if r.src.HasDir(target) {
		r.stores = append(r.stores, target)
		r.files = append(r.files, target+"/")
		return nil
	}
	r.see(target)
	return nil
}

func (r *requirements) editable(name string) error {
	name, _, _ = strings.Cut(name, "[")
	if strings.Contains(name, "://") || strings.Contains(name, "+") {
		r.remote = true
		return nil
	}
	r.whole = true
	_, err := inside("", name)
	return err
}

// inside is the path that name means, relative to base, if it is in the tree.
func inside(base, name string) (string, error) {
	target, ok := source.Inside(base, name)
	if !ok {
		return "", platform.Errorf(platform.Failed, "requirements.txt names %s, which is outside the app", name).
			WithHint("copy it into the repository and name it from there")
	}
	return target, nil
}

// A requirement starts with a name and perhaps extras (packaging.python.org, "Dependency specifiers").
var distribution = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?\s*(@\s*\S+)?`)

func (r *requirements) requirement(line string) error {
	word := strings.Fields(line)[0]
	if isPath(word) {
		return r.path(word)
	}
	match := distribution.FindStringSubmatch(line)
	if match == nil {
		r.remote = true // pip will say what is wrong with it
		return nil
	}
	name := normal(match[1])
	r.names[name] = match[2]
	if where := strings.TrimSpace(strings.TrimPrefix(match[3], "@")); strings.HasPrefix(where, "file:") {
		return r.path(strings.TrimPrefix(strings.TrimPrefix(where, "file://"), "file:"))
	}
	r.remote = r.remote || match[3] != ""
	r.sought = append(r.sought, name)
	return nil
}

func isPath(word string) bool {
	return strings.HasPrefix(word, ".") || strings.HasPrefix(word, "/") || strings.HasPrefix(word, "file:") ||
		strings.Contains(word, "/") && !strings.Contains(word, "://") && !strings.Contains(word, "+") ||
		strings.HasSuffix(word, ".whl") && !strings.Contains(word, "://")
}

// path is a requirement that lies in the tree: a wheel, or something that must be built.
func (r *requirements) path(word string) error {
	word, _, _ = strings.Cut(strings.TrimPrefix(strings.TrimPrefix(word, "file://"), "file:"), "[")
	target, err := inside("", word)
	if err != nil {
		return err
	}
	if strings.HasSuffix(target, ".whl") {
		name, _, _ := strings.Cut(path.Base(target), "-")
		r.names[normal(name)] = ""
		r.see(target)
		return nil
	}
	r.whole, r.remote = true, true
	return nil
}

// hasWheel tells whether a wheel of the package is in the tree. Its file name
// starts with the name, escaped (packaging.python.org, "Binary distribution format").
func (r *requirements) hasWheel(name string) bool {
	for _, dir := range r.stores {
		for _, f := range r.src.Below(dir) {
			dist, _, _ := strings.Cut(path.Base(f.Path), "-")
			if strings.HasSuffix(f.Path, ".whl") && normal(dist) == name {
				return true
			}
		}
	}
	return false
}

var separators = regexp.MustCompile(`[-_.]+`)

// normal is the one spelling of a package's many (packaging.python.org, "Name normalization").
func normal(name string) string { return separators.ReplaceAllString(strings.ToLower(name), "-") }

func (r requirements) empty() bool { return len(r.names) == 0 && !r.remote && !r.whole }

// tools tells whether pip may have to compile something: what comes from an index may be source.
func (r requirements) tools() bool { return r.remote || r.whole }

// install is how pip installs. Wheels of the tree are tried alone first, so that an app that has all it needs
// does not depend on an index that may be slow or away.
func (r requirements) install() installation { return r.installFrom(Requirements) }

func (r requirements) installFrom(file string) installation {
	in := installation{names: r.names, files: r.files, whole: r.whole, tools: r.tools(), config: r.config, pip: true}
	if r.empty() {
		return installation{names: r.names}
	}
	install := venv + "/bin/pip install"
	if len(r.links) == 0 {
		in.commands = []string{install + " -r " + file}
		return in
	}
	var links string
	for _, dir := range r.links {
		links += " --find-links " + dir
	}
	rest := links + " -r " + file
	in.commands = []string{install + " --no-index" + rest + " 2>/dev/null || " + install + rest}
	return in
}
