package main

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"paas/buildpacks"
	"paas/buildpacks/dockerfile/wire"
	"paas/platform"
	"paas/runtime/image"
	"paas/runtime/image/exchange"
	"paas/store"
)

// bases finds the images that Dockerfiles are built upon.
type bases struct {
	store    *store.Store
	exchange *exchange.Exchange
	images   *image.Store
	mapped   map[string]string // the admin's: what is meant by a name
	stack    func(ctx context.Context, name string, story *platform.Story) (wire.Base, error)
}

// find looks, in this order, where the admin says, among the images of our own registry, and in the registry
// that the name names; where that cannot be asked, among what was pulled or loaded before.
func (b *bases) find(ctx context.Context, name string, story *platform.Story) (wire.Base, error) {
	target, mapped := b.target(name)
	if mapped {
		story.Line("%s is %s here", familiar(name), target)
		if strings.HasPrefix(target, "/") {
			return b.layout(ctx, target)
		}
		if base, err := b.stack(ctx, withTag("docker.io/"+target), story); platform.KindOf(err) != platform.NotFound {
			return base, err
		}
		name = target
	}
	for _, own := range ownNames(name) {
		base, err := b.own(ctx, own, story)
		if err == nil || platform.KindOf(err) != platform.NotFound {
			return base, err
		}
	}
	return b.pull(ctx, name, story)
}

// ownNames are those that our own registry may have it under: "library/base" is a repository too.
func ownNames(name string) []string {
	short, full := familiar(name), strings.TrimPrefix(name, "docker.io/")
	if short == full {
		return []string{short}
	}
	return []string{short, full}
}

// target is what the admin maps a name to.
func (b *bases) target(name string) (string, bool) {
	plain, _, _ := strings.Cut(name, "@")
	for from, to := range b.mapped {
		full, err := b.exchange.Name(from)
		if err != nil {
			continue
		}
		if asked, err := b.exchange.Name(plain); err == nil && asked == full {
			return to, true
		}
	}
	return "", false
}

// familiar is a normalized name as people write it.
func familiar(name string) string {
	return strings.TrimPrefix(strings.TrimPrefix(name, "docker.io/"), "library/")
}

func withTag(name string) string {
	if strings.LastIndexByte(name, ':') > strings.LastIndexByte(name, '/') {
		return name
	}
	return name + ":latest"
}

// layout is an OCI image layout on the server's disk, a directory or an archive of one.
func (b *bases) layout(ctx context.Context, path string) (wire.Base, error) {
	layers, config, err := b.images.ImportLayout(ctx, path, "")
	if err != nil {
		return wire.Base{}, err
	}
	text, err := json.Marshal(config)
	return wire.Base{Digest: buildpacks.LayersDigest(layers, text), Layers: layers, Config: text}, err
}

// own finds a release, "blog:v12", or what was pushed to our registry.
func (b *bases) own(ctx context.Context, reference string, story *platform.Story) (wire.Base, error) {
	repo, ref, err := ownReference(reference, story)
	if err != nil {
		return wire.Base{}, err
	}
	if number := platform.ReleaseTag(ref); number != 0 && string(repo.App()) == string(repo) {
		return b.release(ctx, repo.App(), number)
	}
	if _, digest, pinned := strings.Cut(reference, "@"); pinned {
		if base, err := b.exchange.PushedBase(ctx, repo, digest); err == nil {
			return asBase(base, nil)
		}
	}
	return asBase(b.exchange.PushedBase(ctx, repo, ref))
}

// ownReference is the repository and the tag of an image that our own registry may have for who builds.
func ownReference(reference string, story *platform.Story) (repo platform.Repository, tag string, err error) {
	plain, _, _ := strings.Cut(reference, "@")
	name, tag := plain, "latest"
	if i := strings.LastIndexByte(plain, ':'); i > strings.LastIndexByte(plain, '/') {
		name, tag = plain[:i], plain[i+1:]
	}
	if repo, err = platform.ParseRepository(name); err != nil || !story.Sees(repo.App()) {
		return repo, tag, platform.Errorf(platform.NotFound, "our own registry has no %s", reference)
	}
	return repo, tag, nil
}

func asBase(b exchange.Base, err error) (wire.Base, error) {
	return wire.Base{Digest: b.Digest, Layers: b.Layers, Config: b.Config}, err
}

func (b *bases) release(ctx context.Context, app platform.AppName, number int) (wire.Base, error) {
	r, err := b.store.Release(ctx, app, number)
	if err != nil {
		return wire.Base{}, err
	}
	return imageBase(r.Image)
}

func imageBase(img platform.Image) (wire.Base, error) {
	config := image.ConfigOf(img, nil)
	text, err := json.Marshal(config)
	if len(img.Inherit) > 0 {
		text, err = json.Marshal(struct {
			ocispec.Image
			Config json.RawMessage `json:"config"`
		}{config, img.Inherit})
	}
	return wire.Base{Digest: buildpacks.LayersDigest(img.Layers, text), Layers: img.Layers, Config: text}, err
}

// pull asks the registry each time, as tags move. One that does not answer is no reason to fail as long as the
// image was brought here before.
func (b *bases) pull(ctx context.Context, name string, story *platform.Story) (wire.Base, error) {
	logins, err := b.store.Logins(ctx)
	if err != nil {
		return wire.Base{}, err
	}
	base, err := b.exchange.PullBase(ctx, name, platform.Transfer{Logins: logins, Say: func(line string) { story.Line("%s", line) }})
	if err == nil || ctx.Err() != nil {
		return asBase(base, err)
	}
	plain, _, _ := strings.Cut(name, "@")
	full, nameErr := b.exchange.Name(plain)
	if nameErr == nil {
		if had, hadErr := b.store.Pulled(ctx, full); hadErr == nil {
			story.Warn("%s cannot be asked for again: what was pulled %s is used.", familiar(plain), had.CreatedAt.Format("2006-01-02"))
			return imageBase(had.Image)
		}
	}
	return wire.Base{}, platform.Errorf(platform.Failed, "the image %s cannot be had: %s", familiar(plain), sentenceOf(err)).Because(err).
		WithHint("build upon paas/run or paas/build, load it (docker save %s | ssh paas images:load), or have an admin map it in [bases] of paas.toml", familiar(plain))
}

func sentenceOf(err error) string {
	var human *platform.Error
	if errors.As(err, &human) {
		return human.Message
	}
	return err.Error()
}
