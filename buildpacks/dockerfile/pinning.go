package dockerfile

import (
	"context"

	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/source"
	httpsource "github.com/moby/buildkit/source/http"
)

// pinning remembers which content a URL named, for those who ask why an ADD was done again.
type pinning struct {
	source.Source
	builder *builder
}

// Resolve implements source.Source.
func (p pinning) Resolve(ctx context.Context, id source.Identifier, sm *session.Manager, v solver.Vertex) (source.SourceInstance, error) {
	instance, err := p.Source.Resolve(ctx, id, sm, v)
	at, ok := id.(*httpsource.HTTPIdentifier)
	if err != nil || !ok {
		return instance, err
	}
	return pinned{instance, p.builder, at.URL}, nil
}

type pinned struct {
	source.SourceInstance
	builder *builder
	url     string
}

// CacheKey implements source.SourceInstance.
func (p pinned) CacheKey(ctx context.Context, job solver.JobContext, index int) (key, pin string, opts solver.CacheOpts, done bool, err error) {
	key, pin, opts, done, err = p.SourceInstance.CacheKey(ctx, job, index)
	if err == nil {
		p.builder.pin(p.url, pin)
	}
	return key, pin, opts, done, err
}
