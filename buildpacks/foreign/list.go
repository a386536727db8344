// Package foreign reads what apps wrote for the builders of other platforms: .buildpacks, project.toml,
// heroku.yml, railpack.json, nixpacks.toml and .slugignore.
package foreign

import (
	"errors"
	"io/fs"
	"strings"

	"paas/buildpacks/source"
	"paas/platform"
)

// The files' names.
const (
	ListName = ".buildpacks"
	EnvName  = ".env"
	URLName  = "BUILDPACK_URL" // a config var, or a line of .env
)

const (
	maxText  = 256 << 10 // bytes of one of the files
	maxPacks = 20
)

// read returns nothing for a file that is not there.
func read(tree *source.Tree, name string) (text []byte, ok bool, err error) {
	text, err = tree.Read(name, maxText)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	return text, err == nil, err
}

// ReadList reads the buildpacks of a .buildpacks file: one a line, in their order (the README of Heroku's
// buildpack-multi). Empty lines and lines that start with # say nothing.
func ReadList(tree *source.Tree) (list []string, err error) {
	text, _, err := read(tree, ListName)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			list = append(list, line)
		}
	}
	if len(list) > maxPacks {
		return nil, platform.Errorf(platform.Failed, "%s names %d buildpacks; %d is the most", ListName, len(list), maxPacks)
	}
	return list, nil
}

// ReadURL finds the buildpack that a committed .env names.
func ReadURL(tree *source.Tree) (url string, err error) {
	text, _, err := read(tree, EnvName)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		if ok && strings.TrimSpace(name) == URLName {
			url = strings.Trim(strings.TrimSpace(value), `"'`)
		}
	}
	return url, nil
}
