package gitreceive

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// quarantine holds a push's objects apart until the push has gone live. Reading sees the repository's
// objects, too.
type quarantine struct {
	*filesystem.Storage
	repo     *filesystem.Storage
	dir, top string // own directory, the repository's
}

// maxPack bounds what one push may bring, in bytes.
const maxPack = 4 << 30

var errPackTooLarge = errors.New("the push is larger than 4 GiB")

// newQuarantine makes an empty one inside the repository's directory: moving objects is a rename.
func newQuarantine(repo *filesystem.Storage, top string) (*quarantine, error) {
	dir, err := os.MkdirTemp(top, "incoming-")
	if err != nil {
		return nil, fmt.Errorf("make quarantine: %w", err)
	}
	return &quarantine{Storage: storageAt(dir), repo: repo, dir: dir, top: top}, nil
}

// remove deletes what is still in quarantine.
func (q *quarantine) remove() error { return os.RemoveAll(q.dir) }

// unpack stores the pack that r brings and indexes it. It reads to the pack's end.
func (q *quarantine) unpack(r io.Reader) error {
	err := packfile.UpdateObjectStorage(q.Storage, &capped{r: r, left: maxPack})
	if errors.Is(err, packfile.ErrEmptyPackfile) {
		return nil
	}
	return err
}

type capped struct {
	r    io.Reader
	left int64
}

func (c *capped) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errPackTooLarge
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

// accept moves the objects into the repository, durably: packs before their indexes, since an index is
// what makes a pack known.
func (q *quarantine) accept() error {
	from := filepath.Join(q.dir, "objects", "pack")
	to := filepath.Join(q.top, "objects", "pack")
	if err := os.MkdirAll(to, 0o700); err != nil {
		return fmt.Errorf("accept objects: %w", err)
	}
	for _, suffix := range []string{".pack", ".idx"} {
		names, err := filepath.Glob(filepath.Join(from, "pack-*"+suffix))
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := moveDurably(name, filepath.Join(to, filepath.Base(name))); err != nil {
				return fmt.Errorf("accept objects: %w", err)
			}
		}
	}
	return syncDir(to)
}

func moveDurably(from, to string) error {
	f, err := os.Open(filepath.Clean(from))
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(from, to)
}

// EncodedObject implements storer.EncodedObjectStorer over both.
func (q *quarantine) EncodedObject(t plumbing.ObjectType, h plumbing.Hash) (plumbing.EncodedObject, error) {
	o, err := q.Storage.EncodedObject(t, h)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return q.repo.EncodedObject(t, h)
	}
	return o, err
}

// HasEncodedObject implements storer.EncodedObjectStorer over both.
func (q *quarantine) HasEncodedObject(h plumbing.Hash) error {
	if q.Storage.HasEncodedObject(h) == nil {
		return nil
	}
	return q.repo.HasEncodedObject(h)
}

// EncodedObjectSize implements storer.EncodedObjectStorer over both.
func (q *quarantine) EncodedObjectSize(h plumbing.Hash) (int64, error) {
	if n, err := q.Storage.EncodedObjectSize(h); err == nil {
		return n, nil
	}
	return q.repo.EncodedObjectSize(h)
}

// fresh tells whether the push brought the object: what the repository has was checked before.
func (q *quarantine) fresh(h plumbing.Hash) bool { return q.repo.HasEncodedObject(h) != nil }

// packReason says for the client why a pack could not be unpacked.
func packReason(err error) string {
	return strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", " ")
}
