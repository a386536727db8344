package dockerfile

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"runtime"
	"strings"
	"sync"

	"github.com/moby/buildkit/cache"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/source"
	"github.com/moby/buildkit/source/containerimage"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"paas/buildpacks/dockerfile/wire"
	"paas/platform"
)

const imageScheme = "docker-image"

// bases are the images that builds start from. The daemon finds them, in the content store or in a registry,
// whose layers it brings into the store; here they become snapshots without being touched.
type bases struct {
	builder *builder
	cache   cache.Manager

	mu    sync.Mutex
	known map[string]wire.Base // by digest: what the daemon said in this process's life
}

// resolve is what FROM and COPY --from ask first: which image the name means now, and its configuration.
func (b *bases) resolve(ctx context.Context, op *pb.SourceOp, name string, opt sourceresolver.Opt, job solver.JobContext) (*sourceresolver.MetaResponse, error) {
	if err := checkPlatform(name, opt); err != nil {
		return nil, err
	}
	var group session.Group
	if job != nil {
		group = job.Session()
	}
	base, err := b.ask(ctx, name, group)
	if err != nil {
		return nil, err
	}
	return &sourceresolver.MetaResponse{Op: op, Image: &sourceresolver.ResolveImageResponse{
		Digest: digest.Digest(base.Digest), Config: base.Config,
	}}, nil
}

// checkPlatform refuses images that this machine cannot run.
func checkPlatform(name string, opt sourceresolver.Opt) error {
	if opt.ImageOpt == nil || opt.ImageOpt.Platform == nil {
		return nil
	}
	p := *opt.ImageOpt.Platform
	if p.OS == "linux" && p.Architecture == runtime.GOARCH {
		return nil
	}
	return platform.Errorf(platform.Failed, "%s is wanted for %s/%s, and this server runs linux/%s", name, p.OS, p.Architecture, runtime.GOARCH).
		WithHint("remove --platform from the FROM instruction")
}

func (b *bases) ask(ctx context.Context, name string, g session.Group) (base wire.Base, err error) {
	ref := wire.BaseRef{Name: name}
	if j := b.builder.jobOf(g); j != nil {
		ref.Build = j.req.ID
	}
	if err := b.builder.ask(ctx, wire.PathBase, ref, &base); err != nil {
		return base, err
	}
	if base.Config, err = withLayers(base); err != nil {
		return base, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known[base.Digest] = base
	return base, nil
}

// withLayers names the layers in the configuration: the frontend takes an image without any for scratch, and
// those of our own have no diff ids.
func withLayers(base wire.Base) (json.RawMessage, error) {
	var config map[string]json.RawMessage
	if err := json.Unmarshal(base.Config, &config); err != nil {
		return nil, fmt.Errorf("read the configuration of %s: %w", base.Digest, err)
	}
	root := ocispec.RootFS{Type: "layers"}
	for _, layer := range base.Layers {
		root.DiffIDs = append(root.DiffIDs, digest.FromString(layer))
	}
	text, err := json.Marshal(root)
	if err != nil {
		return nil, err
	}
	config["rootfs"] = text
	delete(config, "history")
	return json.Marshal(config)
}

// Schemes implements source.Source.
func (b *bases) Schemes() []string { return []string{imageScheme} }

// Identifier implements source.Source.
func (b *bases) Identifier(_, ref string, _ map[string]string, _ *pb.Platform) (source.Identifier, error) {
	return containerimage.NewImageIdentifier(ref)
}

// Resolve implements source.Source.
func (b *bases) Resolve(_ context.Context, id source.Identifier, _ *session.Manager, _ solver.Vertex) (source.SourceInstance, error) {
	return &baseImage{bases: b, name: strings.TrimPrefix(id.(*containerimage.ImageIdentifier).String(), imageScheme+"://")}, nil
}

// baseImage is one FROM.
type baseImage struct {
	bases *bases
	name  string // with the digest that it was resolved to
	base  *wire.Base
}

func (i *baseImage) load(ctx context.Context, g session.Group) (wire.Base, error) {
	if i.base != nil {
		return *i.base, nil
	}
	_, pinned, _ := strings.Cut(i.name, "@")
	i.bases.mu.Lock()
	k, ok := i.bases.known[pinned]
	i.bases.mu.Unlock()
	if ok {
		i.base = &k
		return k, nil
	}
	base, err := i.bases.ask(ctx, i.name, g)
	if err == nil {
		i.base = &base
	}
	return base, err
}

// CacheKey implements source.SourceInstance.
func (i *baseImage) CacheKey(ctx context.Context, job solver.JobContext, _ int) (key, pin string, opts solver.CacheOpts, done bool, err error) {
	base, err := i.load(ctx, job.Session())
	if err != nil {
		return "", "", nil, false, err
	}
	return "image:" + base.Digest, base.Digest, nil, true, nil
}

// Snapshot implements source.SourceInstance.
func (i *baseImage) Snapshot(ctx context.Context, job solver.JobContext) (cache.ImmutableRef, error) {
	base, err := i.load(ctx, job.Session())
	if err != nil {
		return nil, err
	}
	var top cache.ImmutableRef
	chain := ""
	for _, layer := range base.Layers {
		chain = path.Join(chain, layer)
		next, err := i.bases.layer(ctx, top, chain, layer)
		if top != nil {
			_ = top.Release(context.WithoutCancel(ctx))
		}
		if err != nil {
			return nil, fmt.Errorf("take over layer %s of %s: %w", layer, i.name, err)
		}
		top = next
	}
	return top, nil
}

// layerIndex is the name under which BuildKit's records of layers that are the store's are found.
const layerIndex = "paas.layer"

// layer finds or makes the snapshot that a layer of the store is on top of another one.
func (b *bases) layer(ctx context.Context, below cache.ImmutableRef, chain, layer string) (cache.ImmutableRef, error) {
	index := layerIndex + "::" + digest.FromString(chain).Encoded()
	found, err := b.cache.Search(ctx, index, false)
	if err != nil {
		return nil, err
	}
	for _, record := range found {
		if ref, err := b.cache.Get(ctx, record.ID(), nil); err == nil {
			return ref, nil
		}
	}
	draft, err := b.cache.New(ctx, below, nil, cache.WithDescription("base image layer "+layer))
	if err != nil {
		return nil, err
	}
	upper, err := upperOf(ctx, draft)
	if err == nil {
		err = b.builder.shelf.claim(upper, layer)
	}
	if err != nil {
		_ = draft.Release(context.WithoutCancel(ctx))
		return nil, err
	}
	ref, err := draft.Commit(ctx)
	if err != nil {
		return nil, err
	}
	if err := ref.Finalize(ctx); err != nil {
		return nil, err
	}
	return ref, ref.SetString(layerIndex, index, index)
}

// upperOf is the directory that a mutable snapshot is written to.
func upperOf(ctx context.Context, ref cache.MutableRef) (string, error) {
	m, err := ref.Mount(ctx, false, nil)
	if err != nil {
		return "", err
	}
	mounts, release, err := described(m)
	if err != nil {
		return "", err
	}
	defer func() { _ = release() }()
	view, err := viewOf(mounts)
	if err == nil && view.upper == "" {
		err = fmt.Errorf("%v cannot be written to", mounts)
	}
	return view.upper, err
}
