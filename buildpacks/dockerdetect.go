package buildpacks

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"gopkg.in/yaml.v3"

	"paas/buildpacks/plan"
	"paas/buildpacks/source"
	"paas/platform"
)

const (
	dockerfile = "Dockerfile"
	herokuYAML = "heroku.yml"
)

// detectDockerfile finds the Dockerfile that heroku.yml names, or the one at the top. As at Dokku it goes
// before every language.
func detectDockerfile(tree *source.Tree) (plan.Plan, bool, error) {
	declared, err := herokuDockerfile(tree)
	switch {
	case err != nil:
		return plan.Plan{}, false, err
	case declared != "":
		return planDockerfile(tree, declared, herokuYAML)
	case tree.Has(dockerfile):
		return planDockerfile(tree, dockerfile, dockerfile)
	}
	return plan.Plan{}, false, nil
}

// planDockerfile is for a Dockerfile whose path somebody named.
func planDockerfile(tree *source.Tree, name, detected string) (plan.Plan, bool, error) {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	if !tree.Has(name) {
		return plan.Plan{}, false, platform.Errorf(platform.Failed, "%s names the Dockerfile %q, which is not there", detected, name).
			WithHint("correct the path, which begins at the top of the repository, or commit the file")
	}
	return plan.Plan{Builder: plan.Dockerfile, Detected: detected, Dockerfile: name, Steps: []plan.Step{}}, true, nil
}

// herokuDockerfile reads build.docker.web of heroku.yml (Heroku's "Building Docker Images with heroku.yml").
func herokuDockerfile(tree *source.Tree) (string, error) {
	text, err := tree.Read(herokuYAML, 64<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var file struct {
		Build struct {
			Docker map[string]any `yaml:"docker"`
		} `yaml:"build"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		return "", platform.Errorf(platform.Failed, "heroku.yml cannot be read: %v", err).WithHint("correct its YAML")
	}
	switch web := file.Build.Docker["web"].(type) {
	case string:
		return web, nil
	case map[string]any:
		name, _ := web["dockerfile"].(string)
		return name, nil
	}
	return "", nil
}
