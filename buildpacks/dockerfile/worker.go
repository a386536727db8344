package dockerfile

import (
	"context"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/containerd/containerd/v2/core/diff/apply"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	ctdsnapshots "github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/containerd/v2/plugins/diff/walking"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	bkmetadata "github.com/moby/buildkit/cache/metadata"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/cmd/buildkitd/config"
	"github.com/moby/buildkit/frontend"
	"github.com/moby/buildkit/session"
	containerdsnapshot "github.com/moby/buildkit/snapshot/containerd"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/bboltcachestorage"
	"github.com/moby/buildkit/solver/llbsolver/history"
	"github.com/moby/buildkit/solver/pb"
	httpsource "github.com/moby/buildkit/source/http"
	"github.com/moby/buildkit/util/db/boltutil"
	"github.com/moby/buildkit/util/leaseutil"
	bkworker "github.com/moby/buildkit/worker"
	"github.com/moby/buildkit/worker/base"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	bolt "go.etcd.io/bbolt"
	"golang.org/x/sync/semaphore"

	"paas/buildpacks/dockerfile/wire"
	"paas/platform"
)

// Names that BuildKit and containerd keep records under. The snapshotter's makes BuildKit treat snapshots as
// overlays.
const (
	namespace   = "buildkit"
	snapshotter = "overlayfs"
)

// worker is BuildKit's with our own sources and executor.
type worker struct {
	*base.Worker
	builder *builder
	bases   *bases
	cache   solver.CacheManager
	history *history.Queue
}

func (b *builder) openWorker(ctx context.Context) error {
	opt, err := b.workerOptions()
	if err != nil {
		return err
	}
	if err := b.forget(ctx, opt); err != nil {
		return err
	}
	w, err := base.NewWorker(ctx, opt)
	if err != nil {
		return err
	}
	b.closers = append(b.closers, w.Close)
	b.worker = &worker{Worker: w, builder: b, bases: &bases{builder: b, cache: w.CacheMgr, known: map[string]wire.Base{}}}
	http, err := httpsource.NewSource(httpsource.Opt{CacheAccessor: w.CacheMgr, Transport: fetching(b.Private)})
	if err != nil {
		return err
	}
	w.HTTPSource = http
	w.SourceManager.Register(pinning{http, b})
	w.SourceManager.Register(b.worker.bases)
	w.SourceManager.Register(&contexts{builder: b, cache: w.CacheMgr})
	w.SourceManager.Register(refusal{})
	return b.worker.openRecords(opt)
}

// snapshotKey is where BuildKit's records have the name of their snapshot (cache/metadata.go, keySnapshot).
const snapshotKey = "cache.snapshot"

// forget drops the records of snapshots whose layers were collected; BuildKit itself drops those above them.
func (b *builder) forget(ctx context.Context, opt base.WorkerOpt) error {
	if !b.shelf.torn {
		return nil
	}
	records, err := opt.MetadataStore.All()
	if err != nil {
		return err
	}
	for _, r := range records {
		var name string
		if v := r.Get(snapshotKey); v == nil || v.Unmarshal(&name) != nil || name == "" {
			continue
		}
		if _, err := opt.Snapshotter.Stat(ctx, name); !errdefs.IsNotFound(err) {
			continue
		}
		if err := opt.MetadataStore.Clear(r.ID()); err != nil {
			return err
		}
		if err := opt.LeaseManager.Delete(ctx, leases.Lease{ID: r.ID()}); err != nil && !errdefs.IsNotFound(err) {
			return err
		}
	}
	return nil
}

