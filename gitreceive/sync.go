package gitreceive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"paas/gitreceive/pack"
	"paas/platform"
)

// remote is another git server, asked for one repository.
type remote interface {
	// refs lists what is there, and which branch HEAD is on, "" if that is not told.
	refs(ctx context.Context) (found map[plumbing.ReferenceName]pack.ID, head plumbing.ReferenceName, err error)
	// fetch gives a pack with what the wanted commits are made of, less what the known ones are. It comes after refs.
	fetch(ctx context.Context, wants, have []pack.ID) (io.ReadCloser, error)
	io.Closer
}

// Fetch implements platform.Fetcher. What comes goes the way of a push: quarantine, checks, deploy, and only then do
// objects and ref become the repository's.
func (r *Repos) Fetch(ctx context.Context, app platform.App, o platform.Origin, branch func(platform.Fetched) string, deploy func(platform.Fetched, platform.Tree) error) (platform.Fetched, error) {
	repo, err := r.open(app)
	if err != nil {
		return platform.Fetched{}, err
	}
	leave, err := r.lane(app).enter(ctx, "a fetch from elsewhere", nil)
	if err != nil {
		return platform.Fetched{}, err
	}
	defer leave()
	q, err := r.quarantine()
	if err != nil {
		return platform.Fetched{}, err
	}
	defer q.remove()
	s := syncing{repo: repo, quarantine: q, origin: o, branch: branch}
	if err := s.bring(ctx, r); err != nil {
		return platform.Fetched{}, explainFetch(ctx, o, err)
	}
	store, err := pack.OpenStore(q.dir, q.dir, repo.objects())
	if err != nil {
		return s.found, err
	}
	defer func() { _ = store.Close() }()
	return s.found, s.settle(store, deploy)
}

// syncing is one fetch on its way.
type syncing struct {
	repo       *repo
	quarantine *quarantine
	origin     platform.Origin
	branch     func(platform.Fetched) string
	got        *pack.Received
	found      platform.Fetched
	wish       pack.ID // what the ref is on there: a commit or a tag
}

// bring receives what is wanted into the quarantine, unless it is here already.
func (s *syncing) bring(ctx context.Context, r *Repos) error {
	from, err := r.dial(ctx, s.origin)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }() // it was only read
	there, head, err := from.refs(ctx)
	if err != nil {
		return err
	}
	wants, err := s.choose(there, head)
	if err != nil {
		return err
	}
	have, err := s.repo.refs()
	if err != nil {
		return err
	}
	known := slices.Collect(maps.Values(have))
	if slices.Contains(known, s.wish) && len(wants) == 1 {
		return nil
	}
	body, err := from.fetch(ctx, wants, known[:min(len(known), mostHaves)])
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }() // whole, or of no use
	limits := Options{}.withDefaults().Limits
	limits.Bytes = min(limits.Bytes, s.origin.Room)
	s.got, err = pack.Receive(ctx, body, s.quarantine.packs(), limits)
	return err
}

const mostHaves = 256 // commits that the other side is told we have

// choose finds what the ref stands for there. A commit that no ref is on may be part of any of them.
func (s *syncing) choose(there map[plumbing.ReferenceName]pack.ID, head plumbing.ReferenceName) ([]pack.ID, error) {
	if len(there) == 0 {
		return nil, platform.Errorf(platform.Failed, "the repository there is empty")
	}
	if id, err := parseID(s.origin.Ref); err == nil {
		s.wish = id
		for _, at := range there {
			if at == id {
				return []pack.ID{id}, nil
			}
		}
		return slices.Compact(slices.SortedFunc(maps.Values(there), func(a, b pack.ID) int { return strings.Compare(string(a[:]), string(b[:])) })), nil
	}
	names := []plumbing.ReferenceName{head}
	if ref := s.origin.Ref; ref != "" {
		names = []plumbing.ReferenceName{plumbing.NewBranchReferenceName(ref), plumbing.NewTagReferenceName(ref)}
	}
	for _, name := range append(names, plumbing.HEAD) {
		id, ok := there[name]
		if !ok || name == plumbing.HEAD && s.origin.Ref != "" {
			continue
		}
		if name.IsBranch() {
			s.found.Branch = name.Short()
		}
		s.wish = id
		return []pack.ID{id}, nil
	}
	return nil, platform.Errorf(platform.NotFound, "the repository there has no branch or tag %q", s.origin.Ref).
		WithHint("list them: git ls-remote %s", publicAddress(s.origin.URL))
}

// settle deploys what came, and keeps it.
func (s *syncing) settle(store *pack.Store, deploy func(platform.Fetched, platform.Tree) error) error {
	if s.got != nil {
		if err := s.got.Missing(store.Has); err != nil {
			return platform.Errorf(platform.Failed, "the server there left out what its commits are made of").Because(err)
		}
	}
	if !store.Has(s.wish) {
		return platform.Errorf(platform.NotFound, "the repository there has no commit %s", s.wish)
	}
	id, commit, err := peeled(store, s.wish)
	if err != nil {
		return platform.Errorf(platform.Failed, "%s is not a commit", s.wish).Because(err)
	}
	s.found.Commit = id.String()
	move := change{name: plumbing.NewBranchReferenceName(s.branch(s.found)), new: id}
	have, err := s.repo.refs()
	if err != nil {
		return err
	}
	if old, ok := have[move.name]; ok {
		move.old, s.found.Before = old, old.String()
	}
	v := &verdict{}
	judgePlaceOf(v, move.name, have)
	if !v.taken() {
		return platform.Errorf(platform.Conflict, "the branch %s cannot be kept: %s", move.name.Short(), v.refused)
	}
	if err := deploy(s.found, newTree(store, commit.Tree)); err != nil {
		return err
	}
	return s.keep(move)
}

func (s *syncing) keep(move change) error {
	if err := s.repo.admit(s.quarantine, s.got); err != nil {
		return err
	}
	if move.old != move.new {
		if err := s.repo.move([]change{move}); err != nil {
			return fmt.Errorf("move %s: %w", move.name, err)
		}
	}
	return s.repo.setHead(move.name.Short())
}

// explainFetch gives what went wrong at the other side a sentence.
func explainFetch(ctx context.Context, o platform.Origin, err error) error {
	var human *platform.Error
	var broken *pack.BrokenError
	var limit *pack.LimitError
	switch {
	case errors.As(err, &human) || ctx.Err() != nil:
		return err
	case errors.As(err, &limit) && limit.Whole && o.Room < math.MaxInt64:
		return platform.Errorf(platform.Failed, "the repository does not fit on the server's disk, or is too big: %s", limit.Reason).Because(err)
	case errors.As(err, &limit):
		return platform.Errorf(platform.Failed, "the repository is too big: %s", limit.Reason).Because(err)
	case errors.As(err, &broken):
		return platform.Errorf(platform.Failed, "what the server there sent cannot be used: %s", broken.Reason).Because(err)
	}
	return platform.Errorf(platform.Failed, "%s cannot be fetched from: %s", publicAddress(o.URL), oneLine(err.Error())).Because(err)
}
