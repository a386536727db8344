package foreign

import (
	"gopkg.in/yaml.v3"

	"paas/buildpacks/procfile"
	"paas/buildpacks/source"
	"paas/platform"
)

// ManifestName is Heroku's file for apps that are built from a Dockerfile.
const ManifestName = "heroku.yml"

// Manifest is what matters of a heroku.yml (Heroku Dev Center, "Building Docker Images with heroku.yml").
type Manifest struct {
	Dockerfile string                          // of web, or of the only one; empty if none is named
	Config     map[string]string               // of the build's environment
	Run        map[platform.ProcessType]string // command lines
	Warnings   []string
}

// ReadManifest reads the heroku.yml; one that is not there says nothing.
func ReadManifest(tree *source.Tree) (Manifest, error) {
	text, ok, err := read(tree, ManifestName)
	if err != nil || !ok {
		return Manifest{}, err
	}
	var file struct {
		Build struct {
			Docker map[string]string `yaml:"docker"`
			Config map[string]string `yaml:"config"`
		} `yaml:"build"`
		Run     map[string]yaml.Node `yaml:"run"`
		Release struct {
			Command []string `yaml:"command"`
		} `yaml:"release"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		return Manifest{}, platform.Errorf(platform.Failed, "%s is not YAML of the expected form: %s", ManifestName, firstLine(err.Error())).Because(err)
	}
	m := Manifest{Config: file.Build.Config, Run: map[platform.ProcessType]string{}}
	m.choose(file.Build.Docker)
	for typ, node := range file.Run {
		if command := runCommand(node); command != "" && procfile.Valid(typ) {
			m.Run[platform.ProcessType(typ)] = command
		}
	}
	if len(file.Release.Command) > 0 {
		m.Run[platform.ReleasePhase] = join(file.Release.Command)
	}
	return m, nil
}

func (m *Manifest) choose(dockerfiles map[string]string) {
	m.Dockerfile = dockerfiles["web"]
	for _, path := range dockerfiles {
		if m.Dockerfile == "" && len(dockerfiles) == 1 {
			m.Dockerfile = path
		}
	}
	if len(dockerfiles) > 1 {
		m.Warnings = append(m.Warnings, "heroku.yml: one Dockerfile is built for all process types, that of web.")
	}
}

// runCommand reads a line, or an object with a list of lines that are one after the other.
func runCommand(node yaml.Node) string {
	var line string
	if node.Decode(&line) == nil {
		return line
	}
	var long struct {
		Command []string `yaml:"command"`
	}
	_ = node.Decode(&long) // something else is none
	return join(long.Command)
}

func join(lines []string) (command string) {
	for _, line := range lines {
		if command != "" {
			command += " && "
		}
		command += line
	}
	return command
}
