package python

import (
	"maps"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"paas/buildpacks/source"
)

// poetryLock is a poetry.lock (Poetry's documentation, and the files that its versions 1.1 to 2.x write).
type poetryLock struct {
	Packages []poetryPackage `toml:"package"`
	Metadata struct {
		Files map[string][]map[string]string `toml:"files"` // of Poetry before 1.3
	} `toml:"metadata"`
}

type poetryPackage struct {
	Name         string              `toml:"name"`
	Version      string              `toml:"version"`
	Files        []map[string]string `toml:"files"`
	Dependencies map[string]any      `toml:"dependencies"`
	Extras       map[string][]string `toml:"extras"`
	Source       struct {
		Type         string `toml:"type"`
		URL          string `toml:"url"`
		Resolved     string `toml:"resolved_reference"`
		Subdirectory string `toml:"subdirectory"`
	} `toml:"source"`
}

func readPoetryLock(src *source.Tree, where place) (*lock, error) {
	l := newLock("poetry.lock", "poetry", where)
	text, err := src.Read(l.file, maxLock)
	if err != nil {
		return nil, err
	}
	var content poetryLock
	if _, err := toml.Decode(string(text), &content); err != nil {
		return nil, l.bad("it is not TOML: %s", firstLine(err))
	}
	p, err := readProject(src)
	if err != nil {
		return nil, err
	}
	w := poetryWalk{lock: l, all: map[string][]poetryPackage{}, files: content.Metadata.Files, seen: map[[3]string]bool{}}
	for _, p := range content.Packages {
		w.all[normal(p.Name)] = append(w.all[normal(p.Name)], p)
	}
	if err := w.project(p); err != nil {
		return nil, err
	}
	for _, s := range p.Tool.Poetry.Source {
		if err := l.index(s.URL, s.Priority == "primary" || s.Priority == "default"); err != nil {
			return nil, err
		}
	}
	if mode := p.Tool.Poetry.PackageMode; mode == nil || *mode {
		l.editable = append(l.editable, "")
	}
	return l, nil
}

// poetryWalk goes from the project's main dependencies to all that they need. What the lock says of groups differs
// between Poetry's versions; what depends on what does not.
type poetryWalk struct {
	*lock
	all   map[string][]poetryPackage
	files map[string][]map[string]string
	seen  map[[3]string]bool
}

// edge is one dependency, as far as it is wanted here.
type edge struct {
	name, spec string
	extras     []string
}

func (w *poetryWalk) project(p project) error {
	for _, name := range slices.Sorted(maps.Keys(p.Tool.Poetry.Dependencies)) {
		if name == "python" {
			continue
		}
		if e, ok := w.read(name, p.Tool.Poetry.Dependencies[name], ""); ok {
			if err := w.follow(e, projectFile); err != nil {
				return err
			}
		}
	}
	for _, line := range p.Project.Dependencies {
		match := distribution.FindStringSubmatch(line)
		if match == nil || !w.where.wants(markerOf(line)) {
			continue
		}
		if err := w.follow(edge{name: match[1], extras: words(match[2])}, projectFile); err != nil {
			return err
		}
	}
	return nil
}

func words(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

// read is a dependency's text, table, or list of tables of which the first that fits is meant.
func (w *poetryWalk) read(name string, value any, extra string) (edge, bool) {
	switch v := value.(type) {
	case string:
		return edge{name: name, spec: v}, true
	case []map[string]any:
		for _, one := range v {
			if e, ok := w.read(name, one, extra); ok {
				return e, true
			}
		}
	case []any:
		for _, one := range v {
			if e, ok := w.read(name, one, extra); ok {
				return e, true
			}
		}
	case map[string]any:
		return w.table(name, v, extra)
	}
	return edge{}, false
}

func (w *poetryWalk) table(name string, table map[string]any, extra string) (edge, bool) {
	text := func(key string) string { s, _ := table[key].(string); return s }
	only, _ := table["optional"].(bool)
	python, system := text("python"), text("platform")
	where := place{w.where.version, extra}
	if only && extra == "" || !where.wants(text("markers")) || python != "" && !fits(w.where.version, python) || system != "" && system != "linux" {
		return edge{}, false
	}
	e := edge{name: name, spec: text("version")}
	if extras, ok := table["extras"].([]any); ok {
		for _, x := range extras {
			if s, ok := x.(string); ok {
				e.extras = append(e.extras, s)
			}
		}
	}
	return e, true
}

func (w *poetryWalk) follow(e edge, from string) error {
	found := w.all[normal(e.name)]
	if len(found) == 0 {
		return w.stale(e.name, from)
	}
	p := found[0]
	for _, other := range found {
		if fits(other.Version, e.spec) {
			p = other
			break
		}
	}
	if err := w.visit(p, ""); err != nil {
		return err
	}
	for _, extra := range e.extras {
		w.names[normal(e.name)] = strings.Join(e.extras, ",")
		if err := w.visit(p, normal(extra)); err != nil {
			return err
		}
	}
	return nil
}

func (w *poetryWalk) visit(p poetryPackage, extra string) error {
	key := [3]string{p.Name, p.Version, extra}
	if w.seen[key] {
		return nil
	}
	w.seen[key] = true
	if extra == "" {
		if err := w.take(p); err != nil {
			return err
		}
	}
	chosen := p.extra(extra)
	for _, name := range slices.Sorted(maps.Keys(p.Dependencies)) {
		if extra != "" && !chosen[normal(name)] {
			continue
		}
		if e, ok := w.read(name, p.Dependencies[name], extra); ok {
			if err := w.follow(e, p.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// extra are the names that an extra adds.
func (p poetryPackage) extra(extra string) map[string]bool {
	chosen := map[string]bool{}
	for name, lines := range p.Extras {
		if normal(name) != extra {
			continue
		}
		for _, line := range lines {
			if match := distribution.FindStringSubmatch(line); match != nil {
				chosen[normal(match[1])] = true
			}
		}
	}
	return chosen
}

func (w *poetryWalk) take(p poetryPackage) error {
	n := pin{name: p.Name, version: p.Version}
	s := p.Source
	switch s.Type {
	case "git":
		n.from = "git+" + s.URL + "@" + s.Resolved
		if s.Subdirectory != "" {
			n.from += "#subdirectory=" + s.Subdirectory
		}
		return w.add(n)
	case "url":
		n.from = s.URL
	case "directory":
		return w.own(p.Name, s.URL)
	case "file":
		file, ok := source.Inside("", s.URL)
		if !ok {
			return w.bad("%s lies outside the app, at %.80q", p.Name, s.URL)
		}
		n.from = file
	}
	files := p.Files
	if len(files) == 0 {
		files = w.files[p.Name]
	}
	if err := w.choose(&n, listed(files)); err != nil {
		return err
	}
	return w.add(n)
}

func (l *lock) own(name, dir string) error {
	inside, ok := source.Inside("", dir)
	if !ok {
		return l.bad("%s lies outside the app, at %.80q", name, dir)
	}
	l.names[normal(name)] = ""
	l.editable = append(l.editable, inside)
	return nil
}
