package python

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"paas/buildpacks/source"
)

// pipfileLock is a Pipfile.lock (Pipenv's documentation, "Pipfile.lock security features").
type pipfileLock struct {
	Meta struct {
		Sources []struct {
			Name string `json:"name"`
			URL  string `json:"url"`
		} `json:"sources"`
	} `json:"_meta"`
	Default map[string]pipfilePin `json:"default"`
}

type pipfilePin struct {
	Version      string   `json:"version"`
	Hashes       []string `json:"hashes"`
	Markers      string   `json:"markers"`
	Extras       []string `json:"extras"`
	Git          string   `json:"git"`
	Ref          string   `json:"ref"`
	Subdirectory string   `json:"subdirectory"`
	File         string   `json:"file"`
	Path         string   `json:"path"`
	Editable     bool     `json:"editable"`
}

func readPipfileLock(src *source.Tree, where place) (*lock, error) {
	l := newLock("Pipfile.lock", "pipenv", where)
	text, err := src.Read(l.file, maxLock)
	if err != nil {
		return nil, err
	}
	var content pipfileLock
	if err := source.Decode(l.file, text, &content); err != nil {
		return nil, err
	}
	for _, s := range content.Meta.Sources {
		if s.Name == "pypi" { // Pipenv's name for the index that everybody has: the machine says where that is
			continue
		}
		if err := l.index(s.URL, false); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(content.Default)) {
		if err := l.addPipfile(name, content.Default[name]); err != nil {
			return nil, err
		}
	}
	wanted, err := readPipfile(src)
	if err != nil {
		return nil, err
	}
	return l, l.covers(slices.Sorted(maps.Keys(wanted.Packages)), pipfile)
}

func (l *lock) addPipfile(name string, p pipfilePin) error {
	if !l.where.wants(p.Markers) {
		return nil
	}
	l.names[normal(name)] = strings.Join(p.Extras, ",")
	n := pin{name: name, version: strings.TrimPrefix(p.Version, "=="), hashes: p.Hashes}
	switch {
	case p.Git != "":
		n.from = "git+" + p.Git + "@" + p.Ref
		if p.Subdirectory != "" {
			n.from += "#subdirectory=" + p.Subdirectory
		}
	case p.File != "":
		n.from = p.File
	case p.Path != "":
		dir, ok := source.Inside("", p.Path)
		if !ok {
			return l.bad("%s lies outside the app, at %.80q", name, p.Path)
		}
		if !strings.HasSuffix(dir, ".whl") {
			l.editable = append(l.editable, dir)
			return nil
		}
		n.from = dir
	}
	return l.add(n)
}

// pdmLock is a pdm.lock (PDM's documentation, "Lock file specification").
type pdmLock struct {
	Packages []struct {
		Name     string              `toml:"name"`
		Version  string              `toml:"version"`
		Groups   []string            `toml:"groups"`
		Marker   string              `toml:"marker"`
		Extras   []string            `toml:"extras"`
		Git      string              `toml:"git"`
		Revision string              `toml:"revision"`
		URL      string              `toml:"url"`
		Path     string              `toml:"path"`
		Files    []map[string]string `toml:"files"`
	} `toml:"package"`
}

func readPDMLock(src *source.Tree, where place) (*lock, error) {
	l := newLock("pdm.lock", "pdm", where)
	text, err := src.Read(l.file, maxLock)
	if err != nil {
		return nil, err
	}
	var content pdmLock
	if _, err := toml.Decode(string(text), &content); err != nil {
		return nil, l.bad("it is not TOML: %s", firstLine(err))
	}
	for _, p := range content.Packages {
		if len(p.Groups) > 0 && !slices.Contains(p.Groups, "default") || !where.wants(p.Marker) {
			continue
		}
		n := pin{name: p.Name, version: p.Version}
		switch {
		case p.Git != "":
			n.from = fmt.Sprintf("git+%s@%s", p.Git, p.Revision)
		case p.URL != "":
			n.from = p.URL
		case p.Path != "":
			dir, ok := source.Inside("", p.Path)
			if !ok {
				return nil, l.bad("%s lies outside the app, at %.80q", p.Name, p.Path)
			}
			n.from = dir
		}
		if err := l.choose(&n, listed(p.Files)); err != nil {
			return nil, err
		}
		if err := l.add(n); err != nil {
			return nil, err
		}
		if len(p.Extras) > 0 {
			l.names[normal(p.Name)] = strings.Join(p.Extras, ",")
		}
	}
	return l, l.finishPDM(src)
}

func (l *lock) finishPDM(src *source.Tree) error {
	p, err := readProject(src)
	if err != nil {
		return err
	}
	for _, s := range p.Tool.PDM.Source {
		if err := l.index(s.URL, s.Name == "pypi"); err != nil {
			return err
		}
	}
	if p.Build.Backend != "" {
		l.editable = append(l.editable, "")
	}
	return l.covers(p.needs(l.where), projectFile)
}

// listed reads the files of a package as Poetry and PDM list them.
func listed(entries []map[string]string) (files []file) {
	for _, e := range entries {
		name := e["file"]
		if name == "" {
			name = e["url"]
		}
		files = append(files, file{name, e["hash"]})
	}
	return files
}
