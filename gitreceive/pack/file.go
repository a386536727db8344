package pack

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/klauspost/compress/zlib"
)

const (
	basesKept = 16 << 20 // bytes of small bases a pack keeps in memory
	keptBase  = 1 << 20  // bytes; a bigger base is made anew each time
)

// file is a pack with its index. It is safe for concurrent use, and stays readable after it was removed.
type file struct {
	file  *os.File
	size  int64
	index *index
	tmp   string // where big bases wait
	bases *cache.BufferLRU

	inflaters sync.Pool

	mu    sync.Mutex
	order []located // nil until asked for
}

// openFile opens the pack of an index.
func openFile(indexPath, tmp string) (*file, error) {
	x, err := readIndex(indexPath)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(strings.TrimSuffix(indexPath, ".idx") + ".pack")
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &file{file: f, size: info.Size(), index: x, tmp: tmp, bases: cache.NewBufferLRU(basesKept)}, nil
}

func (f *file) close() error { return f.file.Close() }

// place is an entry of a pack.
type place struct {
	header
	offset int64
	body   int64 // where the compressed bytes start
}

// counter counts what is read, to tell where a header ends.
type counter struct {
	*bufio.Reader
	n int64
}

func (c *counter) ReadByte() (byte, error) {
	c.n++
	return c.Reader.ReadByte()
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}

func (f *file) place(offset int64) (place, error) {
	if offset < 0 || offset >= f.size {
		return place{}, fmt.Errorf("%s: no entry at %d", f.file.Name(), offset)
	}
	in := &counter{Reader: bufio.NewReaderSize(io.NewSectionReader(f.file, offset, f.size-offset), 64)}
	h, err := readHeader(in)
	return place{header: h, offset: offset, body: offset + in.n}, err
}

// base is where a delta's base lies.
func (f *file) base(p place) (int64, error) {
	if p.kind == plumbing.OFSDeltaObject {
		return p.offset - p.back, nil
	}
	offset, ok := f.index.find(p.header.base)
	if !ok {
		return 0, fmt.Errorf("%s: a delta's base %s is missing", f.file.Name(), p.header.base)
	}
	return offset, nil
}

// inflater inflates; it is big, so a pack keeps those that are free.
type inflater struct {
	in *bufio.Reader
	z  io.ReadCloser
}

// inflating is an entry that is being inflated.
type inflating struct {
	*inflater // nil once it is closed
	pool      *sync.Pool
}

// inflate reads an entry's bytes as they are stored.
func (f *file) inflate(p place) (io.ReadCloser, error) {
	i, ok := f.inflaters.Get().(*inflater)
	if !ok {
		i = &inflater{in: bufio.NewReaderSize(nil, 8<<10)}
	}
	i.in.Reset(io.NewSectionReader(f.file, p.body, f.size-p.body))
	if err := i.start(); err != nil {
		return nil, fmt.Errorf("%s: inflate at %d: %w", f.file.Name(), p.offset, err)
	}
	return &inflating{inflater: i, pool: &f.inflaters}, nil
}

func (i *inflater) start() (err error) {
	if i.z != nil {
		return i.z.(zlib.Resetter).Reset(i.in, nil)
	}
	i.z, err = zlib.NewReader(i.in)
	return err
}

func (i *inflating) Read(p []byte) (int, error) {
	if i.inflater == nil {
		return 0, os.ErrClosed
	}
	return i.z.Read(p)
}

func (i *inflating) Close() error {
	if i.inflater == nil {
		return os.ErrClosed
	}
	i.pool.Put(i.inflater)
	i.inflater = nil
	return nil
}

// chain is an object's entry, its base, that one's base and so on to one that is no delta.
func (f *file) chain(offset int64) (chain []place, err error) {
	for {
		p, err := f.place(offset)
		if err != nil {
			return nil, err
		}
		chain = append(chain, p)
		if !isDelta(p.kind) {
			return chain, nil
		}
		if len(chain) > maxChain {
			return nil, fmt.Errorf("%s: a delta chain does not end", f.file.Name())
		}
		if offset, err = f.base(p); err != nil {
			return nil, err
		}
	}
}

// open reads the object at the offset. Its bytes come from the pack as they are read, or, if it is a
// delta, from memory or a file without a name.
func (f *file) open(offset int64) (*Object, error) {
	chain, err := f.chain(offset)
	if err != nil {
		return nil, err
	}
	root := chain[len(chain)-1]
	if len(chain) == 1 {
		body, err := f.inflate(root)
		if err != nil {
			return nil, err
		}
		return &Object{Kind: root.kind, Size: root.header.size, Reader: io.LimitReader(body, root.header.size), closer: body}, nil
	}
	m := newMaker(f)
	made, err := m.make(chain)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: object at %d: %w", f.file.Name(), offset, err), m.Close())
	}
	return &Object{Kind: root.kind, Size: made.length(), Reader: io.NewSectionReader(made, 0, made.length()), closer: m}, nil
}

// maker makes an object from its chain: each from the one before, in two rooms by turns.
type maker struct {
	file  *file
	rooms [2]slots
	turn  int
	copy  []byte
}

func newMaker(f *file) *maker {
	room := slots{dir: f.tmp, budget: smallObject}
	return &maker{file: f, rooms: [2]slots{room, room}, copy: make([]byte, 16<<10)}
}

func (m *maker) Close() error {
	m.rooms[0].close()
	m.rooms[1].close()
	return nil
}

// kept is a base in memory.
type kept []byte

func (k kept) length() int64 { return int64(len(k)) }

func (k kept) ReadAt(p []byte, off int64) (int, error) {
	return (&slot{size: int64(len(k)), memory: k}).ReadAt(p, off)
}

func (m *maker) make(chain []place) (base, error) {
	from, i, err := m.start(chain)
	for i--; err == nil && i >= 0; i-- {
		from, err = m.apply(chain[i], from)
	}
	return from, err
}

// start finds the nearest base that is kept, or inflates the chain's end.
func (m *maker) start(chain []place) (base, int, error) {
	for i, p := range chain {
		if have, ok := m.file.bases.Get(p.offset); ok {
			return kept(have), i, nil
		}
	}
	last := len(chain) - 1
	p := chain[last]
	in, err := m.file.inflate(p)
	if err != nil {
		return nil, 0, err
	}
	made, err := m.fill(p, p.header.size, func(out io.Writer) error {
		n, err := io.CopyBuffer(onlyWriter{out}, onlyReader{io.LimitReader(in, p.header.size)}, m.copy)
		if err == nil && n != p.header.size {
			err = io.ErrUnexpectedEOF
		}
		return err
	})
	return made, last, errors.Join(err, in.Close())
}

func (m *maker) apply(p place, from base) (base, error) {
	in, err := m.file.inflate(p)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	patch, err := readPatch(bufio.NewReaderSize(in, 4<<10), m.copy)
	if err != nil {
		return nil, err
	}
	return m.fill(p, patch.to, func(out io.Writer) error { return patch.apply(from, out) })
}

// fill makes an object in memory if it is small, and keeps it for the next that asks.
func (m *maker) fill(p place, size int64, write func(io.Writer) error) (base, error) {
	m.turn = 1 - m.turn
	room := &m.rooms[m.turn]
	room.top, room.used = 0, 0 // what was in it has been used
	slot, err := room.take(size)
	if err != nil {
		return nil, err
	}
	if err := write(slot); err != nil {
		return nil, err
	}
	if slot.file == nil && size <= keptBase {
		m.file.bases.Put(p.offset, slot.memory)
	}
	return slot, slot.written()
}
