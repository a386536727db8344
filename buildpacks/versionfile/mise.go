package versionfile

import (
	"errors"
	"io/fs"

	"github.com/BurntSushi/toml"

	"paas/buildpacks/source"
	"paas/platform"
)

// miseFiles are where mise looks in a directory (mise's documentation, "Configuration").
var miseFiles = []string{"mise.toml", ".mise.toml", "mise/config.toml", ".mise/config.toml", ".config/mise.toml", ".config/mise/config.toml"}

// Named is the version that .tool-versions or mise.toml gives for a tool, by any of its names, and the file
// that said so; both are "" when none does.
func Named(src *source.Tree, names ...string) (version, from string, err error) {
	if version, err = Tool(src, names...); version != "" || err != nil {
		return version, Tools, err
	}
	for _, file := range miseFiles {
		if version, err = mise(src, file, names); version != "" || err != nil {
			return version, file, err
		}
	}
	return "", "", nil
}

// mise reads the table of tools: each is a version, a list of them, or a table with one.
func mise(src *source.Tree, file string, names []string) (string, error) {
	text, err := src.Read(file, maxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var config struct {
		Tools map[string]any `toml:"tools"`
	}
	if err := toml.Unmarshal(text, &config); err != nil {
		return "", platform.Errorf(platform.Failed, "%s is not TOML of the expected form", file).Because(err).
			WithHint("it has lines such as [tools] and node = \"22\"")
	}
	for _, name := range names {
		if version := miseVersion(config.Tools[name]); version != "" && usable(version) {
			return version, nil
		}
	}
	return "", nil
}

func miseVersion(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case []any:
		if len(v) > 0 {
			return miseVersion(v[0])
		}
	case map[string]any:
		return miseVersion(v["version"])
	}
	return ""
}
