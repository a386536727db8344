package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

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

// Shrink implements platform.Images. Build caches go when the layers were not enough.
func (i images) Shrink(_ context.Context, apps []platform.App, needed map[string]bool, goal platform.Goal) (gone platform.Shrunk, err error) {
	if !goal.DryRun {
		if err := i.builder.Retain(ids(apps)); err != nil {
			return gone, fmt.Errorf("forget builds of apps that are gone: %w", err)
		}
	}
	if goal.Caches && !goal.DryRun {
		i.builder.ReleaseBuilder()
	}
	cached, err := i.builder.Layers()
	if err != nil {
		return gone, err
	}
	need := func(layer string) platform.Need {
		switch {
		case needed[layer]:
			return platform.Needed
		case cached[layer]:
			return platform.Cached
		}
		return platform.Unneeded
	}
	if gone.Layers, err = i.Store.Shrink(need, goal); err != nil {
		return gone, err
	}
	if err := i.sweep(goal); err != nil || !goal.Caches {
		return gone, err
	}
	if goal.Bytes > 0 {
		if goal.Bytes -= gone.Bytes(); goal.Bytes <= 0 {
			return gone, nil
		}
	}
	caches, err := i.builder.Trim(goal)
	for _, c := range caches {
		gone.Caches = append(gone.Caches, cacheUse(c, apps))
	}
	return gone, err
}

// sweep removes what the registry keeps and nobody needs.
func (i images) sweep(goal platform.Goal) error {
	if goal.DryRun {
		return nil
	}
	_, err := i.blobs.Collect()
	return errors.Join(err, i.exchange.Forget())
}

func ids(apps []platform.App) (list []int64) {
	for _, app := range apps {
		list = append(list, app.ID)
	}
	return list
}

func cacheUse(c buildpacks.CacheUse, apps []platform.App) platform.DiskUse {
	return platform.DiskUse{Kind: "build cache", App: nameOf(c.App, apps), Name: c.Name, Bytes: c.Bytes, Cache: true}
}

func nameOf(id int64, apps []platform.App) platform.AppName {
	for _, app := range apps {
		if app.ID == id {
			return app.Name
		}
	}
	return ""
}

// Disk implements platform.Images over the data directory's layout.
func (i images) Disk(ctx context.Context, apps []platform.App) (uses []platform.DiskUse, err error) {
	caches, err := i.builder.Caches()
	for _, c := range caches {
		uses = append(uses, cacheUse(c, apps))
	}
	m := measure{ctx: ctx, data: i.data}
	for _, app := range apps {
		uses = append(uses,
			m.use("repository", app.Name, "repos", strconv.FormatInt(app.ID, 10)+".git"),
			m.use("log", app.Name, "logs", string(app.Name)))
	}
	uses = append(uses, m.instances(apps)...)
	uses = append(uses, m.files("database", "paas.db*"), m.use("build index", "", "build", "index"),
		m.use("Dockerfile cache mounts", "", "build", "docker"),
		m.use("unfinished layers", "", "store", "drafts"))
	return uses, errors.Join(err, m.err)
}

// measure sums up directories of the data directory.
type measure struct {
	ctx  context.Context
	data string
	err  error
}

func (m *measure) use(kind string, app platform.AppName, path ...string) platform.DiskUse {
	root := filepath.Join(append([]string{m.data}, path...)...)
	return platform.DiskUse{Kind: kind, App: app, Bytes: m.bytes(root)}
}

// instances measures what containers have written. An instance's directory is named after its app.
func (m *measure) instances(apps []platform.App) (uses []platform.DiskUse) {
	dirs, err := filepath.Glob(filepath.Join(m.data, "instances", "*"))
	m.err = errors.Join(m.err, err)
	for _, dir := range dirs {
		id := filepath.Base(dir)
		use := platform.DiskUse{Kind: "writable layer", Name: id, Bytes: m.bytes(dir)}
		for _, app := range apps {
			if id[:max(strings.LastIndexByte(id, '-'), 0)] == string(app.Name) {
				use.App = app.Name
			}
		}
		uses = append(uses, use)
	}
	return uses
}

func (m *measure) files(kind, pattern string) platform.DiskUse {
	paths, err := filepath.Glob(filepath.Join(m.data, pattern))
	m.err = errors.Join(m.err, err)
	use := platform.DiskUse{Kind: kind}
	for _, path := range paths {
		use.Bytes += m.bytes(path)
	}
	return use
}

// bytes sums the blocks of a tree. What vanishes meanwhile counts for nothing, as do other file systems
// mounted in it.
func (m *measure) bytes(root string) (sum int64) {
	top, err := os.Lstat(root)
	if err != nil {
		return 0
	}
	dev := top.Sys().(*syscall.Stat_t).Dev
	err = filepath.WalkDir(root, func(_ string, d fs.DirEntry, err error) error {
		if m.ctx.Err() != nil {
			return m.ctx.Err()
		}
		if err != nil {
			return nil //nolint:nilerr // it has vanished
		}
		info, err := d.Info()
		if err != nil {
			return nil //nolint:nilerr // it has vanished
		}
		st := info.Sys().(*syscall.Stat_t)
		if st.Dev != dev && d.IsDir() {
			return fs.SkipDir
		}
		sum += st.Blocks * 512
		return nil
	})
	m.err = errors.Join(m.err, err)
	return sum
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
