// Package versionfile reads the small files in which an app names the version of its language: files of one
// line such as .nvmrc, and .tool-versions, which asdf and mise share.
package versionfile

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"paas/buildpacks/source"
)

// Tools is the name of the file with a version of every tool, at the root of a source tree.
const Tools = ".tool-versions"

const maxSize = 64 << 10

// Line is the first line of the file that is neither empty nor a comment, or "".
func Line(src *source.Tree, name string) (string, error) {
	lines, err := read(src, name)
	if len(lines) == 0 || err != nil {
		return "", err
	}
	return lines[0], nil
}

// Tool is the first version that .tool-versions gives for a tool, by any of its names, or "". "system", a
// path and a git ref are no versions.
func Tool(src *source.Tree, names ...string) (string, error) {
	lines, err := read(src, Tools)
	for _, line := range lines {
		words := strings.Fields(line)
		if len(words) >= 2 && slices.Contains(names, words[0]) && usable(words[1]) {
			return words[1], nil
		}
	}
	return "", err
}

func usable(version string) bool { return version != "system" && !strings.Contains(version, ":") }

// read returns the lines that say something; a missing file has none.
func read(src *source.Tree, name string) ([]string, error) {
	text, err := src.Read(name, maxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines, err
}

// Property is the value of a key in a file of "key=value" lines (Java's properties, without their escapes), or "".
func Property(src *source.Tree, name, key string) (string, error) {
	lines, err := read(src, name)
	for _, line := range lines {
		k, value, ok := strings.Cut(line, "=")
		if ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(value), nil
		}
	}
	return "", err
}
