package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"

	"paas/buildpacks"
	"paas/buildpacks/dockerfile/wire"
	"paas/gitreceive"
	"paas/platform"
	"paas/runtime"
	"paas/runtime/drain"
	"paas/runtime/image"
	"paas/runtime/image/blobs"
	"paas/runtime/image/exchange"
	"paas/runtime/logbook"
	"paas/runtime/network"
	"paas/runtime/volume"
	"paas/store"
)

const databaseName = "paas.db"

// rooms are what the daemon works with, opened in order of need.
type rooms struct {
	store   *store.Store
	outputs *store.Outputs
	images  *image.Store
	network *network.Network
	logbook *logbook.Book
	drains  *drain.Drains
	runtime *runtime.Runtime
	builder *buildpacks.Engine
	repos   *gitreceive.Repos
	volumes *volume.Area

	blobs    *blobs.Area
	exchange *exchange.Exchange
}

// openRooms opens everything in the data directory; what was opened is closed again on failure.
func openRooms(ctx context.Context, s settings, env environ, log *slog.Logger) (_ *rooms, err error) {
	r := &rooms{}
	defer func() {
		if err != nil {
			r.close(log)
		}
	}()
	id, err := hostID(s.Data)
	if err != nil {
		return nil, err
	}
	subnet, err := s.subnet()
	if err != nil {
		return nil, err
	}
	if err := freeForStart(s.Data); err != nil {
		return nil, err
	}
	if r.store, err = store.Open(ctx, filepath.Join(s.Data, databaseName)); err != nil {
		return nil, err
	}
	if r.outputs, err = store.OpenOutputs(filepath.Join(s.Data, "builds")); err != nil {
		return nil, err
	}
	if r.images, err = s.openImages(); err != nil {
		return nil, err
	}
	if err := r.openRegistry(filepath.Join(s.Data, "registry")); err != nil {
		return nil, err
	}
	policies, err := platform.Policies(ctx, r.store)
	if err != nil {
		return nil, err
	}
	if r.network, err = network.Open(network.Options{ID: id, Subnet: subnet, Dir: s.Data, Policies: policies, Log: log}); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	init, err := initProgram(self)
	if err != nil {
		return nil, err
	}
	if r.logbook, err = logbook.Open(logbook.Options{
		Dir: filepath.Join(s.Data, "logbook"), Rings: filepath.Join(s.Data, "logs"), Log: log,
	}); err != nil {
		return nil, err
	}
	r.drains = drain.New(drain.Options{Book: r.logbook, Log: log})
	if r.runtime, err = runtime.Open(ctx, runtime.Options{
		Dir: s.Data, Images: r.images, Network: r.network, Logbook: r.logbook, Init: init, ID: id, Log: log,
	}); err != nil {
		return nil, err
	}
	caches, err := s.cacheBudget()
	if err != nil {
		return nil, err
	}
	if r.builder, err = buildpacks.Open(buildpacks.Options{
		Dir: filepath.Join(s.Data, "build"), Images: r.images, Executor: r.runtime, CacheBudget: caches,
		Machine: buildpacks.ReadMachine(ctx, env.get), Static: self, Log: log, Local: s.localBuildpacks(),
		Docker: buildpacks.Docker{Command: []string{self, "builder"}, Base: r.bases(s).find, Room: r.bases(s).room, Describe: r.exchange.Plain},
	}); err != nil {
		return nil, err
	}
	if r.volumes, err = volume.Open(filepath.Join(s.Data, "volumes"), r.images.Reduced); err != nil {
		return nil, err
	}
	r.repos, err = gitreceive.OpenRepos(filepath.Join(s.Data, "repos"))
	return r, err
}

// bases are what FROM of a Dockerfile finds. The stacks are the engine's, which is opened later.
func (r *rooms) bases(s settings) *bases {
	return &bases{store: r.store, exchange: r.exchange, images: r.images, mapped: s.Bases, stack: func(ctx context.Context, name string, story *platform.Story) (wire.Base, error) {
		return r.builder.StackBase(ctx, name, story)
	}}
}

// disk is everything that takes the disk.
func (r *rooms) disk(s settings) images {
	return images{r.images, r.builder, r.blobs, r.exchange, s.Data}
}

// close closes what is open. Containers run on.
func (r *rooms) close(log *slog.Logger) {
	var errs []error
	if r.builder != nil {
		errs = append(errs, r.builder.Close())
	}
	if r.runtime != nil {
		errs = append(errs, r.runtime.Close())
	}
	if r.drains != nil {
		r.drains.Shutdown()
	}
	if r.logbook != nil {
		errs = append(errs, r.logbook.Close())
	}
	if r.network != nil {
		errs = append(errs, r.network.Close())
	}
	if r.store != nil {
		errs = append(errs, r.store.Close())
	}
	if err := errors.Join(errs...); err != nil {
		log.Error("close", "err", err)
	}
}

// destroy ends every container and takes back what they had of the host.
func (r *rooms) destroy(context.Context) error {
	err := r.runtime.Destroy()
	r.runtime = nil // it has closed itself
	if err != nil {
		return fmt.Errorf("remove containers: %w", err)
	}
	if err := r.network.Destroy(); err != nil {
		return fmt.Errorf("remove network: %w", err)
	}
	return nil
}

// sources forgets an app's repository, its build caches, what its builds printed and its images in our
// registry together.
type sources struct {
	repos   *gitreceive.Repos
	builder *buildpacks.Engine
	blobs   *blobs.Area
	outputs *store.Outputs
}

// Remove implements platform.Sources.
func (s sources) Remove(app platform.App) error {
	return errors.Join(s.repos.Remove(app), s.builder.Forget(app), s.blobs.RemoveApp(context.Background(), app.Name), s.outputs.Remove(app))
}

// Rename implements platform.Sources.
func (s sources) Rename(ctx context.Context, from, to platform.AppName) error {
	return s.blobs.RenameApp(ctx, from, to)
}

// Copy implements platform.Sources.
func (s sources) Copy(ctx context.Context, from, to platform.App) error {
	return s.repos.Copy(ctx, from, to)
}

// hostID tells this platform's cgroups, interfaces and firewall table from another one's on the host.
func hostID(data string) (string, error) {
	path, err := filepath.Abs(data)
	if err != nil {
		return "", fmt.Errorf("name the platform: %w", err)
	}
	sum := sha256.Sum256([]byte(path))
	return hex.EncodeToString(sum[:3]), nil
}

func (s settings) localBuildpacks() []string {
	if s.Buildpacks == "" {
		return nil
	}
	return []string{filepath.Clean(s.Buildpacks)}
}

func (s settings) subnet() (netip.Prefix, error) {
	if s.Subnet == "" {
		return netip.Prefix{}, nil
	}
	p, err := netip.ParsePrefix(s.Subnet)
	if err != nil {
		return p, platform.Errorf(platform.Usage, "--subnet %s is not a subnet: write it like 10.99.0.0/16", s.Subnet)
	}
	return p, nil
}

// initProgram finds paas-init where the Makefile and the installer put it.
func initProgram(self string) (string, error) {
	for _, path := range []string{
		filepath.Join(filepath.Dir(self), "paas-init"),
		filepath.Join(filepath.Dir(self), "..", "lib", "paas", "paas-init"),
	} {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", platform.Errorf(platform.Failed, "paas-init, the first process of every container, is not beside %s", self).
		WithHint("make build makes both; install.sh installs both")
}
