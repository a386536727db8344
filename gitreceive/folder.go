package gitreceive

import (
	"context"
	"io"
	"os"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/revlist"

	"paas/gitreceive/pack"
	"paas/platform"
)

// onDisk is a repository in a directory of this machine, bare or not.
type onDisk struct{ repo *git.Repository }

func newFolder(path string) (remote, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, platform.Errorf(platform.NotFound, "there is no directory %s", path).Because(err)
	}
	repo, err := git.PlainOpenWithOptions(path, &git.PlainOpenOptions{EnableDotGitCommonDir: true})
	if err != nil {
		return nil, platform.Errorf(platform.Failed, "%s is not a git repository", path).Because(err)
	}
	return onDisk{repo}, nil
}

// Close implements remote.
func (onDisk) Close() error { return nil }

func (f onDisk) refs(context.Context) (map[plumbing.ReferenceName]pack.ID, plumbing.ReferenceName, error) {
	iter, err := f.repo.References()
	if err != nil {
		return nil, "", err
	}
	found := map[plumbing.ReferenceName]pack.ID{}
	err = iter.ForEach(func(ref *plumbing.Reference) error {
		if ref.Type() == plumbing.HashReference && (ref.Name().IsBranch() || ref.Name().IsTag()) {
			found[ref.Name()] = ref.Hash()
		}
		return nil
	})
	head, headErr := f.repo.Head()
	if err != nil || headErr != nil { // an empty repository has none
		return found, "", err
	}
	found[plumbing.HEAD] = head.Hash()
	return found, head.Name(), nil
}

// fetch writes a pack of whole objects: it goes no further than to the next function.
func (f onDisk) fetch(ctx context.Context, wants, have []pack.ID) (io.ReadCloser, error) {
	var known []pack.ID
	for _, id := range have {
		if f.repo.Storer.HasEncodedObject(id) == nil {
			known = append(known, id)
		}
	}
	objects, err := revlist.Objects(f.repo.Storer, wants, known)
	if err != nil {
		return nil, err
	}
	out, in := io.Pipe()
	stop := context.AfterFunc(ctx, func() { _ = out.CloseWithError(ctx.Err()) })
	go func() { // ends when the pack is written, or nobody reads it any more
		_, err := packfile.NewEncoder(in, f.repo.Storer, false).Encode(objects, 0)
		_ = in.CloseWithError(err)
	}()
	return body{out, func() error { stop(); return out.Close() }}, nil
}
