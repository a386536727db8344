package pack

import (
	"context"
	"errors"

	"github.com/go-git/go-git/v5/plumbing"
)

// Wish is what a fetch asks for.
type Wish struct {
	Wants    []ID // commits or tags
	Haves    []ID // commits that the other side has, with all that they refer to
	Depth    int  // how many commits deep, 0 for all
	Shallows Set  // commits of the other side whose parents it has not
}

// Selection is what answers a wish.
type Selection struct {
	Objects   Set
	Shallow   []ID // commits whose parents are left out
	Unshallow []ID // commits of the wish's shallows whose parents are in it
}

// Select finds what to send: about 100 bytes of memory an object. It blocks on the disk.
func (s *Store) Select(ctx context.Context, wish Wish) (Selection, error) {
	sel := selector{ctx: ctx, store: s, wish: wish, had: Set{}, out: Set{}, depth: map[ID]int{}, shallow: Set{}}
	if err := sel.run(); err != nil {
		return Selection{}, err
	}
	return sel.result(), nil
}

type selector struct {
	ctx     context.Context
	store   *Store
	wish    Wish
	had     Set        // what the other side has
	out     Set        // what to send
	depth   map[ID]int // of the commits that are seen, 1 for what was asked for
	shallow Set
	edge    []ID // commits the other side has next to ones it gets
}

func (s *selector) run() error {
	if err := s.haveCommits(); err != nil {
		return err
	}
	commits, err := s.wantCommits()
	if err != nil {
		return err
	}
	for _, id := range append(s.edge, s.wish.Haves...) {
		if err := s.treeOf(id, s.had); err != nil {
			return err
		}
	}
	for _, id := range commits {
		if err := s.treeOf(id, s.out); err != nil {
			return err
		}
	}
	return nil
}

// haveCommits gathers every commit that the other side has.
func (s *selector) haveCommits() error {
	todo := append([]ID(nil), s.wish.Haves...)
	for len(todo) > 0 {
		id := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if s.had.Has(id) {
			continue
		}
		c, err := s.commit(id)
		if err != nil {
			return err
		}
		s.had[id] = struct{}{}
		if !s.wish.Shallows.Has(id) {
			todo = append(todo, c.Parents...)
		}
	}
	return nil
}

func (s *selector) commit(id ID) (Commit, error) {
	if err := s.ctx.Err(); err != nil {
		return Commit{}, err
	}
	return s.store.Commit(id)
}

// wantCommits gathers the commits to send, breadth first, so that each is met at its least depth.
func (s *selector) wantCommits() (send []ID, err error) {
	todo, err := s.tips()
	if err != nil {
		return nil, err
	}
	for ; len(todo) > 0; todo = todo[1:] {
		id := todo[0]
		had := s.had.Has(id)
		if had {
			s.edge = append(s.edge, id)
		} else {
			s.out[id] = struct{}{}
			send = append(send, id)
		}
		if had && s.wish.Depth == 0 {
			continue
		}
		parents, err := s.parents(id, had)
		if err != nil {
			return nil, err
		}
		todo = append(todo, parents...)
	}
	return send, nil
}

// tips is the commits that were asked for; the tags on the way to them, and anything else that was asked
// for, are sent as they are.
func (s *selector) tips() (tips []ID, err error) {
	for _, id := range s.wish.Wants {
		for {
			kind, err := s.store.Kind(id)
			if err != nil {
				return nil, err
			}
			if kind != plumbing.TagObject {
				break
			}
			s.out[id] = struct{}{}
			if id, err = s.store.Tagged(id); err != nil {
				return nil, err
			}
		}
		tip, err := s.tip(id)
		if err != nil {
			return nil, err
		}
		tips = append(tips, tip...)
	}
	return tips, nil
}

// tip notes a commit that was asked for. A tag may also be put on a tree or a blob: that goes whole.
func (s *selector) tip(id ID) ([]ID, error) {
	kind, err := s.store.Kind(id)
	if err != nil {
		return nil, err
	}
	switch {
	case kind == plumbing.TreeObject:
		return nil, s.tree(id, s.out)
	case kind != plumbing.CommitObject:
		s.out[id] = struct{}{}
		return nil, nil
	case s.depth[id] != 0:
		return nil, nil
	}
	s.depth[id] = 1
	return []ID{id}, nil
}

// parents is the commit's parents that are not seen yet, none at the depth that was asked for. Of a commit
// the other side has, they matter only if it lacks them.
func (s *selector) parents(id ID, had bool) (unseen []ID, err error) {
	c, err := s.commit(id)
	if err != nil || len(c.Parents) == 0 {
		return nil, err
	}
	if s.wish.Depth > 0 && s.depth[id] >= s.wish.Depth {
		s.shallow[id] = struct{}{}
		return nil, nil
	}
	for _, p := range c.Parents {
		if s.depth[p] == 0 {
			s.depth[p] = s.depth[id] + 1
			unseen = append(unseen, p)
		}
	}
	return unseen, nil
}

func (s *selector) treeOf(id ID, into Set) error {
	c, err := s.commit(id)
	if err != nil {
		return err
	}
	return s.tree(c.Tree, into)
}

// tree adds a tree and what is in it, without what the other side has. Trees may be nested as deep as
// their maker likes, so they are not walked by recursion.
func (s *selector) tree(id ID, into Set) error {
	for todo := []ID{id}; len(todo) > 0; {
		id, todo = todo[len(todo)-1], todo[:len(todo)-1]
		if s.had.Has(id) || into.Has(id) {
			continue
		}
		into[id] = struct{}{}
		folders, err := s.entries(id, into)
		if err != nil {
			return err
		}
		todo = append(todo, folders...)
	}
	return s.ctx.Err()
}

// entries adds a tree's files and returns its folders.
func (s *selector) entries(id ID, into Set) (folders []ID, err error) {
	body, err := s.store.Tree(id)
	if err != nil {
		return nil, err
	}
	for e, err := range TreeEntries(body) {
		switch {
		case err != nil:
			return nil, err
		case e.Mode == Folder:
			folders = append(folders, e.ID)
		case e.Mode != Submodule && !s.had.Has(e.ID):
			into[e.ID] = struct{}{}
		}
	}
	return folders, nil
}

func (s *selector) result() Selection {
	r := Selection{Objects: s.out}
	for id := range s.shallow {
		if !s.wish.Shallows.Has(id) {
			r.Shallow = append(r.Shallow, id)
		}
	}
	for id := range s.wish.Shallows {
		if s.depth[id] != 0 && !s.shallow.Has(id) {
			r.Unshallow = append(r.Unshallow, id)
		}
	}
	return r
}

// Tagged reads what a tag is put on.
func (s *Store) Tagged(id ID) (ID, error) {
	body, err := s.read(id, plumbing.TagObject)
	if err != nil {
		return ID{}, err
	}
	return ParseTag(body)
}

// Contains tells whether the commit old is tip or one of its ancestors.
func (s *Store) Contains(ctx context.Context, tip, old ID) (bool, error) {
	seen := Set{}
	for todo := []ID{tip}; len(todo) > 0; {
		id := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if id == old {
			return true, nil
		}
		if seen.Has(id) {
			continue
		}
		seen[id] = struct{}{}
		c, err := s.Commit(id)
		if err := errors.Join(err, ctx.Err()); err != nil {
			return false, err
		}
		todo = append(todo, c.Parents...)
	}
	return false, nil
}
