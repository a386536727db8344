package buildpacks

import (
	"context"
	"io"
	"path"
	"slices"
	"strings"

	"paas/buildpacks/plan"
	"paas/platform"
)

// lockedBytes is how many bytes of disk a byte of a lock file stands for at least, by the file's name: what a usual
// entry of it takes and what such packages take installed, halved, so that nothing is refused that might fit. An entry
// is some 400 bytes of npm's for a package of 250 KiB; 250 of yarn's and pnpm's; 3 KiB of poetry's for 3 MiB; 40 of a gem
// of 700 KiB; 170 of a Go module of 1.7 MiB; 200 of a crate of 3 MiB with what is compiled of it.
var lockedBytes = map[string]int64{
	"package-lock.json": 300, "npm-shrinkwrap.json": 300, "yarn.lock": 400, "pnpm-lock.yaml": 400, "bun.lock": 500, "deno.lock": 200,
	"poetry.lock": 500, "uv.lock": 300, "pdm.lock": 300, "Pipfile.lock": 300,
	"Gemfile.lock": 8000, "composer.lock": 200, "go.sum": 5000, "Cargo.lock": 8000, "mix.lock": 3000,
}

const (
	maxLock    = 64 << 20 // bytes of a lock file that count
	lockDepth  = 4        // directories above one that counts, as in a monorepo
	maxLocks   = 32       // lock files of a tree that count
	vendorDirs = "node_modules vendor testdata test tests fixtures examples"
)

// Estimate is how many bytes a first build will write at least, and what takes them, as the beginning of a sentence: of
// a Dockerfile its base images and its context, else what lock files install. 0 where nothing tells. It may block on
// registries for a few seconds.
func (e *Engine) Estimate(ctx context.Context, req platform.BuildRequest) (bytes int64, what string, err error) {
	if tree, p, err := Choose(ctx, req); err == nil && p.Builder == plan.Dockerfile {
		bytes, err = e.estimateDocker(ctx, req, tree, p.Dockerfile)
		return bytes, "What the Dockerfile starts from and copies", err
	}
	bytes, err = estimateLocks(req.Source) // also of what cannot be built, which the build will say
	return bytes, "What the lock files ask for", err
}

func estimateLocks(tree platform.Tree) (bytes int64, err error) {
	files, err := tree.Files()
	if err != nil {
		return 0, err
	}
	left := maxLocks
	for _, f := range files {
		each := lockedBytes[path.Base(f.Path)]
		if each == 0 || left == 0 || f.Mode == platform.Symlink || f.Mode == platform.Submodule || !counts(f.Path) {
			continue
		}
		left--
		n, err := sizeOf(tree, f.ID)
		if err != nil {
			return 0, err
		}
		bytes += min(n, maxLock) * each
	}
	return bytes, nil
}

// counts tells whether a lock file may be an app's own.
func counts(file string) bool {
	dirs := strings.Split(path.Dir(file), "/")
	return len(dirs) <= lockDepth && !slices.ContainsFunc(strings.Fields(vendorDirs), func(v string) bool { return slices.Contains(dirs, v) })
}

func sizeOf(tree platform.Tree, id string) (int64, error) {
	blob, err := tree.Open(id)
	if err != nil {
		return 0, err
	}
	defer func() { _ = blob.Close() }()
	if sized, ok := blob.(interface{ Bytes() int64 }); ok { // git's packs tell
		return sized.Bytes(), nil
	}
	return io.Copy(io.Discard, blob)
}
