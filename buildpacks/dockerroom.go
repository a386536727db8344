package buildpacks

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"paas/buildpacks/dockerfile/wire"
	"paas/buildpacks/source"
	"paas/platform"
)

var (
	// fromLine is a FROM instruction and the image it names, copyFrom what COPY takes of an image (Dockerfile
	// reference, "FROM" and "COPY --from").
	fromLine = regexp.MustCompile(`(?im)^[ \t]*FROM[ \t]+(?:--\S+[ \t]+)*(\S+)(?:[ \t]+AS[ \t]+(\S+))?`)
	copyFrom = regexp.MustCompile(`(?im)^[ \t]*COPY[ \t].*--from=(\S+)`)
	argument = regexp.MustCompile(`\$(?:\{([A-Za-z_]\w*)(?::?-([^}]*))?\}|([A-Za-z_]\w*))`)
	argWord  = regexp.MustCompile(`([A-Za-z_]\w*)=["']?([^\s"']*)`)
	placeOf  = regexp.MustCompile(`^\d+$`)
)

// How many images of a Dockerfile are asked for their size, and how long registries are waited for in all.
const (
	mostFroms = 16
	roomWait  = 5 * time.Second
)

// froms are the images that the Dockerfile names, stages and scratch left out, and names that cannot be told from
// its text.
func froms(dockerfile []byte, args map[string]string) (names []string) {
	text := string(dockerfile)
	values := defaults(text, args)
	stages := []string{"scratch"}
	note := func(name string) {
		name = expandArgs(name, values)
		known := slices.ContainsFunc(stages, func(s string) bool { return strings.EqualFold(s, name) })
		if !known && !placeOf.MatchString(name) && name != "" && !strings.ContainsAny(name, `$"'`) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, m := range fromLine.FindAllStringSubmatch(text, -1) {
		note(m[1])
		stages = append(stages, m[2])
	}
	for _, m := range copyFrom.FindAllStringSubmatch(text, -1) {
		note(m[1])
	}
	return names[:min(len(names), mostFroms)]
}

// defaults are the values of ARGs, those that are given before those of the text.
func defaults(text string, args map[string]string) map[string]string {
	values := map[string]string{}
	for _, line := range argLine.FindAllStringSubmatch(text, -1) {
		for _, m := range argWord.FindAllStringSubmatch(line[1], -1) {
			if _, known := values[m[1]]; !known {
				values[m[1]] = m[2]
			}
		}
	}
	maps.Copy(values, args)
	return values
}

func expandArgs(text string, values map[string]string) string {
	return argument.ReplaceAllStringFunc(text, func(ref string) string {
		m := argument.FindStringSubmatch(ref)
		if value := values[m[1]+m[3]]; value != "" {
			return value
		}
		return m[2]
	})
}

// estimateDocker is what a Dockerfile's first build writes at least: the images that it names, as far as they are not
// here, and the files of its context. What RUN writes nobody knows.
func (e *Engine) estimateDocker(ctx context.Context, req platform.BuildRequest, tree platform.Tree, name string) (bytes int64, err error) {
	src, err := source.Open(tree)
	if err != nil {
		return 0, err
	}
	text, err := src.Read(name, maxDockerfile)
	if err != nil {
		return 0, nil //nolint:nilerr // the build says what is wrong with it
	}
	if bytes, err = contextSize(src, tree, name); err != nil || e.Docker.Room == nil {
		return bytes, err
	}
	ctx, cancel := context.WithTimeout(ctx, roomWait)
	defer cancel()
	for _, image := range froms(text, declaredArgs(text, req.Config)) {
		bytes += e.Docker.Room(ctx, image, req.Story)
	}
	return bytes, nil
}

func contextSize(src *source.Tree, tree platform.Tree, name string) (bytes int64, err error) {
	files, err := tree.Files()
	if err != nil {
		return 0, err
	}
	ignore, err := ignoreOf(src, name)
	if err != nil {
		return 0, err
	}
	if files, err = wire.Without(files, ignore); err != nil {
		return 0, err
	}
	for _, f := range files {
		if f.Mode == platform.Submodule {
			continue
		}
		n, err := sizeOf(tree, f.ID)
		if err != nil {
			return 0, err
		}
		bytes += n
	}
	return bytes, nil
}

// ignoreOf is the .dockerignore that holds for a Dockerfile; nil without one.
func ignoreOf(src *source.Tree, dockerfile string) (text []byte, err error) {
	for _, name := range []string{dockerfile + ".dockerignore", ".dockerignore"} {
		if text, err = src.Read(name, maxDockerfile); !errors.Is(err, fs.ErrNotExist) {
			return text, err
		}
	}
	return nil, nil
}
