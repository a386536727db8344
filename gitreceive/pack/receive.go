package pack

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/klauspost/compress/zlib"
)

// Received is a pack that was received whole: its pack and index lie in a directory, are in order by
// themselves, and are on the disk for good. Whether what it refers to is there is for Missing to tell.
type Received struct {
	Name    string // "pack-<checksum>"; the files end in ".pack" and ".idx"
	Objects int
	outside []ID // what objects of the pack refer to and the pack does not have
}

// Missing returns a *MissingError for the first object that neither the pack nor have has.
func (r *Received) Missing(have func(ID) bool) error {
	for _, id := range r.outside {
		if !have(id) {
			return &MissingError{ID: id}
		}
	}
	return nil
}

// Receive reads one pack from in and writes it with an index into dir, which must exist and be the
// caller's alone. It blocks on in, on the disk and while it works; the end of ctx ends its work, but not a
// blocked read of in. A *BrokenError is the sender's fault, a *LimitError too; after any error dir may
// hold files that are of no use. An empty pack leaves no file, and its Objects is 0.
func Receive(ctx context.Context, in io.Reader, dir string, limits Limits) (*Received, error) {
	file, err := os.OpenFile(filepath.Join(dir, "incoming.pack"), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o444)
	if err != nil {
		return nil, fmt.Errorf("receive pack: %w", err)
	}
	defer func() { _ = file.Close() }()
	r := receiver{ctx: ctx, file: file, dir: dir, limits: limits, check: newChecker()}
	sum, err := r.scan(in)
	if err != nil {
		return nil, fmt.Errorf("receive pack: %w", err)
	}
	if len(r.entries) == 0 {
		return &Received{}, os.Remove(file.Name())
	}
	if err := r.resolve(); err != nil {
		return nil, fmt.Errorf("resolve deltas: %w", err)
	}
	return r.finish(sum)
}

// receiver is the work on one pack.
type receiver struct {
	ctx     context.Context
	file    *os.File
	dir     string
	limits  Limits
	entries []entry
	end     int64          // offset of the trailer
	pending map[ID][]int32 // REF_DELTA entries by their base's id
	check   *checker       // sees every tree, commit and tag
	zlib    io.ReadCloser  // reused
	waiting *slots         // objects that wait for their deltas
	left    int            // deltas that are not resolved
	copyBuf [32 << 10]byte
}

// scan is the first step: it takes the stream apart while it goes to the file.
func (r *receiver) scan(in io.Reader) (sum ID, err error) {
	t := newTape(in, r.file, r.limits.Bytes)
	count, err := readCount(t)
	if err != nil {
		return sum, err
	}
	if int64(count) > int64(r.limits.Objects) {
		return sum, &LimitError{Reason: fmt.Sprintf("the pack has %d objects, and %d are allowed", count, r.limits.Objects)}
	}
	r.pending = map[ID][]int32{}
	r.entries = make([]entry, 0, min(count, 1<<16)) // the count is only a claim
	for range count {
		if err := r.scanEntry(t); err != nil {
			return sum, err
		}
	}
	r.end = t.offset()
	return t.trailer()
}

// readCount reads the pack's own header.
func readCount(t *tape) (int, error) {
	var h [12]byte
	if _, err := io.ReadFull(t, h[:]); err != nil {
		return 0, err
	}
	if string(h[:4]) != "PACK" || uint32At(h[:], 1) != 2 {
		return 0, broken("this is not a pack of version 2")
	}
	_, err := t.entryCRC()
	return int(uint32At(h[:], 2)), err
}

func (r *receiver) scanEntry(t *tape) error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	e := entry{offset: t.offset(), child: -1, next: -1}
	h, err := readHeader(t)
	if err != nil {
		return err
	}
	if err := r.allowed(h); err != nil {
		return err
	}
	e.stored = h.kind
	if err := r.scanBody(t, h, &e); err != nil {
		return err
	}
	if e.crc, err = t.entryCRC(); err != nil {
		return err
	}
	r.entries = append(r.entries, e)
	return r.link(h, int32(len(r.entries)-1))
}

func (r *receiver) allowed(h header) error {
	switch {
	case h.size > r.limits.Object:
		return &LimitError{Reason: fmt.Sprintf("an object has %s, and %s are allowed", size(h.size), size(r.limits.Object))}
	case isStructure(h.kind) && h.size > maxStructure:
		return &LimitError{Reason: fmt.Sprintf("a %s has %s, and %s are allowed", h.kind, size(h.size), size(maxStructure))}
	}
	return nil
}

