package python

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"paas/buildpacks/source"
	"paas/platform"
)

const pipfile = "Pipfile"

// pipfileText is what matters of a Pipfile.
type pipfileText struct {
	Packages map[string]any `toml:"packages"`
	Requires struct {
		Version string `toml:"python_version"`
		Full    string `toml:"python_full_version"`
	} `toml:"requires"`
}

func readPipfile(src *source.Tree) (pipfileText, error) {
	var p pipfileText
	text, err := src.Read(pipfile, maxText)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	if _, err := toml.Decode(string(text), &p); err != nil {
		return p, platform.Errorf(platform.Failed, "%s is not valid: %s", pipfile, firstLine(err)).WithHint("run: pipenv verify")
	}
	return p, nil
}

// dependencies reads the first of the files that say what the app needs, in Heroku's order: Pipfile.lock,
// requirements.txt, poetry.lock, uv.lock, and then those that Heroku does not know.
func dependencies(src *source.Tree, where place) (in installation, from string, err error) {
	for i, r := range readers() {
		if i == 1 && src.Has(Requirements) {
			reqs, err := readRequirements(src)
			return reqs.install(), Requirements, err
		}
		if src.Has(r.file) {
			return fromLock(src, r.read, where)
		}
	}
	return unlocked(src, where)
}

func fromLock(src *source.Tree, read func(*source.Tree, place) (*lock, error), where place) (installation, string, error) {
	l, err := read(src, where)
	if err != nil {
		return installation{}, "", err
	}
	p, err := readProject(src)
	if err != nil {
		return installation{}, "", err
	}
	in := l.install(src)
	in.own(src, l.editable, p.programs())
	return in, l.file, nil
}

// unlocked is for apps that say what they need, and not in which versions.
func unlocked(src *source.Tree, where place) (in installation, from string, err error) {
	p, err := readProject(src)
	if err != nil {
		return in, "", err
	}
	switch {
	case src.Has(pipfile):
		return in, "", noLock(pipfile, "Pipfile.lock", "pipenv lock")
	case len(p.Tool.Poetry.Dependencies) > 0 && len(p.Project.Dependencies) == 0:
		return in, "", noLock(projectFile, "poetry.lock", "poetry lock")
	case len(p.Project.Dependencies) > 0:
		return fromProject(src, p)
	case src.Has("setup.py"):
		return installation{names: map[string]string{}, whole: true, tools: true, pip: true, commands: []string{venv + "/bin/pip install ."}}, "setup.py", nil
	}
	return installation{}, "", refuseMisspelt(src)
}

func noLock(file, lock, command string) error {
	return platform.Errorf(platform.Failed, "%s is there, but %s is not, so that nothing says which versions to install", file, lock).
		WithHint("run: %s && git add %s", command, lock)
}

// fromProject takes the dependencies of a pyproject.toml for requirements.
func fromProject(src *source.Tree, p project) (installation, string, error) {
	reqs := requirements{src: src, names: map[string]string{}, seen: map[string]bool{}}
	for _, line := range p.Project.Dependencies {
		if strings.ContainsAny(line, "\n\r\\") || strings.HasPrefix(strings.TrimSpace(line), "-") {
			return installation{}, "", platform.Errorf(platform.Failed, "%s: the dependency %.60q is not a requirement", projectFile, line).WithHint("write it as name>=version")
		}
		if err := reqs.requirement(line); err != nil {
			return installation{}, "", err
		}
	}
	reqs.links = wheelDirs(src)
	reqs.stores = reqs.links
	reqs.remote = reqs.remote || slices.ContainsFunc(reqs.sought, func(name string) bool { return !reqs.hasWheel(name) })
	for _, dir := range reqs.links {
		reqs.files = append(reqs.files, dir+"/")
	}
	in := reqs.installFrom(hashedFile)
	in.made = map[string]string{hashedFile: strings.Join(p.Project.Dependencies, "\n") + "\n"}
	if p.Build.Backend != "" {
		in.own(src, []string{""}, p.programs())
	}
	return in, projectFile, nil
}
