package platform

import (
	"cmp"
	"context"
	"path"
	"slices"
	"strings"
	"unicode"
)

// BuilderTopic are the settings of how an app's source is built.
const BuilderTopic Topic = "builder"

// The builders that an app can be told to use; empty is whichever its source asks for.
const (
	BuildWithBuildpacks = "buildpacks" // ours for languages, and Heroku-style ones from git repositories
	BuildWithDockerfile = "dockerfile"
	BuildWithPack       = "pack" // Cloud Native Buildpacks in a builder image
	BuildWithStatic     = "static"
	BuildWithProcfile   = "procfile" // the source as it is
)

// BuildChoice is what an app's owner has said about its builds, beside what the source says. Paths are
// relative and inside the source; an empty field leaves the usual.
type BuildChoice struct {
	Builder    string   `json:"builder,omitempty"`
	Dir        string   `json:"build_dir,omitempty"` // of the repository: what is below it is the app
	Buildpacks []string `json:"buildpacks,omitempty"`
	Dockerfile string   `json:"dockerfile_path,omitempty"`
	Procfile   string   `json:"procfile_path,omitempty"`
	AppJSON    string   `json:"appjson_path,omitempty"`
	Project    string   `json:"projecttoml_path,omitempty"`
}

// The keys of BuilderTopic, as Dokku spells its properties.
const (
	selectedKey   = "selected"
	buildpacksKey = "buildpacks"
)

// pathOf finds the field that a property with a path sets, or nil.
func (c *BuildChoice) pathOf(key string) *string {
	switch key {
	case "build-dir":
		return &c.Dir
	case "dockerfile-path", "dockerfile":
		return &c.Dockerfile
	case "procfile-path":
		return &c.Procfile
	case "appjson-path":
		return &c.AppJSON
	case "projecttoml-path":
		return &c.Project
	default:
		return nil
	}
}

func buildProperties() []string {
	return []string{selectedKey, "build-dir", "dockerfile-path", "procfile-path", "appjson-path", "projecttoml-path"}
}

// buildChoice reads what was chosen for an app.
func (p *Platform) buildChoice(ctx context.Context, name AppName) (c BuildChoice, err error) {
	list, err := p.Store.Settings(ctx, name)
	if err != nil {
		return c, err
	}
	for _, s := range list {
		if s.Topic != BuilderTopic {
			continue
		}
		switch field := c.pathOf(s.Key); {
		case field != nil:
			*field = s.Value
		case s.Key == selectedKey:
			c.Builder = s.Value
		case s.Key == buildpacksKey:
			c.Buildpacks = strings.Fields(s.Value)
		}
	}
	return c, nil
}

// builderNames maps what people call builders elsewhere to ours, with what to know about it.
type builderName struct{ ours, note string }

func builderNames() map[string]builderName {
	const same = "%s builds with the same languages here as buildpacks do"
	return map[string]builderName{
		"auto":              {"", ""},
		"buildpacks":        {BuildWithBuildpacks, ""},
		"herokuish":         {BuildWithBuildpacks, "herokuish is called buildpacks here; Heroku's buildpacks are known by their names"},
		"heroku":            {BuildWithBuildpacks, ""},
		"nixpacks":          {BuildWithBuildpacks, same + "; of nixpacks.toml the start and build commands are read"},
		"railpack":          {BuildWithBuildpacks, same + "; of railpack.json the start and build commands are read"},
		"dockerfile":        {BuildWithDockerfile, ""},
		"docker":            {BuildWithDockerfile, ""},
		"pack":              {BuildWithPack, ""},
		"cnb":               {BuildWithPack, ""},
		"paketo":            {BuildWithPack, ""},
		"static":            {BuildWithStatic, ""},
		"procfile":          {BuildWithProcfile, ""},
		"null":              {BuildWithProcfile, "null is called procfile here: the source is run as it is"},
		"heroku-buildpacks": {BuildWithBuildpacks, ""},
	}
}

// parseBuilder reads a builder's name. Empty is auto.
func parseBuilder(name string) (ours, note string, err error) {
	if name == "" {
		return "", "", nil
	}
	found, ok := builderNames()[strings.ToLower(name)]
	if ok {
		return found.ours, strings.ReplaceAll(found.note, "%s", name), nil
	}
	e := Errorf(Usage, "there is no builder %q", name)
	for known := range builderNames() {
		if Near(name, known) {
			return "", "", e.WithHint("did you mean %s?", known)
		}
	}
	return "", "", e.WithHint("builders are auto, buildpacks, dockerfile, pack, static and procfile; a single buildpack is set by buildpacks:set")
}

const maxBuildPath = 1000 // bytes

// parseBuildPath reads a path inside the source. "." and "/" are the source itself, which is the usual.
func parseBuildPath(key, text string) (string, error) {
	clean := path.Clean("/" + text)[1:]
	if len(text) > maxBuildPath || strings.ContainsFunc(text, unicode.IsControl) || slices.Contains(strings.Split(text, "/"), "..") {
		return "", Errorf(Usage, "%q is no path inside the repository", text).
			WithHint("write it from the top of the repository, without ..: %s services/api", key)
	}
	return clean, nil
}

// buildSetting reads one property and its value as builder:set takes them.
func buildSetting(key, value string) (s Setting, note string, err error) {
	s = Setting{Topic: BuilderTopic, Key: key}
	if value == clearValue {
		value = ""
	}
	switch {
	case key == selectedKey:
		s.Value, note, err = parseBuilder(value)
		return s, note, err
	case new(BuildChoice).pathOf(key) != nil:
		if key == "dockerfile" {
			s.Key = "dockerfile-path"
		}
		s.Value, err = parseBuildPath(key, value)
		return s, "", err
	case key == "skip-cleanup", key == "allowed":
		return s, "", Errorf(Usage, "%s has no meaning here: builds clean up after themselves", key)
	}
	e := Errorf(Usage, "there is no build property %q", key)
	for _, known := range buildProperties() {
		if Near(key, known) {
			return s, "", e.WithHint("did you mean %s?", known)
		}
	}
	return s, "", e.WithHint("properties are %s", strings.Join(buildProperties(), ", "))
}

// Name is the chosen builder as people write it.
func (c BuildChoice) Name() string { return cmp.Or(c.Builder, "auto") }