func isStructure(k kind) bool {
	return k == plumbing.CommitObject || k == plumbing.TreeObject || k == plumbing.TagObject
}

// scanBody inflates the entry: an object is hashed and checked, a delta only has to end where it says.
func (r *receiver) scanBody(t *tape, h header, e *entry) error {
	body, err := r.inflate(t)
	if err != nil {
		return err
	}
	if isDelta(h.kind) {
		return r.drain(io.Discard, body, h.size)
	}
	sink := r.check.sink(h.kind, h.size)
	if err := r.drain(sink, body, h.size); err != nil {
		return err
	}
	e.kind = h.kind
	e.id, err = sink.close()
	return err
}

// inflate starts to inflate what comes from in.
func (r *receiver) inflate(in io.Reader) (io.Reader, error) {
	if r.zlib == nil {
		z, err := zlib.NewReader(in)
		r.zlib = z
		return z, garbled(err)
	}
	return r.zlib, garbled(r.zlib.(zlib.Resetter).Reset(in, nil))
}

// drain copies exactly want bytes and sees that there are no more.
func (r *receiver) drain(out io.Writer, body io.Reader, want int64) error {
	n, err := io.CopyBuffer(onlyWriter{out}, io.LimitReader(body, want+1), r.copyBuf[:])
	if err != nil {
		return garbled(err)
	}
	if n != want {
		return broken("an object has not the size it claims")
	}
	return nil
}

// onlyWriter hides ReadFrom, which would bring a buffer of its own.
type onlyWriter struct{ io.Writer }

// garbled tells the sender's bad bytes from a failure of ours.
func garbled(err error) error {
	if errors.Is(err, zlib.ErrHeader) || errors.Is(err, zlib.ErrChecksum) || errors.Is(err, zlib.ErrDictionary) {
		return broken("an object cannot be inflated: %v", err)
	}
	return err
}

// link notes a delta with its base.
func (r *receiver) link(h header, i int32) error {
	switch h.kind {
	case plumbing.REFDeltaObject:
		r.pending[h.base] = append(r.pending[h.base], i)
	case plumbing.OFSDeltaObject:
		base, ok := r.at(r.entries[i].offset - h.back)
		if !ok || base >= i {
			return broken("a delta's base is not in the pack")
		}
		r.adopt(base, i)
	default:
		return nil
	}
	r.left++
	return nil
}

func (r *receiver) adopt(base, i int32) {
	r.entries[i].next = r.entries[base].child
	r.entries[base].child = i
}

// at finds the entry that starts at the offset.
func (r *receiver) at(offset int64) (int32, bool) {
	i := sort.Search(len(r.entries), func(i int) bool { return r.entries[i].offset >= offset })
	return int32(i), i < len(r.entries) && r.entries[i].offset == offset
}

// finish writes the index, brings both files to the disk and gives them their names.
func (r *receiver) finish(sum ID) (*Received, error) {
	done := &Received{Name: "pack-" + sum.String(), Objects: len(r.entries)}
	ids, err := r.writeIndex(filepath.Join(r.dir, done.Name+".idx"), sum)
	if err != nil {
		return nil, fmt.Errorf("index pack: %w", err)
	}
	done.outside = r.check.outside(ids)
	if err := r.file.Sync(); err != nil {
		return nil, fmt.Errorf("keep pack: %w", err)
	}
	if err := os.Rename(r.file.Name(), filepath.Join(r.dir, done.Name+".pack")); err != nil {
		return nil, fmt.Errorf("keep pack: %w", err)
	}
	return done, syncDir(r.dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}

// writeIndex writes a version 2 index (gitformat-pack(5)) and returns the pack's ids in its order.
func (r *receiver) writeIndex(path string, sum ID) (ids, error) {
	order := make([]int32, len(r.entries))
	for i := range order {
		order[i] = int32(i)
	}
	sort.Slice(order, func(a, b int) bool {
		x, y := &r.entries[order[a]], &r.entries[order[b]]
		return compare(x.id, y.id) < 0
	})
	w, err := createIndex(path)
	if err != nil {
		return nil, err
	}
	names := make(ids, 0, len(order)*len(ID{}))
	for _, i := range order {
		names = append(names, r.entries[i].id[:]...)
	}
	w.names(names)
	for _, i := range order {
		w.put(binary.BigEndian.AppendUint32(nil, r.entries[i].crc))
	}
	w.offsets(len(order), func(i int) int64 { return r.entries[order[i]].offset })
	return names, w.close(sum)
}
