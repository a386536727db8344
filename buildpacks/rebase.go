package buildpacks

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"paas/platform"
	"paas/runtime/image"
)

// A newer base goes below an image's own layers without a build: what an app's steps have written depends on the
// interfaces of the libraries below, and Debian's updates of a stable release keep those, sonames too (Debian
// Developer's Reference, 5.5.1 "Special case: uploads to the stable distribution"). Layers of Debian packages are
// another matter: each has the whole package database in it, so they are made again over the new base. For the
// same reason a layer of the app's that changes what belongs to Debian keeps the image where it is.

// checkScript lists what apt would update: "libssl3t64 3.5.1-1 → 3.5.7-1".
const checkScript = aptUpdate + `
apt-get -s dist-upgrade | sed -n 's/^Inst \([^ ]*\) \[\([^]]*\)\] (\([^ ]*\).*/NEWER \1 \2 → \3/p' >/tmp/newer
cat /tmp/newer`

// updateScript installs the updates. The stamp makes the layer another one also when all that is newer is in the
// packages over it.
const updateScript = aptUpdate + `
apt-get -q -y -o Dpkg::Use-Pty=0 --no-install-recommends dist-upgrade >/tmp/install 2>&1 || { tail -n 30 /tmp/install; exit 1; }
echo "updated $1" >/etc/paas-stack` + aptTidy

// adoptScript makes a base of somebody's Debian image: what apps expect in it, and the user that they run as. What
// is there already stays as it was pinned.
const adoptScript = `
for p in apt-get useradd getent; do command -v $p >/dev/null || { echo "the image has no $p"; exit 1; }; done
getent passwd 1000 >/dev/null || useradd --uid 1000 --user-group --home-dir /app --no-create-home --shell /bin/bash app
mkdir -p /app /usr/share/man/man1
chown 1000:1000 /app` + aptUpdate + aptInstall + "--no-upgrade " + aptArgs + aptTidy

// UpdateBase implements platform.Bases.
func (e *Engine) UpdateBase(ctx context.Context, s platform.Stack, sets [][]string, story *platform.Story) (platform.Stack, []string, error) {
	done, err := e.begin(hostApp)
	if err != nil {
		return s, nil, err
	}
	defer done()
	if _, err := e.ground(ctx, s, story); err != nil {
		return s, nil, err
	}
	newer, err := e.newerPackages(ctx, s, append(sets, buildPackages), story)
	if err != nil || len(newer) == 0 {
		return s, nil, err
	}
	story.Phase("Installing %d updates", len(newer))
	next, err := e.over(ctx, []string{s.Layer}, aptRun{
		script: updateScript, name: "apt-get dist-upgrade", args: []string{e.now().UTC().Format("2006-01-02 15:04:05")},
	}, "base image: updated "+shortList(newer), story)
	if err != nil {
		return s, nil, err
	}
	s.Layer, s.Number = next, 0
	s, err = e.describe(s)
	return s, newer, err
}

