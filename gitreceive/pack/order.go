package pack

import (
	"slices"
	"sort"
)

// located is the i-th object by id and where it lies.
type located struct {
	offset int64
	i      int32
}

// byOffset is the pack's objects as they lie in it.
func (f *file) byOffset() []located {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.order != nil {
		return f.order
	}
	f.order = make([]located, f.index.names.count())
	for i := range f.order {
		f.order[i] = located{f.index.offset(i), int32(i)}
	}
	slices.SortFunc(f.order, func(a, b located) int { return int(min(max(a.offset-b.offset, -1), 1)) })
	return f.order
}

// inOrder is the ids as their objects lie in the pack.
func (f *file) inOrder() []ID {
	order := f.byOffset()
	names := make([]ID, len(order))
	for n, at := range order {
		names[n] = f.index.names.at(int(at.i))
	}
	return names
}

// idAt is the id of the object that starts at the offset.
func (f *file) idAt(offset int64) (ID, bool) {
	order := f.byOffset()
	n := sort.Search(len(order), func(n int) bool { return order[n].offset >= offset })
	if n == len(order) || order[n].offset != offset {
		return ID{}, false
	}
	return f.index.names.at(int(order[n].i)), true
}

// end is where the bytes of the entry at the offset end: where the next one starts, or the trailer.
func (f *file) end(offset int64) int64 {
	order := f.byOffset()
	n := sort.Search(len(order), func(n int) bool { return order[n].offset > offset })
	if n == len(order) {
		return f.size - int64(idSize)
	}
	return order[n].offset
}
