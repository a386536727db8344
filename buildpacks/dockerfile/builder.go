// Package dockerfile builds Dockerfiles with BuildKit's solver and its Dockerfile frontend, embedded as
// libraries. It is what a builder process runs; the daemon talks to it as package wire says and never imports
// this. Everything of BuildKit's and containerd's is in here.
//
//	Dockerfile ─► frontend ─► graph ─► solver ─► RUN: the daemon's containers (executor)
//	                                         ─► COPY, ADD: files, in this process
//	                                         ─► FROM: the content store's layers (bases), fetched by the daemon
//	                                         ─► context: the git tree's files (contexts), written by the daemon
//	                           snapshots are layers of the content store (shelf): the result is there already
package dockerfile

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/moby/buildkit/frontend"
	dockerbuilder "github.com/moby/buildkit/frontend/dockerfile/builder"
	"github.com/moby/buildkit/frontend/gateway/forwarder"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/llbsolver"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"paas/buildpacks/dockerfile/wire"
	"paas/runtime/image"
)

// Options are what a builder needs.
type Options struct {
	Dir     string       // of its own, on the content store's file system
	Store   *image.Store // the daemon's
	Daemon  *http.Client // to the daemon
	Private bool         // ADD may fetch from private addresses
}

// builder is the engine of one builder process.
type builder struct {
	Options
	shelf    *shelf
	lease    *image.Lease
	worker   *worker
	solver   *llbsolver.Solver
	sessions *session.Manager
	lock     *os.File
	closers  []func() error

	mu        sync.Mutex
	unsynced  bool
	bySession map[string]*job
	vertices  map[digest.Digest]solver.Vertex // of the graphs of all builds under way
	pins      map[string]string               // digests of what URLs named
	working   sync.WaitGroup
}

// open starts the engine. It waits for a predecessor that is on its way out.
func open(ctx context.Context, o Options) (_ *builder, err error) {
	b := &builder{Options: o, bySession: map[string]*job{}, vertices: map[digest.Digest]solver.Vertex{}, pins: map[string]string{}}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("open Dockerfile builder: %w", err), b.close())
		}
	}()
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	if b.lock, err = lockDir(o.Dir); err != nil {
		return nil, err
	}
	if err := b.begin(); err != nil {
		return nil, err
	}
	if b.lease, err = o.Store.Lease(); err != nil {
		return nil, err
	}
	if b.shelf, err = openShelf(o.Dir, o.Store, b.lease, b.mark); err != nil {
		return nil, err
	}
	if b.sessions, err = session.NewManager(); err != nil {
		return nil, err
	}
	if err := b.openWorker(ctx); err != nil {
		return nil, err
	}
	return b, b.openSolver()
}

// lockDir blocks until nobody else works in dir. The kernel lets go of it when the process ends.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Nothing here waits for the disk but a release's layers, so a machine that went down may have left anything.
// A mark, which is on the disk before the first thing that is not, tells: with another boot's mark there
// everything is made anew. A power cut in a build costs the cache of Dockerfiles, and never more.
const unsyncedMark = "unsynced"

// begin throws everything away if the machine went down in the middle of a build.
func (b *builder) begin() error {
	boot, err := bootID()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(b.Dir, unsyncedMark))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if string(text) == boot {
		b.unsynced = true
		return nil
	}
	entries, err := os.ReadDir(b.Dir)
	for _, e := range entries {
		if e.Name() != "lock" && e.Name() != unsyncedMark {
			err = errors.Join(err, os.RemoveAll(filepath.Join(b.Dir, e.Name())))
		}
	}
	return errors.Join(err, os.Remove(filepath.Join(b.Dir, unsyncedMark)))
}

func bootID() (string, error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text)), err
}

// mark is called before anything is written that counts.
func (b *builder) mark() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.unsynced {
		return nil
	}
	boot, err := bootID()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(b.Dir, unsyncedMark), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(boot)
	if err = errors.Join(err, f.Sync(), f.Close(), syncDir(b.Dir)); err == nil {
		b.unsynced = true
	}
	return err
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// sync puts everything on the disk.
func (b *builder) sync() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.unsynced {
		return nil
	}
	if err := b.Store.Sync(); err != nil {
		return err
	}
	return nil
}

// unmark says that everything is on the disk, the databases too: they are closed.
func (b *builder) unmark() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.unsynced {
		return nil
	}
	b.unsynced = false
	return errors.Join(b.Store.Sync(), os.Remove(filepath.Join(b.Dir, unsyncedMark)))
}

func (b *builder) openSolver() (err error) {
	workers := b.worker.controller()
	b.solver, err = llbsolver.New(llbsolver.Opt{
		CacheManager: b.worker.cache, WorkerController: workers, SessionManager: b.sessions, HistoryQueue: b.worker.history,
		Frontends: map[string]frontend.Frontend{
			"dockerfile.v0": forwarder.NewGatewayForwarder(workers.Infos(), dockerbuilder.Build),
		},
	})
	if err == nil {
		b.closers = append(b.closers, b.solver.Close)
	}
	return err
}

// close ends the engine; no build may be under way.
func (b *builder) close() error {
	var errs []error
	for i := len(b.closers) - 1; i >= 0; i-- {
		errs = append(errs, b.closers[i]())
	}
	if b.shelf != nil {
		errs = append(errs, b.shelf.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return err // the mark stays
	}
	errs = append(errs, b.unmark())
	if b.lease != nil {
		errs = append(errs, b.lease.Close())
	}
	if b.lock != nil {
		errs = append(errs, b.lock.Close())
	}
	return errors.Join(errs...)
}

// jobOf finds the build on whose behalf something is done; when several share it, any of them.
func (b *builder) jobOf(g session.Group) *job {
	if g == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for it := g.SessionIterator(); ; {
		id := it.NextSession()
		if id == "" {
			return nil
		}
		if j := b.bySession[id]; j != nil {
			return j
		}
	}
}

func (b *builder) resolved(v solver.Vertex) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.vertices[v.Digest()] = v
}

func (b *builder) vertexOf(id digest.Digest) solver.Vertex {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.vertices[id]
}

func (b *builder) pin(url, digest string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pins[url] = digest
}

func (b *builder) pinOf(url string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pins[url]
}

// ask sends a request to the daemon and reads its answer.
func (b *builder) ask(ctx context.Context, path string, question, answer any) error {
	body, err := b.call(ctx, path, question)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	return wire.Read(body, answer)
}
