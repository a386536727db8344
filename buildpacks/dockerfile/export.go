package dockerfile

import (
	"context"
	"errors"

	"github.com/moby/buildkit/cache"
	bkexporter "github.com/moby/buildkit/exporter"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"

	"paas/buildpacks/dockerfile/wire"
)

// export implements BuildKit's ExporterInstance. The image lies in the content store already: all there is
// to do is to name its layers, and to wait for the disk.
type export struct {
	builder *builder
	result  wire.Result
}

// The rest of BuildKit's ExporterInstance.
func (*export) ID() int                    { return 0 }
func (*export) Name() string               { return "[internal] export" }
func (*export) Type() string               { return "paas" }
func (*export) Attrs() map[string]string   { return nil }
func (*export) Config() *bkexporter.Config { return bkexporter.NewConfig() }

// Export implements BuildKit's ExporterInstance.
func (e *export) Export(ctx context.Context, src *bkexporter.Source, _ bkexporter.ExportBuildInfo) (map[string]string, bkexporter.FinalizeFunc, bkexporter.DescriptorReference, error) {
	if len(src.Refs) > 0 {
		return nil, nil, nil, errors.New("an image for several platforms")
	}
	e.result.Config = src.Metadata[exptypes.ExporterImageConfigKey]
	if src.Ref != nil {
		if err := e.layers(ctx, src.Ref); err != nil {
			return nil, nil, nil, err
		}
	}
	return nil, nil, nil, e.builder.sync()
}

// layers reads them off the mount that the result would be seen by.
func (e *export) layers(ctx context.Context, ref cache.ImmutableRef) error {
	if err := ref.Extract(ctx, nil); err != nil {
		return err
	}
	if err := ref.Finalize(ctx); err != nil {
		return err
	}
	m, err := ref.Mount(ctx, true, nil)
	if err != nil {
		return err
	}
	mounts, release, err := m.Mount()
	if err != nil {
		return err
	}
	defer func() { _ = release() }()
	v, err := viewOf(mounts)
	if err != nil {
		return err
	}
	x := executor{builder: e.builder}
	if e.result.Layers, err = x.names(v.lowers); err != nil {
		return err
	}
	e.describe(ref)
	return nil
}

// describe notes what made each layer, where that can be told.
func (e *export) describe(ref cache.ImmutableRef) {
	chain := ref.LayerChain()
	defer func() { _ = chain.Release(context.Background()) }()
	if len(chain) != len(e.result.Layers) {
		return // merged: one layer holds what several instructions made
	}
	for i, r := range chain {
		_ = e.builder.Store.Describe(e.result.Layers[i], r.GetDescription()) // for people only
	}
}
