package pack

import (
	"bytes"
	"hash"
	"sort"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// checker is the third step: it sees every object as it gets its id. What a repository refers to must be
// in it, so what the objects refer to is gathered; a pack whose references are all met keeps a
// repository whole, whatever the order in which things came.
type checker struct {
	refs   map[ID]struct{}
	buffer bytes.Buffer // of the structure that is being read
}

func newChecker() *checker { return &checker{refs: map[ID]struct{}{}} }

// sink takes one object's bytes.
type sink struct {
	check *checker
	kind  kind
	hash  hash.Hash
}

func (c *checker) sink(k kind, size int64) *sink {
	c.buffer.Reset()
	return &sink{check: c, kind: k, hash: newHash(k, size)}
}

func (s *sink) Write(p []byte) (int, error) {
	if isStructure(s.kind) {
		_, _ = s.check.buffer.Write(p) // never fails (bytes.Buffer)
	}
	return s.hash.Write(p)
}

// close checks the object and returns its id.
func (s *sink) close() (ID, error) {
	id, err := sumID(s.hash)
	if err != nil || !isStructure(s.kind) {
		return id, err
	}
	if err := s.check.object(s.kind, s.check.buffer.Bytes()); err != nil {
		return id, broken("%s %s: %v", s.kind, id, err)
	}
	if s.check.buffer.Cap() > smallObject {
		s.check.buffer = bytes.Buffer{}
	}
	return id, nil
}

func (c *checker) object(k kind, body []byte) error {
	switch k {
	case plumbing.TreeObject:
		return c.tree(body)
	case plumbing.CommitObject:
		return c.commit(body)
	default:
		return c.tag(body)
	}
}

func (c *checker) tree(body []byte) error {
	var last TreeEntry
	var files twins
	for e, err := range TreeEntries(body) {
		if err != nil {
			return err
		}
		if err := checkName(e.Name); err != nil {
			return err
		}
		if last.Name != "" && e.sortName() <= last.sortName() {
			return broken("the entries %q and %q are not in order", last.Name, e.Name)
		}
		if files.has(e) {
			return broken("%q is there twice", e.Name)
		}
		last = e
		if e.Mode != Submodule {
			c.refs[e.ID] = struct{}{}
		}
	}
	return nil
}

// twins finds a folder that has the name of a file before it, which the order does not show: "a", "a.b",
// "a/". Unpacked, such a pair would write through a symlink. It keeps the files that start what follows.
type twins []string

func (t *twins) has(e TreeEntry) bool {
	for len(*t) > 0 && !strings.HasPrefix(e.Name, (*t)[len(*t)-1]) {
		*t = (*t)[:len(*t)-1]
	}
	if e.Mode == Folder {
		return len(*t) > 0 && (*t)[len(*t)-1] == e.Name
	}
	*t = append(*t, e.Name)
	return false
}

// checkName refuses the names that would lead out of a work tree or into its .git on some file system.
func checkName(name string) error {
	switch {
	case name == "" || name == "." || name == ".." || strings.Contains(name, "/"):
		return broken("an entry is named %q", name)
	case isDotGit(name):
		return broken("an entry is named %q, which git keeps for itself", name)
	}
	return nil
}

// isDotGit knows .git in any case, as NTFS abbreviates it, and with the trailing dots, spaces and stream
// names that Windows drops.
func isDotGit(name string) bool {
	name, _, _ = strings.Cut(name, ":")
	name = strings.ToLower(strings.TrimRight(name, ". "))
	return name == ".git" || name == "git~1"
}

func (c *checker) commit(body []byte) error {
	commit, err := ParseCommit(body)
	if err != nil {
		return err
	}
	c.refs[commit.Tree] = struct{}{}
	for _, parent := range commit.Parents {
		c.refs[parent] = struct{}{}
	}
	return nil
}

func (c *checker) tag(body []byte) error {
	target, err := ParseTag(body)
	if err != nil {
		return err
	}
	c.refs[target] = struct{}{}
	return nil
}

// outside returns what is referred to and not in the pack, in order, and forgets the references.
func (c *checker) outside(names ids) []ID {
	var out []ID
	for id := range c.refs {
		if _, ok := names.find(id); !ok {
			out = append(out, id)
		}
	}
	c.refs = nil
	sort.Slice(out, func(i, j int) bool { return compare(out[i], out[j]) < 0 })
	return out
}
