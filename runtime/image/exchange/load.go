package exchange

import (
	"context"
	"errors"
	"io"

	"paas/platform"
)

// Load implements platform.Distribution. The archive is written down first, since its table of contents
// may come last; at most blobs.MaxBlob bytes.
func (x *Exchange) Load(ctx context.Context, in io.Reader, t platform.Transfer) (_ []platform.Pulled, err error) {
	f, err := x.Blobs.Spool(ctx, in)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	b, err := openBundle(ctx, f)
	if err != nil {
		return nil, err
	}
	entries, err := b.images(ctx)
	if err != nil {
		return nil, err
	}
	var all []platform.Pulled
	for _, e := range entries {
		e.say = t.Say
		img, err := x.assemble(ctx, e.parts)
		if err != nil {
			return nil, err
		}
		names, err := x.fullNames(e)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			all = append(all, platform.Pulled{Reference: name, Digest: e.digest, Image: img})
		}
	}
	return all, nil
}

func (x *Exchange) fullNames(e entry) ([]string, error) {
	if len(e.names) == 0 {
		return []string{"localhost/loaded:" + e.id[:12]}, nil
	}
	var full []string
	for _, name := range e.names {
		f, err := x.Name(name)
		if err != nil {
			return nil, err
		}
		full = append(full, f)
	}
	return full, nil
}
