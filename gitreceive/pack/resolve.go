package pack

import (
	"bufio"
	"io"
)

// resolve is the second step. From every object that is no delta it walks the deltas on it, depth first,
// so that an object waits only while something below it is unresolved.
func (r *receiver) resolve() error {
	if r.left == 0 {
		return nil
	}
	r.waiting = &slots{dir: r.dir, budget: memoryBudget}
	defer r.waiting.close()
	w := walk{receiver: r, in: bufio.NewReaderSize(nil, 32<<10), body: bufio.NewReaderSize(nil, 32<<10)}
	for i := range r.entries {
		if isDelta(r.entries[i].stored) {
			continue
		}
		if err := w.root(int32(i)); err != nil {
			return err
		}
	}
	if r.left > 0 {
		return broken("%d deltas have no base in the pack (thin packs are not taken)", r.left)
	}
	return nil
}

// walk is the way along one object's deltas.
type walk struct {
	*receiver
	in    *bufio.Reader // compressed bytes
	body  *bufio.Reader // inflated bytes
	stack []step
}

// step is an object on the way down whose deltas are being resolved.
type step struct {
	slot *slot
	kind kind
	next int32 // the delta to resolve next, -1 when there is none left
}

func (w *walk) root(i int32) error {
	w.adoptPending(i)
	e := &w.entries[i]
	if e.child < 0 {
		return nil
	}
	slot, err := w.load(e)
	if err != nil {
		return err
	}
	w.stack = append(w.stack[:0], step{slot, e.kind, e.child})
	for len(w.stack) > 0 {
		if err := w.down(); err != nil {
			return err
		}
	}
	return nil
}

// adoptPending gives an object whose id is known the deltas that asked for it by id.
func (w *walk) adoptPending(i int32) {
	if len(w.pending) == 0 {
		return
	}
	id := w.entries[i].id
	for _, child := range w.pending[id] {
		w.adopt(i, child)
	}
	delete(w.pending, id)
}

// down resolves the next delta of the deepest object, or leaves that object when it has no more.
func (w *walk) down() error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	top := &w.stack[len(w.stack)-1]
	if top.next < 0 {
		w.waiting.give(top.slot)
		w.stack = w.stack[:len(w.stack)-1]
		return nil
	}
	if len(w.stack) > maxChain {
		return broken("a delta chain is longer than %d", maxChain)
	}
	i := top.next
	top.next = w.entries[i].next
	slot, err := w.applyTo(top, i)
	if err != nil {
		return err
	}
	w.left--
	w.adoptPending(i)
	e := &w.entries[i]
	if e.child < 0 {
		w.waiting.give(slot)
		return nil
	}
	w.stack = append(w.stack, step{slot, e.kind, e.child})
	return nil
}

// applyTo makes entry i from its base and returns it in a slot.
func (w *walk) applyTo(from *step, i int32) (*slot, error) {
	e := &w.entries[i]
	if _, err := w.start(e); err != nil {
		return nil, err
	}
	p, err := readPatch(w.body, w.copyBuf[:])
	if err != nil {
		return nil, cut(err)
	}
	if err := w.allowed(header{kind: from.kind, size: p.to}); err != nil {
		return nil, err
	}
	sink := w.check.sink(from.kind, p.to)
	slot, err := w.applyInto(p, from.slot, sink, e.child >= 0 || len(w.pending) > 0)
	if err != nil {
		return nil, cut(err)
	}
	e.kind = from.kind
	e.id, err = sink.close()
	return slot, err
}

// applyInto gives the result to the sink, and keeps it in a slot if something may be a delta of it.
func (w *walk) applyInto(p patch, from base, sink io.Writer, keep bool) (*slot, error) {
	if !keep {
		return w.waiting.none(), p.apply(from, sink)
	}
	slot, err := w.waiting.take(p.to)
	if err != nil {
		return nil, err
	}
	if err := p.apply(from, io.MultiWriter(slot, sink)); err != nil {
		return nil, err
	}
	return slot, slot.written()
}

// cut says of a delta that ends too early that it is broken.
func cut(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return broken("a delta ends too early")
	}
	return garbled(err)
}

// load inflates an object that is no delta into a slot.
func (w *walk) load(e *entry) (*slot, error) {
	h, err := w.start(e)
	if err != nil {
		return nil, err
	}
	slot, err := w.waiting.take(h.size)
	if err != nil {
		return nil, err
	}
	if err := w.drain(slot, w.body, h.size); err != nil {
		return nil, err
	}
	return slot, slot.written()
}

// start seeks an entry and begins to inflate it.
func (w *walk) start(e *entry) (header, error) {
	w.in.Reset(io.NewSectionReader(w.file, e.offset, w.end-e.offset))
	h, err := readHeader(w.in)
	if err != nil {
		return h, err
	}
	body, err := w.inflate(w.in)
	if err != nil {
		return h, err
	}
	w.body.Reset(body)
	return h, nil
}
