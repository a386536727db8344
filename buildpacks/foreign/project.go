package foreign

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"paas/buildpacks/source"
	"paas/platform"
)

// ProjectName is the project descriptor of Cloud Native Buildpacks.
const ProjectName = "project.toml"

// Project is what matters of a project.toml (the Buildpacks project's specification, "Project Descriptor",
// schema 0.2, and the one before it without a version).
type Project struct {
	File    string
	Builder string            // image; empty if none is named
	Groups  []string          // buildpacks, in their order: "heroku/nodejs@1.2.3" or a URI
	Inline  bool              // one of them is a script in the file
	Env     map[string]string // of the build
	Exclude []string          // patterns of what is no part of the app
	Include []string          // patterns of what alone is; empty: everything
}

type group struct {
	ID      string         `toml:"id"`
	Version string         `toml:"version"`
	URI     string         `toml:"uri"`
	Script  map[string]any `toml:"script"`
}

type variable struct {
	Name  string `toml:"name"`
	Value string `toml:"value"`
}

// ReadProject reads the project descriptor at the path. ok is false if there is none, or nothing in it is
// about building.
func ReadProject(tree *source.Tree, path string) (p Project, ok bool, err error) {
	text, err := tree.Read(path, maxText)
	if errors.Is(err, fs.ErrNotExist) {
		return Project{}, false, nil
	}
	if err != nil {
		return Project{}, false, err
	}
	var file struct {
		IO struct {
			Buildpacks struct {
				Builder string   `toml:"builder"`
				Include []string `toml:"include"`
				Exclude []string `toml:"exclude"`
				Group   []group  `toml:"group"`
				Build   struct {
					Env []variable `toml:"env"`
				} `toml:"build"`
			} `toml:"buildpacks"`
		} `toml:"io"`
		Build struct { // schema 0.1
			Builder    string     `toml:"builder"`
			Include    []string   `toml:"include"`
			Exclude    []string   `toml:"exclude"`
			Buildpacks []group    `toml:"buildpacks"`
			Env        []variable `toml:"env"`
		} `toml:"build"`
	}
	if _, err := toml.Decode(string(text), &file); err != nil {
		return Project{}, false, notTOML(path, err)
	}
	now, old := file.IO.Buildpacks, file.Build
	p = Project{
		File: path, Builder: now.Builder + old.Builder, Env: map[string]string{},
		Include: slices.Concat(now.Include, old.Include), Exclude: slices.Concat(now.Exclude, old.Exclude),
	}
	p.addGroups(slices.Concat(now.Group, old.Buildpacks))
	if err := p.addEnv(slices.Concat(now.Build.Env, old.Env)); err != nil {
		return Project{}, false, err
	}
	return p, p.says(), nil
}

func (p *Project) addGroups(groups []group) {
	for _, g := range groups {
		name := g.ID
		if g.URI != "" {
			name = g.URI
		} else if g.Version != "" {
			name += "@" + g.Version
		}
		p.Inline = p.Inline || g.Script != nil
		p.Groups = append(p.Groups, name)
	}
}

func (p *Project) addEnv(vars []variable) error {
	for _, v := range vars {
		if v.Name == "" || strings.ContainsAny(v.Name, "=\x00") || strings.ContainsRune(v.Value, 0) {
			return platform.Errorf(platform.Failed, "%s: %.80q cannot be the name of a variable of the build", p.File, v.Name)
		}
		p.Env[v.Name] = v.Value
	}
	return nil
}

// says tells a descriptor about building from one that only names the project.
func (p *Project) says() bool {
	return p.Builder != "" || len(p.Groups)+len(p.Env)+len(p.Include)+len(p.Exclude) > 0
}
