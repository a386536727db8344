package buildpacks

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"paas/buildpacks/plan"
	"paas/platform"
)

// The default base image is Debian trixie, made on this host from the host's own mirror. recipe changes when what
// apps find in it does: what was built on an image of another recipe is built again.
const (
	suite  = "trixie"
	recipe = 2
)

// runPackages is what running apps find beside the essential system.
var runPackages = strings.Fields(`ca-certificates tzdata curl bash openssl netbase procps media-types
	libjemalloc2 libpq5 libsqlite3-0 libxml2 libyaml-0-2 libicu76 zlib1g libssl3t64 libffi8 libreadline8t64 libatomic1`)

// buildPackages is what steps that compile find beside it.
var buildPackages = strings.Fields(`build-essential git pkg-config python3 python3-dev python3-setuptools unzip zip
	xz-utils zstd wget file autoconf automake libtool patch libssl-dev zlib1g-dev libpq-dev libsqlite3-dev
	libyaml-dev libffi-dev libreadline-dev default-libmysqlclient-dev libxml2-dev libxslt1-dev`)

// leftOut is documentation and translations; copyright files stay.
var leftOut = []string{
	"path-exclude=/usr/share/doc/*", "path-include=/usr/share/doc/*/copyright", "path-exclude=/usr/share/man/*/*",
	"path-exclude=/usr/share/locale/*", "path-exclude=/usr/share/info/*", "path-exclude=/usr/share/lintian/*",
}

// common are the toolchains that are fetched ahead: those of the examples people start with.
var common = []plan.Toolchain{{Name: "static"}, {Name: "node"}, {Name: "python"}, {Name: "go"}}

// debianKind is the platform.Stack's Kind of base images that are made here.
func debianKind() string { return fmt.Sprintf("Debian %s, recipe %d", suite, recipe) }

// Prepare is PrepareBase for the default base image.
func (e *Engine) Prepare(ctx context.Context, story *platform.Story) error {
	return e.PrepareBase(ctx, platform.Stack{}, story)
}

// PrepareBase implements platform.Bases: base image, toolchains, compilers. What is there already is not made
// again. What comes over the network as a whole is fetched while Debian's packages keep one processor busy.
func (e *Engine) PrepareBase(ctx context.Context, s platform.Stack, story *platform.Story) error {
	done, err := e.begin(hostApp)
	if err != nil {
		return err
	}
	defer done()
	packaged, fetched := common, []plan.Toolchain(nil)
	if e.Machine.NPM != "" && e.Machine.Go != "" { // else the clients are Debian's, over the base
		packaged, fetched = divide(common)
	}
	var ahead, layers []string
	var early error
	g, inBoth := errgroup.WithContext(ctx)
	g.Go(func() error {
		ahead, early = e.toolchains(inBoth, "", fetched, aside(story))
		return nil
	})
	g.Go(func() (err error) {
		layers, err = e.variants(inBoth, s, packaged, story)
		return err
	})
	if err := g.Wait(); err != nil {
		return err
	}
	if early != nil { // maybe for want of a client, which Debian has
		if ahead, err = e.toolchains(ctx, layers[0], fetched, story); err != nil {
			return err
		}
	}
	return e.rememberLayers(hostApp, append(layers, ahead...))
}

// divide tells toolchains that Debian packages from those that come from elsewhere.
func divide(all []plan.Toolchain) (packaged, fetched []plan.Toolchain) {
	for _, t := range all {
		if _, ok := debianToolchains[t.Name]; ok {
			packaged = append(packaged, t)
		} else {
			fetched = append(fetched, t)
		}
	}
	return packaged, fetched
}

func (e *Engine) toolchains(ctx context.Context, base string, all []plan.Toolchain, story *platform.Story) (layers []string, err error) {
	for _, t := range all {
		m, err := e.toolchain(ctx, base, t, story)
		if err != nil {
			return nil, err
		}
		layers = append(append(layers, m.under...), m.layer)
	}
	return layers, nil
}

// variants makes the run variant, toolchains over it, and the build variant, and returns them, the run variant
// first. The build variant is a layer of packages over the other, mounted below the steps that need it: as good as
// an image of its own, and 157 MB less.
func (e *Engine) variants(ctx context.Context, s platform.Stack, toolchains []plan.Toolchain, story *platform.Story) ([]string, error) {
	base, err := e.ground(ctx, s, story)
	if err != nil {
		return nil, err
	}
	layers, err := e.toolchains(ctx, base, toolchains, story)
	if err != nil {
		return nil, err
	}
	tools, err := e.packages(ctx, base, buildPackages, story)
	if err != nil {
		return nil, err
	}
	for _, layer := range []string{base, tools} {
		if _, err := e.blob(ctx, layer); err != nil {
			return nil, err
		}
	}
	return append([]string{base, tools}, layers...), nil
}

// ground is the layer of the base image to build on.
func (e *Engine) ground(ctx context.Context, s platform.Stack, story *platform.Story) (string, error) {
	if s.Layer == "" {
		return e.baseLayer(ctx, story)
	}
	if err := e.holding.hold(s.Layer); err != nil {
		return "", err
	}
	return s.Layer, e.RestoreBase(ctx, s)
}

// aside is a story of what goes on beside the one that is told: it has lines only.
func aside(story *platform.Story) *platform.Story {
	return platform.NewStory(asideWriter{story}, nil)
}

type asideWriter struct{ story *platform.Story }

// Write implements io.Writer. A Story writes whole lines, each after seven characters.
func (w asideWriter) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		text := strings.TrimSpace(line[min(len(line), 7):])
		if text != "" && !strings.HasPrefix(text, "done in ") {
			w.story.Line("%s", text)
		}
	}
	return len(p), nil
}

// addBase puts the base image below everything, and the Debian packages that the app needs over it.
func (b *build) addBase(ctx context.Context) (err error) {
	t := b.begins("Debian "+suite, platform.BaseStep)
	s := b.req.Stack
	if b.base, err = b.ground(ctx, s, b.req.Story); err != nil {
		return b.tell(t, b.base, err)
	}
	b.footing = platform.Footing{
		Stack: cmp.Or(s.Name, platform.DefaultStack), Kind: cmp.Or(s.Kind, debianKind()), Layer: b.base, Packages: map[string][]string{},
	}
	// What is built depends on what the base has in common with its next versions, not on which it is.
	b.stack(b.base, true)
	b.key = keyOf("base", b.footing.Kind)
	if err := b.tell(t, b.base, nil); err != nil || len(b.plan.Packages) == 0 {
		return err
	}
	t = b.begins("packages", platform.PackagesStep, packageInputs(b.base, b.plan.Packages)...)
	layer, err := b.packages(ctx, b.base, b.plan.Packages, b.req.Story)
	if err == nil {
		b.add(layer, true)
	}
	return b.tell(t, layer, err)
}