func (b *builder) workerOptions() (opt base.WorkerOpt, err error) {
	content, err := local.NewStore(filepath.Join(b.Dir, "content"))
	if err != nil {
		return opt, err
	}
	options := boltOptions()
	db, err := bolt.Open(filepath.Join(b.Dir, "containerd.db"), 0o600, &options)
	if err != nil {
		return opt, err
	}
	b.closers = append(b.closers, db.Close)
	mdb := metadata.NewDB(db, content, map[string]ctdsnapshots.Snapshotter{snapshotter: b.shelf})
	if err := mdb.Init(context.Background()); err != nil {
		return opt, err
	}
	records, err := bkmetadata.NewStore(filepath.Join(b.Dir, "metadata_v2.db"))
	if err != nil {
		return opt, err
	}
	store := containerdsnapshot.NewContentStore(mdb.ContentStore(), namespace)
	return base.WorkerOpt{
		ID: "paas", Root: b.Dir, Labels: map[string]string{}, MetadataStore: records, Executor: &executor{builder: b},
		Snapshotter:  again{containerdsnapshot.NewSnapshotter(snapshotter, mdb.Snapshotter(snapshotter), namespace, nil)},
		ContentStore: store, Applier: apply.NewFileSystemApplier(store), Differ: walking.NewWalkingDiff(store),
		Platforms:     []ocispec.Platform{platforms.Normalize(platforms.DefaultSpec())},
		LeaseManager:  leaseutil.WithNamespace(metadata.NewLeaseManager(mdb), namespace),
		RegistryHosts: func(string) ([]docker.RegistryHost, error) { return nil, nil }, // the daemon pulls
		// Every step may take a step's memory: not more of them at once than processors.
		GarbageCollect: mdb.GarbageCollect, ParallelismSem: semaphore.NewWeighted(int64(max(2, runtime.NumCPU()))),
		MountPoolRoot: filepath.Join(b.Dir, "cachemounts"),
	}, nil
}

// openRecords opens what the solver remembers. Of past builds it remembers nothing.
func (w *worker) openRecords(opt base.WorkerOpt) error {
	keys, err := bboltcachestorage.NewStore(filepath.Join(w.builder.Dir, "cache.db"))
	if err != nil {
		return err
	}
	w.builder.closers = append(w.builder.closers, keys.Close)
	w.cache = solver.NewCacheManager(context.Background(), "local", keys, bkworker.NewCacheResultStorage(w.controller()))
	options := boltOptions()
	db, err := boltutil.Open(filepath.Join(w.builder.Dir, "history.db"), 0o600, &options)
	if err != nil {
		return err
	}
	w.builder.closers = append(w.builder.closers, db.Close)
	none := int64(0)
	w.history, err = history.NewQueue(history.QueueOpt{
		DB: db, LeaseManager: opt.LeaseManager, ContentStore: opt.ContentStore, CleanConfig: &config.HistoryConfig{MaxEntries: &none},
	})
	return err
}

func (w *worker) controller() *bkworker.Controller {
	c := &bkworker.Controller{}
	_ = c.Add(w) // never fails
	return c
}

// ResolveSourceMetadata implements BuildKit's Worker: images are the daemon's business.
func (w *worker) ResolveSourceMetadata(ctx context.Context, op *pb.SourceOp, opt sourceresolver.Opt, sm *session.Manager, job solver.JobContext) (*sourceresolver.MetaResponse, error) {
	if name, ok := strings.CutPrefix(op.Identifier, imageScheme+"://"); ok {
		return w.bases.resolve(ctx, op, name, opt, job)
	}
	if err := refused(op.Identifier); err != nil {
		return nil, err
	}
	return w.Worker.ResolveSourceMetadata(ctx, op, opt, sm, job)
}

// ResolveOp implements BuildKit's Worker. What a RUN does is done on a build's behalf.
func (w *worker) ResolveOp(v solver.Vertex, s frontend.FrontendLLBBridge, sm *session.Manager, proxy bkworker.ProxyOpt) (solver.Op, error) {
	w.builder.resolved(v)
	op, err := w.Worker.ResolveOp(v, s, sm, proxy)
	if err != nil {
		return nil, err
	}
	if def, ok := v.Sys().(*pb.Op); ok && def.GetExec() != nil {
		return &behalf{Op: op, builder: w.builder}, nil
	}
	return op, nil
}

// behalf tells the executor whose step it runs.
type behalf struct {
	solver.Op
	builder *builder
}

type behalfKey struct{}

// Exec implements solver.Op.
func (b *behalf) Exec(ctx context.Context, jobCtx solver.JobContext, inputs []solver.Result) ([]solver.Result, error) {
	j := b.builder.jobOf(jobCtx.Session())
	if j == nil {
		return nil, platform.Errorf(platform.Interrupted, "the build was cancelled")
	}
	return b.Op.Exec(context.WithValue(ctx, behalfKey{}, j), jobCtx, inputs)
}
