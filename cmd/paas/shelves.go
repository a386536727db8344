package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/opencontainers/go-digest"

	"paas/buildpacks/manifest"
	"paas/buildpacks/procfile"
	"paas/platform"
	"paas/runtime/image/blobs"
	"paas/runtime/image/exchange"
	"paas/store"
)

// openRegistry opens what our own registry keeps, and the ways in and out of the content store.
func (r *rooms) openRegistry(dir string) (err error) {
	if r.blobs, err = blobs.Open(dir); err != nil {
		return err
	}
	r.blobs.KeepRoom(r.images.Room)
	r.exchange, err = exchange.Open(exchange.Options{
		Dir: filepath.Join(dir, "made"), Images: r.images, Blobs: r.blobs, Procfile: procfile.Parse, Declare: manifest.Declare,
	})
	return err
}

// shelves are what the registry shows: what was pushed, and beside it every release of an app as its
// repository's tags v1, v2, …, whose blobs are made of the layers when somebody asks for them.
type shelves struct {
	*blobs.Area
	exchange *exchange.Exchange
	store    *store.Store
}

func (r *rooms) shelves() shelves {
	return shelves{Area: r.blobs, exchange: r.exchange, store: r.store}
}

// releases are the images that the repository shows by itself.
func (s shelves) releases(ctx context.Context, repo platform.Repository) ([]platform.Release, error) {
	if repo.App() == "" || string(repo) != string(repo.App()) {
		return nil, nil
	}
	all, err := s.store.Releases(ctx, repo.App())
	return slices.DeleteFunc(all, func(r platform.Release) bool { return r.Status != platform.Live }), err
}

func (s shelves) images(ctx context.Context, repo platform.Repository) ([]platform.Image, error) {
	releases, err := s.releases(ctx, repo)
	var images []platform.Image
	for _, r := range releases {
		images = append(images, r.Image)
	}
	return images, err
}

// released tells whether a tag is one of those that releases have.
func released(repo platform.Repository, tag string) bool {
	return string(repo) == string(repo.App()) && platform.ReleaseTag(tag) > 0
}

// Manifest implements registry.Store.
func (s shelves) Manifest(ctx context.Context, repo platform.Repository, ref, accept string) (platform.Manifest, error) {
	if released(repo, ref) {
		return s.releaseManifest(ctx, repo, ref, accept)
	}
	if _, err := blobs.ParseDigest(ref); err != nil && !blobs.IsTag(ref) {
		return platform.Manifest{}, noManifest(repo, ref)
	}
	m, err := s.Area.Manifest(ctx, repo, ref)
	if platform.KindOf(err) != platform.NotFound || blobs.IsTag(ref) {
		return m, err
	}
	return s.madeManifest(ctx, repo, ref)
}

func noManifest(repo platform.Repository, ref string) error {
	return platform.Errorf(platform.NotFound, "%s has no manifest %s", repo, ref)
}

func (s shelves) releaseManifest(ctx context.Context, repo platform.Repository, tag, accept string) (platform.Manifest, error) {
	r, err := s.store.Release(ctx, repo.App(), platform.ReleaseTag(tag))
	if err == nil && r.Status != platform.Live {
		err = noManifest(repo, tag)
	}
	if err != nil {
		return platform.Manifest{}, err
	}
	return s.exchange.Packed(ctx, r.Image, exchange.Compressions(accept))
}

// madeManifest finds a release's manifest by its digest.
func (s shelves) madeManifest(ctx context.Context, repo platform.Repository, ref string) (m platform.Manifest, err error) {
	images, err := s.images(ctx, repo)
	if err != nil {
		return m, err
	}
	for _, img := range images {
		if m, ok := s.exchange.Known(img, ref); ok {
			return m, nil
		}
	}
	return m, noManifest(repo, ref)
}

