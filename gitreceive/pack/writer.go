package pack

import (
	"context"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"hash"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/klauspost/compress/zlib"
)

// Set is object ids.
type Set map[ID]struct{}

// Has tells whether the id is in the set.
func (s Set) Has(id ID) bool {
	_, ok := s[id]
	return ok
}

// Write writes a pack of the wanted objects to out. Entries are copied as the store's packs have them, a
// delta too if its base goes along, so it takes no memory worth naming and inflates next to nothing.
// ofs says that the reader understands OFS_DELTA. It blocks on out, and returns early when ctx ends.
func (s *Store) Write(ctx context.Context, out io.Writer, wanted Set, ofs bool) error {
	w := &writer{store: s, wanted: wanted, ofs: ofs, sum: sha1.New(), at: make(map[ID]int64, len(wanted))}
	w.out = io.MultiWriter(out, w.sum)
	head := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), uint32(len(wanted)))
	if err := w.put(head); err != nil {
		return err
	}
	for _, id := range s.inOrder(wanted) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.object(id); err != nil {
			return fmt.Errorf("write %s to a pack: %w", id, err)
		}
	}
	return w.put(w.sum.Sum(nil))
}

// inOrder is the wanted objects as they lie in the packs, which is how the disk likes to be read and what
// puts bases before their deltas.
func (s *Store) inOrder(wanted Set) []ID {
	order := make([]ID, 0, len(wanted))
	taken := make(Set, len(wanted))
	take := func(id ID) {
		if wanted.Has(id) && !taken.Has(id) {
			taken[id] = struct{}{}
			order = append(order, id)
		}
	}
	for _, f := range s.files {
		for _, id := range f.inOrder() {
			take(id)
		}
	}
	for id := range wanted {
		take(id) // loose ones
	}
	return order
}

type writer struct {
	store  *Store
	wanted Set
	ofs    bool
	out    io.Writer
	sum    hash.Hash
	offset int64
	at     map[ID]int64 // where the objects start that were written
}

func (w *writer) put(p []byte) error {
	n, err := w.out.Write(p)
	w.offset += int64(n)
	return err
}

func (w *writer) Write(p []byte) (int, error) {
	n, err := w.out.Write(p)
	w.offset += int64(n)
	return n, err
}

func (w *writer) object(id ID) error {
	f, offset, ok := w.store.find(id)
	if !ok {
		return w.anew(id)
	}
	p, err := f.place(offset)
	if err != nil {
		return err
	}
	if !isDelta(p.kind) {
		w.at[id] = w.offset
		return w.copy(f, p, appendHeader(nil, p.kind, p.header.size))
	}
	base, ok := w.baseFor(f, p)
	if !ok {
		return w.anew(id)
	}
	w.at[id] = w.offset
	return w.copy(f, p, w.deltaHeader(p, base))
}

// baseFor finds a delta's base if it goes along, and is taken from the same pack: there deltas cannot
// go in a circle, between packs they could.
func (w *writer) baseFor(f *file, p place) (ID, bool) {
	base := p.header.base
	if p.kind == plumbing.OFSDeltaObject {
		var ok bool
		if base, ok = f.idAt(p.offset - p.back); !ok {
			return base, false
		}
	}
	from, _, ok := w.store.find(base)
	return base, ok && from == f && w.wanted.Has(base)
}

func (w *writer) deltaHeader(p place, base ID) []byte {
	if at, ok := w.at[base]; ok && w.ofs {
		return appendBack(appendHeader(nil, plumbing.OFSDeltaObject, p.header.size), w.offset-at)
	}
	return append(appendHeader(nil, plumbing.REFDeltaObject, p.header.size), base[:]...)
}

// copy writes a header, and the compressed bytes as they are.
func (w *writer) copy(f *file, p place, head []byte) error {
	if err := w.put(head); err != nil {
		return err
	}
	n := f.end(p.offset) - p.body
	_, err := io.Copy(w, io.NewSectionReader(f.file, p.body, n))
	return err
}

// anew writes an object whole.
func (w *writer) anew(id ID) error {
	o, err := w.store.Open(id)
	if err != nil {
		return err
	}
	defer func() { _ = o.Close() }()
	w.at[id] = w.offset
	if err := w.put(appendHeader(nil, o.Kind, o.Size)); err != nil {
		return err
	}
	z, err := zlib.NewWriterLevel(w, zlib.BestSpeed)
	if err != nil {
		return err
	}
	if _, err := io.Copy(z, o); err != nil {
		return err
	}
	return z.Close()
}
