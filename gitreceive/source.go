package gitreceive

import (
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"

	"paas/platform"
)

// ID implements platform.Tree.
func (t *tree) ID() string { return t.id.String() }

// Files implements platform.Tree.
func (t *tree) Files() ([]platform.File, error) { return t.files, nil }

// Open implements platform.Tree.
func (t *tree) Open(id string) (io.ReadCloser, error) {
	o, err := t.q.EncodedObject(plumbing.BlobObject, plumbing.NewHash(id))
	if err != nil {
		return nil, fmt.Errorf("read blob %s: %w", id, err)
	}
	return o.Reader()
}
