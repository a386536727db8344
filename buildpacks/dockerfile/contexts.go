package dockerfile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/moby/buildkit/cache"
	"github.com/moby/buildkit/cache/contenthash"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/llbsolver/provenance"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/source"
	"github.com/opencontainers/go-digest"
	"github.com/tonistiigi/fsutil"
	fstypes "github.com/tonistiigi/fsutil/types"

	"paas/buildpacks/dockerfile/wire"
	"paas/platform"
)

const contextScheme = "paas-context"

// contexts are the files that builds may COPY. A context's name is made of the git object ids of what
// .dockerignore leaves of a tree, and so are the checksums that BuildKit's keys are made of: of a context that
// was seen before nothing is read, and of any other only what is new is written, over the app's last one.
type contexts struct {
	builder *builder
	cache   cache.Manager
}

// contextKey names files.
func contextKey(files []platform.File) string {
	h := sha256.New()
	var line []byte
	for _, f := range files {
		line = fmt.Appendf(line[:0], "%o %s %q\n", f.Mode, f.ID, f.Path)
		_, _ = h.Write(line) // a hash never fails
	}
	return hex.EncodeToString(h.Sum(nil))
}

// contextState is the context as the Dockerfile frontend takes it.
func contextState(key string) llb.State {
	source := llb.NewSource(contextScheme+"://"+key, nil, llb.Constraints{
		Metadata: llb.OpMetadata{Description: map[string]string{"llb.customname": "[internal] load build context"}},
	})
	return llb.NewState(source.Output())
}

// Schemes implements source.Source.
func (c *contexts) Schemes() []string { return []string{contextScheme} }

type contextID string

func (id contextID) String() string { return contextScheme + "://" + string(id) }

// Scheme implements source.Identifier.
func (contextID) Scheme() string { return contextScheme }

// Capture implements source.Identifier.
func (contextID) Capture(*provenance.Capture, string) error { return nil }

// Identifier implements source.Source.
func (c *contexts) Identifier(_, ref string, _ map[string]string, _ *pb.Platform) (source.Identifier, error) {
	return contextID(ref), nil
}

// Resolve implements source.Source.
func (c *contexts) Resolve(_ context.Context, id source.Identifier, _ *session.Manager, _ solver.Vertex) (source.SourceInstance, error) {
	return &contextTree{contexts: c, key: string(id.(contextID))}, nil
}

// contextTree is one context.
type contextTree struct {
	*contexts
	key string
}

// CacheKey implements source.SourceInstance.
func (t *contextTree) CacheKey(context.Context, solver.JobContext, int) (key, pin string, opts solver.CacheOpts, done bool, err error) {
	return "context:" + t.key, t.key, nil, true, nil
}

// Snapshot implements source.SourceInstance.
func (t *contextTree) Snapshot(ctx context.Context, jobCtx solver.JobContext) (cache.ImmutableRef, error) {
	j := t.builder.jobOf(jobCtx.Session())
	if j == nil {
		return nil, platform.Errorf(platform.Interrupted, "the build was cancelled")
	}
	last := t.builder.lastContext(j.req.App)
	d, below := t.delta(ctx, last, j.files)
	if below != nil {
		defer func() { _ = below.Release(context.WithoutCancel(ctx)) }()
	}
	ref, err := t.write(ctx, j, below, d)
	if err != nil {
		return nil, err
	}
	depth := 1
	if below != nil {
		depth = last.Depth + 1
	}
	return ref, t.builder.rememberContext(j.req.App, writtenContext{Ref: ref.ID(), Depth: depth, Files: j.files})
}

// delta finds out what to write, and over what. An error of the cache only means that all is written.
func (t *contextTree) delta(ctx context.Context, last writtenContext, files []platform.File) (contextDelta, cache.ImmutableRef) {
	all := contextDelta{write: files}
	if last.Ref == "" || last.Depth >= maxContextDepth {
		return all, nil
	}
	d := deltaOf(last.Files, files)
	if 2*(len(d.write)+len(d.gone)) >= len(files) {
		return all, nil
	}
	below, err := t.cache.Get(ctx, last.Ref, nil)
	if err != nil {
		return all, nil
	}
	return d, below
}

