package blobs

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"paas/platform"
)

// in is a path of a repository. Neither names nor tags nor digests can hold what leads elsewhere.
func (a *Area) in(repo platform.Repository, parts ...string) string {
	name := strings.ReplaceAll(string(repo), "/", "+")
	return filepath.Join(append([]string{a.dir, "repositories", name}, parts...)...)
}

// Repositories lists those that have anything, sorted.
func (a *Area) Repositories(context.Context) ([]platform.Repository, error) {
	names, err := list(filepath.Join(a.dir, "repositories"))
	repos := make([]platform.Repository, len(names))
	for i, name := range names {
		repos[i] = platform.Repository(strings.ReplaceAll(name, "+", "/"))
	}
	slices.Sort(repos)
	return repos, err
}

// Exists tells whether anything was ever pushed there.
func (a *Area) Exists(repo platform.Repository) bool {
	_, err := os.Lstat(a.in(repo))
	return err == nil
}

// list gives a directory's names in order; a directory that is not there has none.
func list(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, ignoreMissing(err)
}

// Blob opens a blob that the repository has; the caller closes it. Missing is of kind NotFound.
func (a *Area) Blob(_ context.Context, repo platform.Repository, d digest.Digest) (*os.File, int64, error) {
	if err := a.touch(a.in(repo, "blobs", fileName(d))); err != nil {
		if _, err := os.Lstat(a.in(repo, "manifests", fileName(d))); err != nil { // a manifest is a blob too
			return nil, 0, noBlob(repo, d)
		}
	}
	f, size, err := a.Content(d)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, noBlob(repo, d)
	}
	return f, size, err
}

func noBlob(repo platform.Repository, d digest.Digest) error {
	return platform.Errorf(platform.NotFound, "%s has no blob %s", repo, d)
}

// Link gives a repository a blob that is there already, without another copy. Content that is not there
// is of kind NotFound.
func (a *Area) Link(_ context.Context, repo platform.Repository, d digest.Digest) error {
	unlock, err := a.lock(unix.LOCK_SH)
	if err != nil {
		return err
	}
	defer unlock()
	return a.link(repo, d)
}

func (a *Area) link(repo platform.Repository, d digest.Digest) error {
	if !a.Has(d) {
		return noBlob(repo, d)
	}
	return write(a.in(repo, "blobs", fileName(d)), nil)
}

// DeleteBlob takes a blob from the repository; Collect removes what no repository has any more.
func (a *Area) DeleteBlob(_ context.Context, repo platform.Repository, d digest.Digest) error {
	err := os.Remove(a.in(repo, "blobs", fileName(d)))
	if errors.Is(err, fs.ErrNotExist) {
		return noBlob(repo, d)
	}
	return err
}

var tagName = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)

// IsTag tells whether s can be a tag (OCI distribution-spec, "Pulling manifests").
func IsTag(s string) bool { return tagName.MatchString(s) }

// Tags lists a repository's tags in order.
func (a *Area) Tags(_ context.Context, repo platform.Repository) ([]string, error) {
	return list(a.in(repo, "tags"))
}

// Remove forgets a repository. One that is not there is no error.
func (a *Area) Remove(repo platform.Repository) error {
	unlock, err := a.lock(unix.LOCK_SH)
	if err != nil {
		return err
	}
	defer unlock()
	return os.RemoveAll(a.in(repo))
}

// RemoveApp forgets every repository of an app.
func (a *Area) RemoveApp(ctx context.Context, app platform.AppName) error {
	repos, err := a.Repositories(ctx)
	for _, repo := range repos {
		if repo.App() == app {
			err = errors.Join(err, a.Remove(repo))
		}
	}
	return err
}

// write replaces a small file at once and durably; its directory is made if need be.
func write(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return renameio.WriteFile(path, data, 0o600, renameio.WithTempDir(filepath.Dir(path)))
}

// RenameApp gives every repository of an app the new name. One that has it already stays as it is.
func (a *Area) RenameApp(ctx context.Context, from, to platform.AppName) error {
	unlock, err := a.lock(unix.LOCK_SH)
	if err != nil {
		return err
	}
	defer unlock()
	repos, err := a.Repositories(ctx)
	for _, repo := range repos {
		if repo.App() != from {
			continue
		}
		next := platform.Repository(string(to) + strings.TrimPrefix(string(repo), string(from)))
		if !a.Exists(next) {
			err = errors.Join(err, os.Rename(a.in(repo), a.in(next)))
		}
	}
	return err
}