// newerPackages asks about the base and every layer of packages over it that is there.
func (e *Engine) newerPackages(ctx context.Context, s platform.Stack, sets [][]string, story *platform.Story) ([]string, error) {
	found := map[string]bool{}
	stacks := [][]string{{s.Layer}}
	for _, names := range sets {
		if layer := packagesKey(s.Layer, names); e.Images.Has(layer) {
			stacks = append(stacks, []string{s.Layer, layer})
		}
	}
	for _, layers := range stacks {
		var said strings.Builder
		err := e.scratch(func(dir string) error {
			return e.runApt(ctx, aptRun{layers: layers, upper: dir, script: checkScript, name: "apt-get update"},
				platform.NewStory(&said, e.Now))
		})
		if err != nil {
			story.Line("%s", strings.TrimSpace(said.String()))
			return nil, err
		}
		for line := range strings.Lines(said.String()) {
			if _, what, ok := strings.Cut(line, "NEWER "); ok {
				found[strings.TrimSpace(what)] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// over runs a script over layers and makes one layer of all that is there then.
func (e *Engine) over(ctx context.Context, layers []string, r aptRun, note string, story *platform.Story) (layer string, err error) {
	err = e.scratch(func(upper string) error {
		r.layers, r.upper = layers, upper
		if err := e.runApt(ctx, r, story); err != nil {
			return err
		}
		var dirs []string
		for _, l := range layers {
			dirs = append(dirs, e.Images.Dir(l))
		}
		layer, err = e.content(ctx, note, func(d *image.Draft) error { return d.Flatten(ctx, append(dirs, upper)...) })
		return err
	})
	return layer, err
}

// BaseOf implements platform.Bases.
func (e *Engine) BaseOf(ctx context.Context, img platform.Image, story *platform.Story) (platform.Stack, error) {
	done, err := e.begin(hostApp)
	if err != nil {
		return platform.Stack{}, err
	}
	defer done()
	if err := e.suits(img); err != nil {
		return platform.Stack{}, err
	}
	story.Phase("Making a base image of it")
	layer, err := e.over(ctx, img.Layers, aptRun{script: adoptScript, args: runPackages, name: "apt-get install"}, "base image: made of an image", story)
	if err != nil {
		return platform.Stack{}, err
	}
	return e.describe(platform.Stack{Layer: layer, Kind: debianKind()})
}

// suits refuses what toolchains from this suite's packages would not run on.
func (e *Engine) suits(img platform.Image) error {
	text, err := e.Images.ReadFile(img.Layers, "etc/os-release", 1<<16)
	fields := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		fields[name] = strings.Trim(value, `"`)
	}
	if fields["ID"] == "debian" && fields["VERSION_CODENAME"] == suite {
		return nil
	}
	what := fields["PRETTY_NAME"]
	if what == "" {
		what = "something else"
	}
	return platform.Errorf(platform.Failed, "a stack's image must be Debian %s, and this is %s", suite, what).Because(err).
		WithHint("apps that need another system bring it along: deploy their image, or a Dockerfile")
}

// Rebase implements platform.Bases.
func (e *Engine) Rebase(ctx context.Context, img platform.Image, onto platform.Stack, story *platform.Story) (platform.Image, error) {
	done, err := e.begin(hostApp)
	if err != nil {
		return img, err
	}
	defer done()
	if err := e.movable(img, onto); err != nil {
		return img, err
	}
	if _, err := e.ground(ctx, onto, story); err != nil {
		return img, err
	}
	footing := platform.Footing{Stack: onto.Name, Kind: onto.Kind, Layer: onto.Layer, Key: img.Stack.Key, Packages: map[string][]string{}}
	place := map[string]string{img.Stack.Layer: onto.Layer}
	for old, names := range img.Stack.Packages {
		layer, err := e.packages(ctx, onto.Layer, names, story)
		if err != nil {
			return img, err
		}
		place[old], footing.Packages[layer] = layer, names
	}
	return moved(img, footing, place)
}

// moved replaces layers. An image that is what its build made is what a build over the new base would make.
func moved(img platform.Image, footing platform.Footing, place map[string]string) (platform.Image, error) {
	before, err := named(img)
	if err != nil {
		return img, err
	}
	built := before.ID == img.ID
	layers := slices.Clone(img.Layers)
	for i, l := range layers {
		if other, ok := place[l]; ok {
			layers[i] = other
		}
	}
	if !built { // something was added to it
		footing.Key = keyOf("rebased", img.ID)
	}
	img.Layers, img.Stack = layers, &footing
	return named(img)
}

// movable tells why an image cannot be put on the base, if so.
func (e *Engine) movable(img platform.Image, onto platform.Stack) error {
	on := img.Stack
	if on == nil {
		return platform.Errorf(platform.Conflict, "it was not built on a stack")
	}
	if on.Kind != onto.Kind {
		return platform.Errorf(platform.Conflict, "it was built on another kind of base (%s)", on.Kind)
	}
	for _, layer := range img.Layers {
		if _, packages := on.Packages[layer]; packages || layer == on.Layer {
			continue
		}
		strange, err := strangeIn(e.Images.Dir(layer), e.Images.Dir(on.Layer))
		if err != nil {
			return fmt.Errorf("look into layer %s: %w", layer, err)
		}
		if strange != "" {
			return platform.Errorf(platform.Conflict, "a layer of it changes /%s, which belongs to the base", strange)
		}
	}
	return nil
}

// strangeIn is a path in a layer that is not for apps and toolchains; "" if there is none. Steps leave folders and
// empty files there, where something of the machine's was mounted that the base has no place for.
func strangeIn(dir, base string) (strange string, err error) {
	own := []string{"app", "home", "opt", "root", "srv", "tmp", "usr/local"} // Filesystem Hierarchy Standard 3.0: none is the distribution's
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, err := filepath.Rel(dir, path)
		switch {
		case err != nil:
			return err
		case slices.Contains(own, name) && d.IsDir():
			return fs.SkipDir
		case d.IsDir() && !isOpaque(path) || isStub(path, filepath.Join(base, name)):
			return nil
		}
		strange = name
		return fs.SkipAll
	})
	return strange, err
}

// isOpaque tells of a directory that hides the base's.
func isOpaque(path string) bool {
	var value [1]byte
	n, err := unix.Lgetxattr(path, "trusted.overlay.opaque", value[:])
	return err == nil && n == 1 && value[0] == 'y'
}

// isStub tells of a file that is empty and hides nothing.
func isStub(path, below string) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > 0 {
		return false
	}
	_, err = os.Lstat(below)
	return errors.Is(err, fs.ErrNotExist)
}
