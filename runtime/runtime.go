// Package runtime runs containers from system calls: namespaces, control groups, capabilities, seccomp.
// It needs no Docker, containerd or runc, and root on Linux 5.12 or later.
//
// A container outlives the daemon. Its init (cmd/paas-init) owns the app's output and exit status;
// the daemon keeps a record per container and finds its containers again by it:
//
//	<Run>/<ID>/            record.json  status  exec.sock: of this boot
//	<Dir>/instances/<ID>/  fs (the writes)  work
//	<Dir>/shells/<name>/   the same of a container to be
//	<Dir>/logs/<app>/      rings: see package logbook
package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"paas/platform"
	"paas/runtime/image"
	"paas/runtime/logbook"
	"paas/runtime/network"
	"paas/runtime/script"
)

// Options is what Open needs. Dir, Images, Network and ID must be set.
type Options struct {
	Dir     string           // on the file system that shall take the containers' writes and logs
	Run     string           // what need not survive the machine, best on a tmpfs; empty: /run/paas-<ID>
	Images  *image.Store     // where the layers are
	Network *network.Network // where the addresses come from
	Logbook *logbook.Book    // takes what rings have before they go; nil: nobody does
	Init    string           // path of the paas-init program
	ID      string           // short id of this platform, part of its cgroups' name
	Log     *slog.Logger     // nil: discard
	Now     func() time.Time // nil: the real clock
}

// Runtime implements platform.Runner on this host.
type Runtime struct {
	options  Options
	log      *slog.Logger
	now      func() time.Time
	groups   *cgroups
	trees    trees
	boot     string
	program  *os.File  // init's, sealed
	rights   [2]rights // of processes: uid 0, any other
	exits    chan platform.Instance
	jobExits chan platform.Instance // of detached one-offs
	oomKills chan platform.OOMKill
	tempo    tempo
	elbow    elbow
	oom      *oomWatch // nil: the host does not limit memory
	notes    notes
	accesses notes // of the router, each app's in a journal of its own
	opened   openedRights
	pools    map[string]*pool // by group
	janitor  *janitor
	floor    *image.Lease

	life   context.Context // ends with Close: jobs end with it
	cancel context.CancelFunc
	work   sync.WaitGroup // watchers

	mu         sync.Mutex
	containers map[platform.InstanceID]*container
	maps       map[int64]*os.File        // id-mapping user namespace of each app
	spares     []string                  // directories for writes that nobody used
	pruning    map[platform.AppName]bool // whose journals wait to be pruned
}

// Open takes over what a predecessor with the same Dir and ID left: it watches the instances that run,
// delivers those that ended, and removes what was half made. It blocks until the latter is gone.
func Open(ctx context.Context, o Options) (*Runtime, error) {
	r := &Runtime{
		options: o, log: cmp.Or(o.Log, slog.New(slog.DiscardHandler)), now: o.Now,
		exits:      make(chan platform.Instance),
		jobExits:   make(chan platform.Instance),
		oomKills:   make(chan platform.OOMKill),
		notes:      notes{open: make(map[platform.AppName]*noteBook), full: noteBytes},
		accesses:   notes{open: make(map[platform.AppName]*noteBook), full: accessBytes},
		containers: make(map[platform.InstanceID]*container),
		maps:       make(map[int64]*os.File),
		pruning:    make(map[platform.AppName]bool),
	}
	if r.now == nil {
		r.now = time.Now
	}
	r.janitor = newJanitor(r.log)
	r.pools = map[string]*pool{}
	for group, size := range map[string]int{appsGroup: appsPool, jobsGroup: smallPool, buildsGroup: smallPool} {
		r.pools[group] = &pool{runtime: r, group: group, size: size}
	}
	r.life, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := r.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("open runtime: %w", err), r.Close())
	}
	return r, nil
}

func (r *Runtime) open() error {
	if r.options.Run == "" {
		r.options.Run = "/run/paas-" + r.options.ID
	}
	dirs := []string{r.options.Run}
	for _, dir := range []string{"", "instances", "shells", "logs"} {
		dirs = append(dirs, filepath.Join(r.options.Dir, dir))
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	image.Spread(filepath.Join(r.options.Dir, "shells"))
	image.Spread(filepath.Join(r.options.Dir, "logs"))
	for _, step := range []func() error{r.openHost, r.openProgram, r.openRights, r.openOOMWatch, r.layFloor, r.adopt} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (r *Runtime) openHost() (err error) {
	if r.boot, err = bootID(); err != nil {
		return err
	}
	h, err := findHierarchies()
	if err != nil {
		return err
	}
	if r.groups, err = openCgroups(h, r.options.ID); err != nil {
		return err
	}
	r.groups.disk = diskUnder(r.options.Dir)
	r.tempo.groups = r.groups
	if missing := r.groups.missing; len(missing) > 0 {
		r.log.Warn("the host lacks cgroup controllers; their limits are not kept", "missing", missing)
	}
	return nil
}

func (r *Runtime) openProgram() (err error) {
	r.program, err = script.Program(r.options.Init)
	return err
}

// Close stops watching. Instances go on; jobs and build steps end.
func (r *Runtime) Close() error {
	r.cancel()
	r.mu.Lock()
	for _, c := range r.containers {
		if c.record.Passing {
			c.kill()
		} else {
			c.unwatch()
		}
	}
	r.mu.Unlock()
	r.oom.close()
	r.work.Wait()
	r.notes.closeAll()
	r.accesses.closeAll()
	var errs []error
	for _, p := range r.pools {
		errs = append(errs, p.close())
	}
	r.janitor.close()
	for _, f := range r.maps {
		errs = append(errs, f.Close())
	}
	if r.floor != nil {
		errs = append(errs, r.floor.Close())
	}
	if r.program != nil {
		errs = append(errs, r.program.Close())
	}
	return errors.Join(errs...)
}

// Destroy kills every container and removes everything the runtime keeps, logs included. It blocks
// until all is gone and closes the Runtime.
func (r *Runtime) Destroy() error {
	var errs []error
	for _, c := range r.all() {
		if c.record.Passing {
			c.kill()
			<-c.gone
			continue
		}
		errs = append(errs, r.Stop(context.Background(), c.record.ID, 0))
	}
	errs = append(errs, r.Close(), r.groups.destroy(), r.destroyFreezers(), os.RemoveAll(r.options.Run))
	for _, dir := range []string{"instances", "shells", "logs"} {
		errs = append(errs, os.RemoveAll(filepath.Join(r.options.Dir, dir)))
	}
	return errors.Join(errs...)
}

// Instances implements platform.Runner.
func (r *Runtime) Instances(context.Context) ([]platform.Instance, error) {
	return r.instancesIn(appsGroup), nil
}

// Exits implements platform.Runner.
func (r *Runtime) Exits() <-chan platform.Instance { return r.exits }

func (r *Runtime) all() []*container {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []*container
	for _, c := range r.containers {
		out = append(out, c)
	}
	return out
}

// running finds an instance that runs.
func (r *Runtime) running(id platform.InstanceID) (*container, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.containers[id]
	if !ok || c.record.Phase != running {
		return nil, platform.Errorf(platform.NotFound, "no instance %s is running", id)
	}
	return c, nil
}

// instanceDir is where a container's state is.
func (r *Runtime) instanceDir(id platform.InstanceID) string {
	return filepath.Join(r.options.Run, string(id))
}

// writesDir is where a container's writes are: fs and the overlay's work directory, and nothing else.
func (r *Runtime) writesDir(id platform.InstanceID) string {
	return filepath.Join(r.options.Dir, "instances", string(id))
}
