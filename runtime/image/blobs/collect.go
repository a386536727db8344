package blobs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// Collect removes what nothing leads to: uploads that were begun or went on more than Grace ago, blobs
// of a repository that no manifest of it needs, and content that no repository has, each only when it
// was not used for Grace. freed is in bytes. Pushes wait while it looks, not while it deletes uploads.
func (a *Area) Collect() (freed int64, err error) {
	freed, err = a.sweepUploads()
	unlock, lockErr := a.lock(unix.LOCK_EX)
	if lockErr != nil {
		return freed, fmt.Errorf("collect blobs: %w", errors.Join(err, lockErr))
	}
	defer unlock()
	live, markErr := a.mark()
	if markErr != nil { // what is not known to be garbage stays
		return freed, fmt.Errorf("collect blobs: %w", errors.Join(err, markErr))
	}
	n, sweepErr := a.sweep(live)
	if err = errors.Join(err, sweepErr); err != nil {
		return freed + n, fmt.Errorf("collect blobs: %w", err)
	}
	return freed + n, nil
}

// mark drops unneeded links and returns every digest that a repository leads to.
func (a *Area) mark() (map[digest.Digest]bool, error) {
	live := map[digest.Digest]bool{}
	names, err := list(filepath.Join(a.dir, "repositories"))
	for _, name := range names {
		err = errors.Join(err, a.markRepository(filepath.Join(a.dir, "repositories", name), live))
	}
	return live, err
}

func (a *Area) markRepository(dir string, live map[digest.Digest]bool) error {
	needed, err := needs(dir)
	if err != nil {
		return err
	}
	links, err := list(filepath.Join(dir, "blobs"))
	if err != nil {
		return err
	}
	for _, name := range links {
		d, parseErr := fromFileName(name)
		if parseErr != nil {
			continue
		}
		path := filepath.Join(dir, "blobs", name)
		if needed[d] || a.young(path) {
			live[d] = true
			continue
		}
		err = errors.Join(err, ignoreMissing(os.Remove(path)))
	}
	for d := range needed {
		live[d] = true
	}
	return err
}

// needs are a repository's manifests and what they need.
func needs(dir string) (map[digest.Digest]bool, error) {
	needed := map[digest.Digest]bool{}
	names, err := list(filepath.Join(dir, "manifests"))
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		d, parseErr := fromFileName(name)
		if parseErr != nil {
			continue
		}
		needed[d] = true
		r, err := readRecord(filepath.Join(dir, "manifests", name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read record of %s: %w", d, err)
		}
		for _, blob := range r.Blobs {
			needed[blob] = true
		}
	}
	return needed, nil
}

func (a *Area) sweep(live map[digest.Digest]bool) (freed int64, err error) {
	for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		dir := filepath.Join(a.dir, "blobs", algorithm.String())
		names, e := list(dir)
		err = errors.Join(err, e)
		for _, name := range names {
			if live[digest.NewDigestFromEncoded(algorithm, name)] {
				continue
			}
			n, e := a.removeOld(filepath.Join(dir, name))
			freed, err = freed+n, errors.Join(err, e)
		}
	}
	return freed, err
}

// sweepUploads removes those that nobody went on with. One in use is young: its file just changed.
func (a *Area) sweepUploads() (freed int64, err error) {
	names, err := list(filepath.Join(a.dir, "uploads"))
	for _, name := range names {
		path := filepath.Join(a.dir, "uploads", name)
		data, isOwner := path, false
		if ext := filepath.Ext(name); ext == ".repo" {
			data, isOwner = path[:len(path)-len(ext)], true
		}
		if isOwner && a.young(data) {
			continue // the blob is still coming in
		}
		n, e := a.removeOld(path)
		freed, err = freed+n, errors.Join(err, e)
	}
	return freed, err
}

func (a *Area) removeOld(path string) (freed int64, err error) {
	info, err := os.Lstat(path)
	if err != nil || a.now().Sub(info.ModTime()) < Grace {
		return 0, ignoreMissing(err)
	}
	return info.Size(), ignoreMissing(os.Remove(path))
}

func (a *Area) young(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && a.now().Sub(info.ModTime()) < Grace
}

// Usage is what the area's content weighs, in bytes.
func (a *Area) Usage() (sum int64, err error) {
	err = filepath.WalkDir(a.dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return ignoreMissing(err)
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Size()
		}
		return ignoreMissing(err)
	})
	return sum, err
}
