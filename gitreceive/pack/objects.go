package pack

import (
	"bytes"
	"encoding/hex"
	"iter"
	"strconv"
)

// Mode is a tree entry's mode as git writes it (octal).
type Mode uint32

// The modes git writes. Older versions also wrote 0100664.
const (
	Folder     Mode = 0o40000
	Regular    Mode = 0o100644
	Executable Mode = 0o100755
	Symlink    Mode = 0o120000
	Submodule  Mode = 0o160000

	groupWritable Mode = 0o100664
)

// TreeEntry is one entry of a tree.
type TreeEntry struct {
	Name string
	Mode Mode
	ID   ID
}

// sortName is what git orders entries by: a folder as if it ended in a slash.
func (e TreeEntry) sortName() string {
	if e.Mode == Folder {
		return e.Name + "/"
	}
	return e.Name
}

// TreeEntries yields a tree's entries in its order; after an error it stops.
func TreeEntries(body []byte) iter.Seq2[TreeEntry, error] {
	return func(yield func(TreeEntry, error) bool) {
		for len(body) > 0 {
			e, rest, err := readTreeEntry(body)
			if !yield(e, err) || err != nil {
				return
			}
			body = rest
		}
	}
}

func readTreeEntry(body []byte) (e TreeEntry, rest []byte, err error) {
	mode, rest, ok := bytes.Cut(body, []byte(" "))
	name, rest, ok2 := bytes.Cut(rest, []byte{0})
	if !ok || !ok2 || len(rest) < len(e.ID) {
		return e, nil, broken("an entry is cut off")
	}
	if e.Mode, err = parseMode(string(mode)); err != nil {
		return e, nil, err
	}
	e.Name = string(name)
	copy(e.ID[:], rest)
	return e, rest[len(e.ID):], nil
}

func parseMode(s string) (Mode, error) {
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil {
		return 0, broken("an entry has the mode %q", s)
	}
	switch m := Mode(n); m {
	case Folder, Regular, Executable, Symlink, Submodule:
		return m, nil
	case groupWritable:
		return Regular, nil
	default:
		return 0, broken("an entry has the mode %q", s)
	}
}

// Commit is what a commit refers to.
type Commit struct {
	Tree    ID
	Parents []ID
}

// ParseCommit reads the head of a commit.
func ParseCommit(body []byte) (c Commit, err error) {
	if c.Tree, body, err = cutID(body, "tree "); err != nil {
		return c, err
	}
	for bytes.HasPrefix(body, []byte("parent ")) {
		var parent ID
		if parent, body, err = cutID(body, "parent "); err != nil {
			return c, err
		}
		c.Parents = append(c.Parents, parent)
	}
	if !bytes.HasPrefix(body, []byte("author ")) {
		return c, broken("it has no author")
	}
	return c, nil
}

// ParseTag reads what a tag is put on.
func ParseTag(body []byte) (ID, error) {
	id, rest, err := cutID(body, "object ")
	if err == nil && !bytes.HasPrefix(rest, []byte("type ")) {
		err = broken("it has no type")
	}
	return id, err
}

// cutID reads a line "<word><id in hex>".
func cutID(body []byte, word string) (id ID, rest []byte, err error) {
	line, rest, ok := bytes.Cut(body, []byte("\n"))
	digits, ok2 := bytes.CutPrefix(line, []byte(word))
	if !ok || !ok2 || len(digits) != 2*len(id) {
		return id, nil, broken("it has no line %q", word)
	}
	if _, err := hex.Decode(id[:], digits); err != nil {
		return id, nil, broken("it has a bad id")
	}
	return id, rest, nil
}
