package python

import (
	"errors"
	"io/fs"
	"maps"
	"regexp"
	"slices"

	"github.com/BurntSushi/toml"

	"paas/buildpacks/source"
	"paas/platform"
)

const projectFile = "pyproject.toml"

// project is what matters of a pyproject.toml (packaging.python.org, "pyproject.toml specification"; the
// documentation of uv, Poetry and PDM).
type project struct {
	Project struct {
		Name         string            `toml:"name"`
		Requires     string            `toml:"requires-python"`
		Dependencies []string          `toml:"dependencies"`
		Scripts      map[string]string `toml:"scripts"`
		Dynamic      []string          `toml:"dynamic"`
	} `toml:"project"`
	Build struct {
		Backend string `toml:"build-backend"`
	} `toml:"build-system"`
	Tool struct {
		Poetry poetryProject `toml:"poetry"`
		UV     struct {
			Index []struct {
				URL     string `toml:"url"`
				Default bool   `toml:"default"`
			} `toml:"index"`
		} `toml:"uv"`
		PDM struct {
			Source []struct {
				Name string `toml:"name"`
				URL  string `toml:"url"`
			} `toml:"source"`
		} `toml:"pdm"`
	} `toml:"tool"`
}

type poetryProject struct {
	Name         string         `toml:"name"`
	Dependencies map[string]any `toml:"dependencies"`
	PackageMode  *bool          `toml:"package-mode"`
	Scripts      map[string]any `toml:"scripts"`
	Packages     []struct {
		Include string `toml:"include"`
		From    string `toml:"from"`
	} `toml:"packages"`
	Source []struct {
		Name     string `toml:"name"`
		URL      string `toml:"url"`
		Priority string `toml:"priority"`
	} `toml:"source"`
}

// readProject reads pyproject.toml; without the file there is nothing in it.
func readProject(src *source.Tree) (project, error) {
	var p project
	text, err := src.Read(projectFile, maxText)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	if _, err := toml.Decode(string(text), &p); err != nil {
		return p, platform.Errorf(platform.Failed, "%s is not valid: %s", projectFile, firstLine(err)).
			WithHint("look for a missing quote or bracket in that line")
	}
	return p, nil
}

// needs are the names of the project's own dependencies that are wanted here.
func (p project) needs(where place) (names []string) {
	for _, line := range p.Project.Dependencies {
		match := distribution.FindStringSubmatch(line)
		if match != nil && where.wants(markerOf(line)) {
			names = append(names, match[1])
		}
	}
	return names
}

var afterSemicolon = regexp.MustCompile(`;\s*(.+)$`)

// markerOf is the marker of a requirement, or "".
func markerOf(line string) string {
	match := afterSemicolon.FindStringSubmatch(line)
	if match == nil {
		return ""
	}
	return match[1]
}

// requires is the versions of Python that the project runs with, and who says so.
func (p project) requires() (spec, from string) {
	if p.Project.Requires != "" {
		return p.Project.Requires, projectFile + " requires-python"
	}
	if spec, ok := p.Tool.Poetry.Dependencies["python"].(string); ok {
		return spec, projectFile + " tool.poetry.dependencies.python"
	}
	return "", ""
}

// A console script is a name and an object in a module (packaging.python.org, "Entry points specification").
var (
	scriptName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	scriptTarget = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_.]*):([A-Za-z_][A-Za-z0-9_.]*)$`)
)

// programs are the project's own commands: what an editable installation would put into the environment.
func (p project) programs() map[string]string {
	all := map[string]string{}
	targets := maps.Clone(p.Project.Scripts)
	if targets == nil {
		targets = map[string]string{}
	}
	for name, target := range p.Tool.Poetry.Scripts {
		if text, ok := target.(string); ok {
			targets[name] = text
		}
	}
	for _, name := range slices.Sorted(maps.Keys(targets)) {
		match := scriptTarget.FindStringSubmatch(targets[name])
		if match == nil || !scriptName.MatchString(name) || name == "python" || name == "python3" || name == "pip" {
			continue
		}
		first := match[2]
		if i := slices.Index([]byte(first), '.'); i > 0 {
			first = first[:i]
		}
		all[venv+"/bin/"+name] = "#!/app/" + venv + "/bin/python\nimport sys\n\nfrom " + match[1] + " import " + first +
			"\n\nsys.exit(" + match[2] + "())\n"
	}
	return all
}
