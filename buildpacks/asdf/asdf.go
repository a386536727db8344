// Package asdf reads .tool-versions, the version file that asdf and mise share: "tool version…" a line.
package asdf

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"paas/buildpacks/source"
)

// Name is the file's name at the root of a source tree.
const Name = ".tool-versions"

const maxSize = 64 << 10

// Version is the first version that the tree's .tool-versions gives for a tool, by any of its names, or "".
// "system", a path and a git ref are no versions.
func Version(src *source.Tree, tools ...string) (string, error) {
	text, err := src.Read(Name, maxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) >= 2 && slices.Contains(tools, words[0]) && usable(words[1]) {
			return words[1], nil
		}
	}
	return "", nil
}

func usable(version string) bool { return version != "system" && !strings.Contains(version, ":") }
