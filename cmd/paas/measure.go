package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"paas/platform"
)

// Disk implements platform.Images over the data directory's layout: everything in it that is no layer and no
// build cache, each file once. What no line below names is "other".
func (i images) Disk(ctx context.Context, apps []platform.App) ([]platform.DiskUse, error) {
	m := measure{ctx: ctx, data: i.data, seen: map[inode]bool{}}
	m.skip("store", "layers")
	m.skip("store", "shifted")
	m.skip("build", "cache")
	m.skip("volumes") // the platform knows whose they are
	for _, app := range apps {
		m.add("repository", app.Name, "", "repos", strconv.FormatInt(app.ID, 10)+".git")
		m.add("log", app.Name, "", "logs", string(app.Name))
		m.add("log", app.Name, "", "logbook", string(app.Name))
	}
	m.instances(apps)
	m.database()
	m.add("push under way", "", "", "repos", "incoming")
	m.add("registry upload", "", "", "registry", "uploads")
	m.add("registry", "", "", "registry")
	m.add("build scratch", "", "", "build", "scratch")
	m.add("build index", "", "", "build", "index")
	m.add("compressed stack", "", "", "build", "stacks")
	m.add("unfinished layer", "", "", "store", "drafts")
	m.add("being deleted", "", "", "build", "trash")
	m.add("being deleted", "", "", "store", "trash")
	m.add("platform's reserve", "", "", ballastName)
	m.add("other", "", "", "store")
	m.add("other", "", "", ".")
	return m.uses, m.err
}

// measure sums up directories of the data directory. What was counted is not counted again.
type measure struct {
	ctx  context.Context
	data string
	seen map[inode]bool // directories and files with several names
	uses []platform.DiskUse
	err  error
}

type inode struct{ dev, ino uint64 }

// skip leaves out a tree that others count.
func (m *measure) skip(path ...string) {
	if info, err := os.Lstat(filepath.Join(append([]string{m.data}, path...)...)); err == nil {
		st := info.Sys().(*syscall.Stat_t)
		m.seen[inode{st.Dev, st.Ino}] = true
	}
}

func (m *measure) add(kind string, app platform.AppName, name string, path ...string) {
	bytes := m.bytes(filepath.Join(append([]string{m.data}, path...)...))
	if bytes > 0 {
		m.uses = append(m.uses, platform.DiskUse{Kind: kind, App: app, Name: name, Bytes: bytes})
	}
}

// instances measures what containers have written. An instance's directory is named after its app.
func (m *measure) instances(apps []platform.App) {
	dirs, err := filepath.Glob(filepath.Join(m.data, "instances", "*"))
	m.err = errors.Join(m.err, err)
	for _, dir := range dirs {
		id := filepath.Base(dir)
		owner := platform.AppName(id[:max(strings.LastIndexByte(id, '-'), 0)])
		if !slices.ContainsFunc(apps, func(a platform.App) bool { return a.Name == owner }) {
			owner = ""
		}
		m.add(platform.WritesUse, owner, id, "instances", id)
	}
}

func (m *measure) database() {
	paths, err := filepath.Glob(filepath.Join(m.data, databaseName+"*"))
	m.err = errors.Join(m.err, err)
	for _, path := range paths {
		m.add("database", "", "", filepath.Base(path))
	}
}

// bytes sums the blocks of a tree. What vanishes meanwhile counts for nothing, as do other file systems
// mounted in it, and what was counted before.
func (m *measure) bytes(root string) (sum int64) {
	root, err := filepath.EvalSymlinks(root)
	if err != nil {
		return 0
	}
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
		if d.IsDir() && (st.Dev != dev || !m.first(st)) {
			return fs.SkipDir
		}
		if d.IsDir() || m.first(st) {
			sum += st.Blocks * 512
		}
		return nil
	})
	m.err = errors.Join(m.err, err)
	return sum
}

// first tells whether this is met for the first time.
func (m *measure) first(st *syscall.Stat_t) bool {
	id := inode{st.Dev, st.Ino}
	if m.seen[id] {
		return false
	}
	m.seen[id] = true
	return true
}
