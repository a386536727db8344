package gitreceive

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/go-git/go-git/v5/plumbing"

	"paas/gitreceive/pack"
	"paas/platform"
)

// Submit implements platform.Archives. It goes the way of a push: quarantine, pack, checks, deploy, and only then
// do objects and ref become the repository's.
func (r *Repos) Submit(ctx context.Context, s platform.Submission, deploy func(commit string, source platform.Tree) error) error {
	repo, err := r.open(s.App)
	if err != nil {
		return err
	}
	q, err := r.quarantine()
	if err != nil {
		return err
	}
	defer q.remove()
	leave, err := r.lane(s.App).enter(ctx, s.Name+"'s archive", nil)
	if err != nil {
		return err
	}
	defer leave()
	c, got, err := r.compose(ctx, repo, q, s)
	if err != nil {
		return explainPack(err)
	}
	store, err := pack.OpenStore(q.dir, q.dir, repo.objects())
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	if err := deploy(c.new.String(), newTree(store, c.tree)); err != nil {
		return err
	}
	if err := repo.admit(q, got); err != nil {
		return err
	}
	if err := repo.move([]change{c.change}); err != nil {
		return fmt.Errorf("move %s of %s: %w", s.Branch, s.App.Name, err)
	}
	return repo.setHead(s.Branch)
}

// composed is a commit that is not yet the branch's.
type composed struct {
	change
	tree pack.ID
}

// compose makes a pack of the archive and receives it as if it had been pushed, with all that is checked then.
func (r *Repos) compose(ctx context.Context, repo *repo, q *quarantine, s platform.Submission) (c composed, got *pack.Received, err error) {
	objects, err := os.Create(filepath.Join(q.dir, "objects"))
	if err != nil {
		return c, nil, err
	}
	defer func() { err = errors.Join(err, objects.Close(), os.Remove(objects.Name())) }()
	spool, err := os.Create(filepath.Join(q.dir, "archive"))
	if err != nil {
		return c, nil, err
	}
	defer func() { err = errors.Join(err, spool.Close(), os.Remove(spool.Name())) }()
	made := &sheaf{pack: pack.Compose(objects), root: folderNode{}}
	if err := unarchive(ctx, s, made, spool); err != nil {
		return c, nil, err
	}
	if len(made.root) == 0 {
		return c, nil, refusedArchive("it holds no files")
	}
	if c.tree, err = made.write(made.top()); err != nil {
		return c, nil, err
	}
	if err := c.commit(repo, made.pack, s); err != nil {
		return c, nil, err
	}
	whole, err := made.pack.Pack()
	if err != nil {
		return c, nil, err
	}
	got, err = pack.Receive(ctx, whole, q.packs(), Options{}.withDefaults().Limits)
	return c, got, err
}

// commit puts the tree on top of the branch.
func (c *composed) commit(repo *repo, to *pack.Composer, s platform.Submission) error {
	refs, err := repo.refs()
	if err != nil {
		return err
	}
	commit := pack.Commit{Tree: c.tree}
	c.name = plumbing.NewBranchReferenceName(s.Branch)
	if parent, ok := refs[c.name]; ok {
		c.old = parent
		commit.Parents = []pack.ID{parent}
	}
	c.new, err = to.Commit(commit, pack.Signature{Name: s.Name, Email: s.Email, At: s.At}, s.Message)
	return err
}

// explainPack gives what git would refuse a sentence.
func explainPack(err error) error {
	var broken *pack.BrokenError
	var limit *pack.LimitError
	switch {
	case errors.As(err, &broken):
		return platform.Errorf(platform.Failed, "the archive cannot be used: %s", broken.Reason).Because(err)
	case errors.As(err, &limit):
		return platform.Errorf(platform.Failed, "the archive is too big: %s", limit.Reason).Because(err)
	}
	return err
}
