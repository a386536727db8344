package buildpacks

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"paas/buildpacks/foreign"
	"paas/buildpacks/heroku"
	"paas/buildpacks/plan"
	"paas/platform"
)

const dockerfile = "Dockerfile"

// dockerfile is the path of the app's Dockerfile.
func (c *chooser) dockerfile() string {
	return cmp.Or(c.choice.Dockerfile, c.docker.Dockerfile, dockerfile)
}

// findDockerfile finds the Dockerfile that the owner or heroku.yml names, or the one at the top. As at Dokku it goes
// before every language.
func (c *chooser) findDockerfile() (p plan.Plan, ok bool, err error) {
	from := dockerfile
	switch {
	case c.choice.Dockerfile != "":
		from = "builder:set"
	case c.docker.Dockerfile != "":
		from = foreign.ManifestName
	case !c.tree.OfPart().Has(dockerfile):
		return plan.Plan{}, false, nil
	}
	p, err = c.fromDockerfile(c.dockerfile(), from)
	return p, true, err
}

// fromDockerfile plans a build from the Dockerfile at the path, which begins at the top of what is built, as who says.
func (c *chooser) fromDockerfile(name, who string) (plan.Plan, error) {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	if !c.tree.Has(name) {
		return plan.Plan{}, platform.Errorf(platform.Failed, "the app is to be built from %s (%s), which the source does not have", name, who).
			WithHint("correct it: ssh paas builder:set APP dockerfile-path PATH, or builder:set APP auto")
	}
	return plan.Plan{Builder: plan.Dockerfile, Detected: who, Dockerfile: name, Steps: []plan.Step{}}, nil
}

// fromProject plans what a project.toml asks for with our own languages, if those are what it asks for: by
// the names of buildpacks, or by a builder image that has nothing but these. ok is false when it asks for
// neither.
func (c *chooser) fromProject() (p plan.Plan, ok bool, err error) {
	if c.project.Inline {
		p, err = c.fromImage()
		return p, true, err
	}
	names, all := ownGroups(c.project.Groups)
	switch {
	case len(c.project.Groups) > 0 && all:
		p, err = c.fromList(names, c.project.File, nil)
		return p, true, err
	case len(c.project.Groups) > 0, c.project.Builder != "" && !ownBuilder(c.project.Builder):
		p, err = c.fromImage()
		return p, true, err
	case c.project.Builder == "":
		return plan.Plan{}, false, nil // it says something about the build, but not who builds
	}
	p, err = detectLanguage(c.tree, c.says)
	p.Notes = append(p.Notes, c.project.File+": the builder "+c.project.Builder+" is not fetched: our own buildpacks take its place. To use it: ssh paas builder:set APP pack.")
	return p, true, err
}

// ownGroups tells whether ours take the place of all the buildpacks.
func ownGroups(groups []string) (names []string, all bool) {
	for _, name := range groups {
		b, err := heroku.Parse(name)
		if err != nil || b.Git.URL != "" {
			return nil, false
		}
		names = append(names, name)
	}
	return names, true
}

// ownBuilder knows the builder images of Heroku and Paketo, which have buildpacks for languages that ours take
// the place of.
func ownBuilder(image string) bool {
	name, _, _ := strings.Cut(strings.TrimPrefix(image, "docker.io/"), ":")
	return slices.Contains([]string{
		"heroku/builder", "heroku/buildpacks", "heroku/builder-classic", "paketobuildpacks/builder", "paketobuildpacks/builder-jammy-base",
		"paketobuildpacks/builder-jammy-full", "paketobuildpacks/builder-jammy-tiny", "paketobuildpacks/builder-noble-java-tiny", "gcr.io/buildpacks/builder",
	}, name)
}

// defaultBuilder is the image that is used when builder:set says pack and no project.toml names another.
const defaultBuilder = "heroku/builder:24"

// fromImage plans a build by the Cloud Native Buildpacks of a builder image, in the order that it has them in.
func (c *chooser) fromImage() (plan.Plan, error) {
	from := cmp.Or(c.project.File, "builder:set")
	if c.project.Inline || len(c.project.Groups) > 0 && c.project.Builder != "" {
		return plan.Plan{}, platform.Errorf(platform.Failed, "%s names buildpacks of its own beside a builder image, which is not supported", from).
			WithHint("make a builder image with them, or remove them: the builder image has an order of its own")
	}
	if len(c.project.Groups) > 0 {
		return plan.Plan{}, platform.Errorf(platform.Failed, "%s names buildpacks that are not ours, and no builder image that has them", from).
			WithHint(`name one: [io.buildpacks] builder = "registry.example.org/builder:1"`)
	}
	return plan.Plan{
		Builder: plan.Pack, Detected: from, BuilderImage: cmp.Or(c.project.Builder, defaultBuilder), BuildEnv: c.project.Env, Steps: []plan.Step{},
	}, nil
}
