package gitreceive

import (
	"context"
	"fmt"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"paas/platform"
)

// checker walks what a push brought and nothing that the repository had: every commit, tree and blob
// that is named must be there, and no tree may name what git would not check out.
type checker struct {
	q    *quarantine
	seen map[plumbing.Hash]bool
}

// connected checks everything that is reachable from tip. It returns a sentence in its error.
func (q *quarantine) connected(ctx context.Context, tip plumbing.Hash) error {
	c := &checker{q: q, seen: map[plumbing.Hash]bool{}}
	return c.walk(ctx, tip)
}

func (c *checker) walk(ctx context.Context, tip plumbing.Hash) error {
	tip, err := c.peel(tip)
	if err != nil {
		return err
	}
	todo := []plumbing.Hash{tip}
	for len(todo) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		h := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if c.seen[h] || !c.q.fresh(h) {
			continue
		}
		c.seen[h] = true
		commit, err := object.GetCommit(c.q, h)
		if err != nil {
			return missing("commit", h)
		}
		if err := c.tree(ctx, commit.TreeHash); err != nil {
			return err
		}
		todo = append(todo, commit.ParentHashes...)
	}
	return nil
}

// peel follows annotated tags to what they name.
func (c *checker) peel(h plumbing.Hash) (plumbing.Hash, error) {
	for range 10 {
		o, err := c.q.EncodedObject(plumbing.AnyObject, h)
		if err != nil {
			return h, missing("object", h)
		}
		if o.Type() != plumbing.TagObject {
			break
		}
		tag, err := object.GetTag(c.q, h)
		if err != nil {
			return h, missing("tag", h)
		}
		h = tag.Target
	}
	return h, nil
}

func (c *checker) tree(ctx context.Context, h plumbing.Hash) error {
	if c.seen[h] || !c.q.fresh(h) {
		return nil
	}
	c.seen[h] = true
	if err := ctx.Err(); err != nil {
		return err
	}
	tree, err := object.GetTree(c.q, h)
	if err != nil {
		return missing("tree", h)
	}
	for _, e := range tree.Entries {
		if err := c.entry(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) entry(ctx context.Context, e object.TreeEntry) error {
	if bad(e.Name) {
		return platform.Errorf(platform.Failed, "a tree has an entry called %q", e.Name)
	}
	switch e.Mode {
	case filemode.Dir:
		return c.tree(ctx, e.Hash)
	case filemode.Submodule:
		return nil
	default:
		if c.q.HasEncodedObject(e.Hash) != nil {
			return missing("blob", e.Hash)
		}
		return nil
	}
}

// bad names are those that git refuses to check out (fsck's hasDot, hasDotdot, hasDotgit, fullPathname).
func bad(name string) bool {
	return name == "" || name == "." || name == ".." || strings.EqualFold(name, ".git") || strings.ContainsAny(name, "/\x00")
}

func missing(kind string, h plumbing.Hash) error {
	return platform.Errorf(platform.Failed, "the push lacks the %s %s", kind, h)
}

// tree is a commit's tree as the platform's source.
type tree struct {
	q     *quarantine
	id    plumbing.Hash
	files []platform.File
}

// sourceOf lists a commit's tree. Submodules are refused here: their content is not in the push.
func (q *quarantine) sourceOf(ctx context.Context, h plumbing.Hash) (*tree, error) {
	commit, err := object.GetCommit(q, h)
	if err != nil {
		return nil, missing("commit", h)
	}
	t := &tree{q: q, id: commit.TreeHash}
	if err := t.list(ctx, commit.TreeHash, ""); err != nil {
		return nil, err
	}
	return t, nil
}

// maxDepth bounds directories in directories: PATH_MAX leaves no room for more.
const maxDepth = 2000

func (t *tree) list(ctx context.Context, h plumbing.Hash, prefix string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if strings.Count(prefix, "/") > maxDepth {
		return platform.Errorf(platform.Failed, "the source has more than %d directories in each other", maxDepth)
	}
	dir, err := object.GetTree(t.q, h)
	if err != nil {
		return missing("tree", h)
	}
	for _, e := range dir.Entries {
		path := prefix + e.Name
		switch e.Mode {
		case filemode.Dir:
			err = t.list(ctx, e.Hash, path+"/")
		case filemode.Submodule:
			err = platform.Errorf(platform.Failed, "%s is a submodule, and submodules are not fetched", path).
				WithHint("commit its files instead: git rm --cached %[1]s && rm -rf %[1]s/.git && git add %[1]s", path)
		case filemode.Symlink:
			t.add(path, platform.Symlink, e.Hash)
		case filemode.Executable:
			t.add(path, platform.Executable, e.Hash)
		default:
			t.add(path, platform.Regular, e.Hash)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tree) add(path string, mode platform.FileMode, h plumbing.Hash) {
	t.files = append(t.files, platform.File{Path: path, Mode: mode, ID: h.String()})
}

// shortRef says a ref as people do.
func shortRef(name plumbing.ReferenceName) string {
	if name.IsBranch() {
		return fmt.Sprintf("the branch %s", name.Short())
	}
	return name.String()
}
