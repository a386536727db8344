package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"paas/buildpacks"
	"paas/platform"
	"paas/runtime/image"
	"paas/runtime/image/blobs"
	"paas/runtime/image/exchange"
)

// images is the content store together with what else takes the disk; it implements platform.Images.
type images struct {
	*image.Store
	builder  *buildpacks.Engine
	blobs    *blobs.Area
	exchange *exchange.Exchange
	data     string
}

// Pieces implements platform.Images.
func (i images) Pieces(_ context.Context, apps []platform.App) ([]platform.Piece, error) {
	layers, err := i.layerPieces(apps)
	if err != nil {
		return nil, err
	}
	caches, err := i.builder.Pieces()
	for n, c := range caches {
		caches[n].Apps = namesOf([]int64{c.AppID}, apps)
	}
	return append(layers, caches...), err
}

func (i images) layerPieces(apps []platform.App) ([]platform.Piece, error) {
	all, err := i.Usage()
	if err != nil {
		return nil, err
	}
	held, err := i.Held()
	if err != nil {
		return nil, err
	}
	cached, err := i.builder.Layers()
	purposes := i.builder.HostPurposes()
	pieces := make([]platform.Piece, 0, len(all))
	for _, u := range all {
		users := cached[u.Layer]
		p := platform.Piece{
			Kind: platform.LayerPiece, Name: u.Layer, Apps: namesOf(users, apps), Bytes: u.Bytes, Held: held[u.Layer],
			Host: slices.Contains(users, 0), Made: cmp.Or(u.Made, purposes[u.Layer]), Took: u.Took, Uses: u.Uses, Used: u.Used, Note: u.Note,
		}
		if p.Host || len(p.Apps) > 0 {
			p.Need = platform.Cached
		}
		pieces = append(pieces, p)
	}
	return pieces, err
}

// Remove implements platform.Images.
func (i images) Remove(_ context.Context, pieces []platform.Piece, age time.Duration) ([]platform.Piece, error) {
	var layers []string
	var caches []platform.Piece
	for _, p := range pieces {
		if p.Kind == platform.CachePiece {
			caches = append(caches, p)
		} else {
			layers = append(layers, p.Name)
		}
	}
	if len(layers) > 0 {
		i.builder.ReleaseBuilder()
	}
	removed, err := i.Store.Remove(layers, age)
	dropped, dropErr := i.builder.Drop(caches)
	gone := slices.DeleteFunc(slices.Clone(pieces), func(p platform.Piece) bool {
		return p.Kind == platform.CachePiece ||
			!slices.ContainsFunc(removed, func(u platform.LayerUsage) bool { return u.Layer == p.Name })
	})
	return append(gone, dropped...), errors.Join(err, dropErr)
}

// Tidy implements platform.Images.
func (i images) Tidy(_ context.Context, apps []platform.App, needed map[string]bool) error {
	var ids []int64
	for _, app := range apps {
		ids = append(ids, app.ID)
	}
	err := i.builder.Retain(ids)
	_, collectErr := i.blobs.Collect()
	return errors.Join(err, i.builder.Sweep(), collectErr, i.exchange.Forget(), i.builder.RetainBlobs(needed))
}

// Expected implements platform.Images.
func (i images) Expected(app platform.App) int64 { return i.builder.Expected(app.ID) }

// Estimate implements platform.Images.
func (i images) Estimate(ctx context.Context, req platform.BuildRequest) (int64, string, error) {
	return i.builder.Estimate(ctx, req)
}

// Space implements platform.Images: build caches are under the budget too.
func (i images) Space() (platform.Space, error) {
	space, err := i.Store.Space()
	if err != nil {
		return space, err
	}
	caches, err := i.builder.Pieces()
	for _, c := range caches {
		space.Used += c.Bytes
	}
	return space, err
}

// namesOf are the names of those of the apps that have the ids.
func namesOf(ids []int64, apps []platform.App) (names []platform.AppName) {
	for _, app := range apps {
		if slices.Contains(ids, app.ID) {
			names = append(names, app.Name)
		}
	}
	return names
}

// Report implements platform.Images.
func (i images) Report() (notes []string) {
	if why, err := i.Reduced(); err == nil && why != "" {
		notes = append(notes, "Reduced mode: every app has its own copy of its layers, since "+why+".")
	}
	if ok, why := i.Quota(); !ok {
		notes = append(notes, "Containers' disks have no quota: "+why+".")
	}
	return notes
}
