package python

import (
	"path"
	"strings"

	"github.com/BurntSushi/toml"

	"paas/buildpacks/source"
)

// uvLock is a uv.lock (uv's documentation, "Project structure and files", and the files that uv writes): every
// package of the project, the project itself among them, with its dependencies.
type uvLock struct {
	Packages []uvPackage `toml:"package"`
}

type uvPackage struct {
	Name         string              `toml:"name"`
	Version      string              `toml:"version"`
	Source       uvSource            `toml:"source"`
	Dependencies []uvEdge            `toml:"dependencies"`
	Optional     map[string][]uvEdge `toml:"optional-dependencies"`
	Sdist        uvFile              `toml:"sdist"`
	Wheels       []uvFile            `toml:"wheels"`
}

type uvSource struct {
	Registry     string `toml:"registry"`
	Git          string `toml:"git"`
	URL          string `toml:"url"`
	Path         string `toml:"path"`
	Directory    string `toml:"directory"`
	Editable     string `toml:"editable"`
	Virtual      string `toml:"virtual"`
	Subdirectory string `toml:"subdirectory"`
}

// own is the directory of a package that is part of the tree.
func (s uvSource) own() (dir string, ok bool) {
	for _, dir := range []string{s.Editable, s.Virtual, s.Directory} {
		if dir != "" {
			return path.Clean(dir), true
		}
	}
	return "", false
}

type uvEdge struct {
	Name    string   `toml:"name"`
	Version string   `toml:"version"`
	Marker  string   `toml:"marker"`
	Extra   []string `toml:"extra"`
}

type uvFile struct {
	URL      string `toml:"url"`
	Path     string `toml:"path"`
	Filename string `toml:"filename"`
	Hash     string `toml:"hash"`
}

func (f uvFile) file() file {
	for _, name := range []string{f.Filename, f.Path, f.URL} {
		if name != "" {
			name, _, _ = strings.Cut(path.Base(name), "#")
			return file{strings.ReplaceAll(name, "%2B", "+"), f.Hash}
		}
	}
	return file{hash: f.Hash}
}

func readUVLock(src *source.Tree, where place) (*lock, error) {
	l := newLock("uv.lock", "uv", where)
	text, err := src.Read(l.file, maxLock)
	if err != nil {
		return nil, err
	}
	var content uvLock
	if _, err := toml.Decode(string(text), &content); err != nil {
		return nil, l.bad("it is not TOML: %s", firstLine(err))
	}
	w := uvWalk{lock: l, all: map[string][]uvPackage{}, seen: map[[3]string]bool{}}
	for _, p := range content.Packages {
		w.all[p.Name] = append(w.all[p.Name], p)
	}
	roots := w.roots(content)
	if len(roots) == 0 {
		return nil, l.bad("the project itself is not in it")
	}
	for _, p := range roots {
		if err := w.visit(p, ""); err != nil {
			return nil, err
		}
	}
	project, err := readProject(src)
	if err != nil {
		return nil, err
	}
	for _, i := range project.Tool.UV.Index {
		if err := l.index(i.URL, i.Default); err != nil {
			return nil, err
		}
	}
	return l, l.covers(project.needs(where), projectFile)
}

// uvWalk goes from the project to all that it needs.
type uvWalk struct {
	*lock
	all  map[string][]uvPackage
	seen map[[3]string]bool
}

// roots is the project, or all members of a workspace that has none at its root.
func (w *uvWalk) roots(content uvLock) (roots []uvPackage) {
	for _, p := range content.Packages {
		dir, ok := p.Source.own()
		if ok && dir == "." {
			return []uvPackage{p}
		}
		if ok {
			roots = append(roots, p)
		}
	}
	return roots
}

func (w *uvWalk) visit(p uvPackage, extra string) error {
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
	edges := p.Dependencies
	if extra != "" {
		edges = p.Optional[extra]
	}
	for _, e := range edges {
		if err := w.follow(p, e); err != nil {
			return err
		}
	}
	return nil
}

func (w *uvWalk) follow(from uvPackage, e uvEdge) error {
	if e.Marker != "" && !w.where.wants(e.Marker) {
		return nil
	}
	for _, p := range w.all[e.Name] {
		if e.Version != "" && e.Version != p.Version {
			continue
		}
		for _, extra := range append([]string{""}, e.Extra...) {
			if err := w.visit(p, extra); err != nil {
				return err
			}
		}
		if len(e.Extra) > 0 {
			w.names[normal(e.Name)] = strings.Join(e.Extra, ",")
		}
		return nil
	}
	return w.bad("%s needs %s, which it does not list", from.Name, e.Name)
}

// take notes how a package is installed.
func (w *uvWalk) take(p uvPackage) error {
	if dir, ok := p.Source.own(); ok {
		return w.takeOwn(p, dir)
	}
	n := pin{name: p.Name, version: p.Version}
	s := p.Source
	switch {
	case s.Git != "":
		n.from = gitURL(s.Git)
	case s.URL != "":
		n.from = s.URL
	case s.Path != "":
		dir, ok := source.Inside("", s.Path)
		if !ok {
			return w.bad("%s lies outside the app, at %.80q", p.Name, s.Path)
		}
		n.from = dir
	}
	if s.Git != "" {
		return w.add(n)
	}
	var files []file
	for _, f := range append(p.Wheels, p.Sdist) {
		if f != (uvFile{}) {
			files = append(files, f.file())
		}
	}
	if err := w.choose(&n, files); err != nil {
		return err
	}
	return w.add(n)
}

func (w *uvWalk) takeOwn(p uvPackage, dir string) error {
	inside, ok := source.Inside("", dir)
	if !ok {
		return w.bad("%s lies outside the app, at %.80q", p.Name, dir)
	}
	w.names[normal(p.Name)] = ""
	if p.Source.Virtual == "" {
		w.editable = append(w.editable, inside)
	}
	return nil
}

// gitURL is what pip calls a commit of a repository: uv writes "https://host/repo?rev=v1&subdirectory=x#commit".
func gitURL(s string) string {
	address, commit, _ := strings.Cut(s, "#")
	address, query, _ := strings.Cut(address, "?")
	if commit != "" {
		address += "@" + commit
	}
	for part := range strings.SplitSeq(query, "&") {
		if dir, ok := strings.CutPrefix(part, "subdirectory="); ok {
			address += "#subdirectory=" + dir
		}
	}
	return "git+" + address
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