// PutManifest implements registry.Store. What a release is called nothing else is.
func (s shelves) PutManifest(ctx context.Context, repo platform.Repository, ref string, m platform.Manifest) (platform.Manifest, error) {
	if released(repo, ref) {
		return m, platform.Errorf(platform.Denied, "the tag %s is for a release of %s; choose another", ref, repo)
	}
	return s.Area.PutManifest(ctx, repo, ref, m)
}

// DeleteManifest implements registry.Store.
func (s shelves) DeleteManifest(ctx context.Context, repo platform.Repository, ref string) error {
	if released(repo, ref) {
		return platform.Errorf(platform.Denied, "the tag %s is a release of %s, which stays", ref, repo)
	}
	return s.Area.DeleteManifest(ctx, repo, ref)
}

// Blob implements registry.Store. A release's blob that somebody asks for becomes the repository's, so
// that a manifest that is built upon it can need it.
func (s shelves) Blob(ctx context.Context, repo platform.Repository, text string) (io.ReadSeekCloser, error) {
	d, err := blobs.ParseDigest(text)
	if err != nil {
		return nil, err
	}
	f, _, err := s.Area.Blob(ctx, repo, d)
	if platform.KindOf(err) != platform.NotFound {
		return f, err
	}
	images, listErr := s.images(ctx, repo)
	if listErr != nil {
		return nil, listErr
	}
	made, makeErr := s.exchange.PackedBlob(ctx, images, d)
	if errors.Is(makeErr, fs.ErrNotExist) {
		return nil, err
	}
	if makeErr != nil {
		return nil, fmt.Errorf("make blob %s of %s: %w", d, repo, makeErr)
	}
	return made, s.Link(ctx, repo, d)
}

// DeleteBlob implements registry.Store.
func (s shelves) DeleteBlob(ctx context.Context, repo platform.Repository, text string) error {
	d, err := blobs.ParseDigest(text)
	if err != nil {
		return err
	}
	return s.Area.DeleteBlob(ctx, repo, d)
}

// Mount implements registry.Store.
func (s shelves) Mount(ctx context.Context, to, from platform.Repository, text string) error {
	f, err := s.Blob(ctx, from, text)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return s.Link(ctx, to, digest.Digest(text))
}

// Tags implements registry.Store.
func (s shelves) Tags(ctx context.Context, repo platform.Repository) ([]string, error) {
	tags, err := s.Area.Tags(ctx, repo)
	if err != nil {
		return nil, err
	}
	releases, err := s.releases(ctx, repo)
	if err != nil {
		return nil, err
	}
	for _, r := range releases {
		tags = append(tags, fmt.Sprintf("v%d", r.Number))
	}
	if len(tags) == 0 && !s.Exists(repo) {
		return nil, platform.Errorf(platform.NotFound, "there is no repository %s", repo)
	}
	return tags, nil
}

// Repositories implements registry.Store.
func (s shelves) Repositories(ctx context.Context) ([]platform.Repository, error) {
	repos, err := s.Area.Repositories(ctx)
	if err != nil {
		return nil, err
	}
	apps, err := s.store.Apps(ctx)
	for _, app := range apps {
		if repo := platform.Repository(app.Name); app.Release > 0 && !slices.Contains(repos, repo) {
			repos = append(repos, repo)
		}
	}
	slices.Sort(repos)
	return repos, err
}

// Referrers implements registry.Store.
func (s shelves) Referrers(ctx context.Context, repo platform.Repository, text string) ([]platform.Descriptor, error) {
	d, err := blobs.ParseDigest(text)
	if err != nil {
		return nil, err
	}
	return s.Area.Referrers(ctx, repo, d)
}

// FinishUpload implements registry.Store.
func (s shelves) FinishUpload(ctx context.Context, repo platform.Repository, id, text string) error {
	d, err := blobs.ParseDigest(text)
	if err != nil {
		return err
	}
	return s.Area.FinishUpload(ctx, repo, id, d)
}
