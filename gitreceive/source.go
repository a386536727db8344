package gitreceive

import (
	"context"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"

	"paas/gitreceive/pack"
	"paas/platform"
)

// Source implements platform.Repositories.
func (r *Repos) Source(_ context.Context, app platform.App, revision string) (platform.Source, error) {
	repo, err := r.open(app)
	if err != nil {
		return platform.Source{}, err
	}
	id, err := repo.revision(app, revision)
	if err != nil {
		return platform.Source{}, err
	}
	store, err := pack.OpenStore(r.incoming(), repo.objects())
	if err != nil {
		return platform.Source{}, fmt.Errorf("open repository of %s: %w", app.Name, err)
	}
	done := func() { _ = store.Close() } // it was only read
	if !store.Has(id) {
		done()
		return platform.Source{}, noRevision(app, revision)
	}
	id, commit, err := peeled(store, id)
	if err != nil {
		done()
		return platform.Source{}, noRevision(app, revision).Because(err)
	}
	return platform.Source{Commit: id.String(), Tree: newTree(store, commit.Tree), Close: done}, nil
}

// peeled is the commit that an id, maybe a tag's, stands for.
func peeled(store *pack.Store, id pack.ID) (pack.ID, pack.Commit, error) {
	id, err := store.Peel(id)
	if err != nil {
		return id, pack.Commit{}, err
	}
	commit, err := store.Commit(id)
	return id, commit, err
}

// revision finds what a full id, a branch's or tag's name, or nothing stands for.
func (r *repo) revision(app platform.App, name string) (pack.ID, error) {
	if id, err := parseID(name); err == nil {
		return id, nil
	}
	refs, err := r.refs()
	if err != nil {
		return pack.ID{}, err
	}
	if name == "" {
		name = app.DeployBranch
	}
	for _, ref := range []plumbing.ReferenceName{plumbing.NewBranchReferenceName(name), plumbing.NewTagReferenceName(name)} {
		if id, ok := refs[ref]; ok {
			return id, nil
		}
	}
	if name == "" {
		return pack.ID{}, platform.Errorf(platform.NotFound, "%s has no source here: nothing was pushed to it", app.Name).
			WithHint("push it: git push paas main")
	}
	return pack.ID{}, noRevision(app, name)
}

func noRevision(app platform.App, name string) *platform.Error {
	return platform.Errorf(platform.NotFound, "the repository of %s has no commit or branch %.80q", app.Name, name).
		WithHint("list its branches: git ls-remote paas")
}
