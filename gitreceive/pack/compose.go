package pack

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/klauspost/compress/zlib"
)

// Composer makes a pack of new objects: the blobs first, then the trees of them, then a commit. It writes them
// down as they come, so it takes the memory of one tree and 21 bytes for each object. It checks nothing but sizes:
// Receive does. It belongs to one goroutine.
type Composer struct {
	file *os.File // the entries, without header and trailer
	end  int64
	seen Set
	zlib *zlib.Writer
}

// Compose makes a Composer over an empty file, which stays the caller's.
func Compose(file *os.File) *Composer {
	return &Composer{file: file, seen: Set{}, zlib: zlib.NewWriter(io.Discard)}
}

// Blob adds a file of exactly size bytes.
func (c *Composer) Blob(content io.Reader, size int64) (ID, error) {
	return c.object(plumbing.BlobObject, content, size)
}

// Tree adds a folder. Its entries may be in any order.
func (c *Composer) Tree(entries []TreeEntry) (ID, error) {
	slices.SortFunc(entries, func(a, b TreeEntry) int { return strings.Compare(a.sortName(), b.sortName()) })
	var body []byte
	for _, e := range entries {
		body = append(strconv.AppendUint(body, uint64(e.Mode), 8), ' ')
		body = append(append(append(body, e.Name...), 0), e.ID[:]...)
	}
	return c.object(plumbing.TreeObject, bytes.NewReader(body), int64(len(body)))
}

// Signature is who did something, and when.
type Signature struct {
	Name, Email string
	At          time.Time
}

// line is git's form of it (gitformat-signature(5) has it in its examples), free of what would end it early.
func (s Signature) line() string {
	drop := strings.NewReplacer("<", "", ">", "", "\n", " ", "\x00", "")
	return fmt.Sprintf("%s <%s> %d %s", drop.Replace(s.Name), drop.Replace(s.Email), s.At.Unix(), s.At.Format("-0700"))
}

// Commit adds a commit by one person.
func (c *Composer) Commit(commit Commit, who Signature, message string) (ID, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "tree %s\n", commit.Tree)
	for _, parent := range commit.Parents {
		fmt.Fprintf(&b, "parent %s\n", parent)
	}
	fmt.Fprintf(&b, "author %s\ncommitter %s\n\n%s\n", who.line(), who.line(), message)
	return c.object(plumbing.CommitObject, strings.NewReader(b.String()), int64(b.Len()))
}

// object writes an entry, and takes it back if the object is in the pack already.
func (c *Composer) object(k kind, content io.Reader, size int64) (ID, error) {
	counted := &written{to: c.file}
	if _, err := counted.Write(appendHeader(nil, k, size)); err != nil {
		return ID{}, err
	}
	c.zlib.Reset(counted)
	sum := newHash(k, size)
	n, err := io.Copy(io.MultiWriter(c.zlib, sum), io.LimitReader(content, size))
	if err != nil {
		return ID{}, err
	}
	if n != size {
		return ID{}, broken("a file ends after %d of %d bytes", n, size)
	}
	if err := c.zlib.Close(); err != nil {
		return ID{}, err
	}
	id, err := sumID(sum)
	if err != nil {
		return id, err
	}
	if c.seen.Has(id) {
		if _, err := c.file.Seek(c.end, io.SeekStart); err != nil {
			return id, err
		}
		return id, c.file.Truncate(c.end)
	}
	c.seen[id] = struct{}{}
	c.end += counted.bytes
	return id, nil
}

type written struct {
	to    io.Writer
	bytes int64
}

// Write implements io.Writer.
func (w *written) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Pack is the whole pack, as Receive reads it. Nothing can be added any more.
func (c *Composer) Pack() (io.Reader, error) {
	if len(c.seen) > math.MaxInt32 {
		return nil, broken("it has more than %d objects", math.MaxInt32)
	}
	if _, err := c.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	head := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), uint32(len(c.seen))) //nolint:gosec // bounded above
	sum := sha1.New()                                                                          //nolint:gosec // gitformat-pack(5)
	body := io.TeeReader(io.MultiReader(bytes.NewReader(head), c.file), sum)
	return io.MultiReader(body, &late{func() []byte { return sum.Sum(nil) }, nil, false}), nil
}

// late is a reader of what is known only once everything before it was read.
type late struct {
	make func() []byte
	rest []byte
	made bool
}

// Read implements io.Reader.
func (l *late) Read(p []byte) (int, error) {
	if !l.made {
		l.rest, l.made = l.make(), true
	}
	if len(l.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}