func (t *contextTree) write(ctx context.Context, j *job, below cache.ImmutableRef, d contextDelta) (_ cache.ImmutableRef, err error) {
	draft, err := t.cache.New(ctx, below, nil, cache.WithDescription("build context"))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			contenthash.ClearCacheContext(draft)
			_ = draft.Release(context.WithoutCancel(ctx))
		}
	}()
	upper, err := upperOf(ctx, draft)
	if err != nil {
		return nil, err
	}
	if err := t.fill(ctx, j, upper, d); err != nil {
		return nil, err
	}
	if err := t.sums(ctx, draft, below, upper, d); err != nil {
		return nil, err
	}
	ref, err := draft.Commit(ctx)
	if err != nil {
		return nil, err
	}
	sums, err := contenthash.GetCacheContext(ctx, draft)
	if err != nil {
		return nil, err
	}
	return ref, contenthash.SetCacheContext(ctx, ref, sums)
}

// fill has the daemon write what is new and marks what is gone.
func (t *contextTree) fill(ctx context.Context, j *job, upper string, d contextDelta) error {
	if err := t.builder.mark(); err != nil {
		return err
	}
	req := wire.Files{Build: j.req.ID, Dir: upper, Paths: []string{}}
	for _, f := range d.write {
		req.Paths = append(req.Paths, f.Path)
	}
	if err := t.builder.ask(ctx, wire.PathFiles, req, nil); err != nil {
		return err
	}
	return whiteOut(upper, d.white)
}

// sums tells BuildKit the checksums, so that it need not read the files.
func (t *contextTree) sums(ctx context.Context, draft cache.MutableRef, below cache.ImmutableRef, upper string, d contextDelta) error {
	sums, err := contenthash.GetCacheContext(ctx, draft)
	if err != nil {
		return err
	}
	if below != nil {
		old, err := contenthash.GetCacheContext(ctx, below)
		if err != nil {
			return err
		}
		if err := contenthash.SetCacheContext(ctx, draft, old); err != nil { // a copy, since it is another's
			return err
		}
		if sums, err = contenthash.GetCacheContext(ctx, draft); err != nil {
			return err
		}
	}
	for _, p := range d.gone {
		if err := sums.HandleChange(fsutil.ChangeKindDelete, p, nil, nil); err != nil {
			return err
		}
	}
	made := map[string]bool{".": true}
	for _, f := range d.write {
		if err := addSums(sums, upper, f, made); err != nil {
			return err
		}
	}
	return contenthash.SetCacheContext(ctx, draft, sums)
}

func addSums(sums contenthash.CacheContext, upper string, f platform.File, made map[string]bool) error {
	if err := addDirs(sums, path.Dir(f.Path), made); err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	switch f.Mode {
	case platform.Executable:
		mode = 0o755
	case platform.Symlink:
		mode = fs.ModeSymlink | 0o777
	}
	info := treeInfo{name: path.Base(f.Path), mode: mode, sum: digest.FromString(fmt.Sprintf("git %o %s", f.Mode, f.ID))}
	if f.Mode == platform.Symlink {
		target, err := os.Readlink(filepath.Join(upper, f.Path)) // as the daemon has just written it
		if err != nil {
			return err
		}
		info.link = target
	}
	return sums.HandleChange(fsutil.ChangeKindAdd, f.Path, info, nil)
}

func addDirs(sums contenthash.CacheContext, dir string, made map[string]bool) error {
	if made[dir] {
		return nil
	}
	if err := addDirs(sums, path.Dir(dir), made); err != nil {
		return err
	}
	made[dir] = true
	return sums.HandleChange(fsutil.ChangeKindAdd, dir, treeInfo{
		name: path.Base(dir), mode: fs.ModeDir | 0o755, sum: digest.FromString("git directory"),
	}, nil)
}

// treeInfo is what BuildKit must know of an entry.
type treeInfo struct {
	name string
	mode fs.FileMode
	link string
	sum  digest.Digest
}

func (i treeInfo) Name() string          { return i.name }
func (i treeInfo) Size() int64           { return 0 }
func (i treeInfo) Mode() fs.FileMode     { return i.mode }
func (i treeInfo) ModTime() time.Time    { return time.Time{} }
func (i treeInfo) IsDir() bool           { return i.mode.IsDir() }
func (i treeInfo) Digest() digest.Digest { return i.sum }
func (i treeInfo) Sys() any {
	return &fstypes.Stat{Path: i.name, Mode: uint32(i.mode), Linkname: i.link}
}
