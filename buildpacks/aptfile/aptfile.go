// Package aptfile reads an Aptfile: Debian packages that the app needs, one a line, as Heroku's apt buildpack
// has it. Empty lines and what follows a # are comments.
package aptfile

import (
	"errors"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"paas/buildpacks/source"
	"paas/platform"
)

// Name is the file's name at the root of a source tree.
const Name = "Aptfile"

const (
	maxSize     = 64 << 10
	maxPackages = 500
)

// A package's name (Debian Policy, 5.6.1), perhaps with an architecture and a version (apt-get(8)).
var pattern = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+(:(amd64|all|any))?(=[A-Za-z0-9.+:~-]+)?$`)

// Read returns the packages, sorted; a missing file names none. Every error is a *platform.Error that names
// the line.
func Read(src *source.Tree) ([]string, error) {
	text, err := src.Read(Name, maxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var packages []string
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line, _, _ = strings.Cut(line, "#")
		names, err := parse(number, strings.TrimSpace(line))
		if err != nil {
			return nil, err
		}
		packages = append(packages, names...)
	}
	if len(packages) > maxPackages {
		return nil, platform.Errorf(platform.Failed, "%s names more than %d packages", Name, maxPackages).WithHint("name those that the app itself needs")
	}
	return slices.Compact(slices.Sorted(slices.Values(packages))), nil
}

func parse(number int, line string) ([]string, error) {
	switch {
	case strings.HasPrefix(line, ":repo:"):
		return nil, bad(number, "other package archives are not read").WithHint("packages come from the server's Debian mirror: name them without :repo:")
	case strings.Contains(line, "://") || strings.HasSuffix(line, ".deb"):
		return nil, bad(number, "%.60q is a file, and only packages of Debian are installed", line).WithHint("name a package, or put the program itself into the repository")
	}
	names := strings.Fields(line)
	for _, name := range names {
		if !pattern.MatchString(name) {
			return nil, bad(number, "%.60q is not the name of a Debian package", name).WithHint("write one name a line, such as ffmpeg")
		}
	}
	return names, nil
}

func bad(number int, format string, args ...any) *platform.Error {
	return platform.Errorf(platform.Failed, Name+" line %d: "+format, append([]any{number}, args...)...)
}
