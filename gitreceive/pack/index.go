package pack

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"os"
	"sort"
)

// ids is object ids one behind the other, in order.
type ids []byte

const idSize = len(ID{})

func compare(a, b ID) int { return bytes.Compare(a[:], b[:]) }

func (s ids) count() int { return len(s) / idSize }

func (s ids) at(i int) ID { return ID(s[i*idSize : (i+1)*idSize]) }

func (s ids) find(id ID) (int, bool) { return s.findIn(id, 0, s.count()) }

func (s ids) findIn(id ID, from, to int) (int, bool) {
	i := from + sort.Search(to-from, func(i int) bool {
		at := (from + i) * idSize
		return bytes.Compare(s[at:at+idSize], id[:]) >= 0
	})
	return i, i < to && s.at(i) == id
}

// A version 2 index (gitformat-pack(5)): magic, version, 256 counts, ids, CRCs, offsets, big offsets, the
// pack's checksum, its own checksum.
const indexMagic = "\xfftOc\x00\x00\x00\x02"

// bigOffset marks an offset that stands in the table of big ones.
const bigOffset = 1 << 31

type indexWriter struct {
	file *os.File
	out  *bufio.Writer
	sum  hash.Hash
	err  error // the first one
}

func createIndex(path string) (*indexWriter, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o444)
	if err != nil {
		return nil, err
	}
	w := &indexWriter{file: f, out: bufio.NewWriterSize(f, 64<<10), sum: sha1.New()}
	w.put([]byte(indexMagic))
	return w, nil
}

func (w *indexWriter) put(p []byte) {
	_, _ = w.sum.Write(p) // never fails (hash.Hash)
	if _, err := w.out.Write(p); err != nil && w.err == nil {
		w.err = err
	}
}

// names writes how many ids start with each byte or a smaller one, and the ids.
func (w *indexWriter) names(names ids) {
	for first, i := 0, 0; first < 256; first++ {
		for i < names.count() && int(names[i*idSize]) <= first {
			i++
		}
		w.put(binary.BigEndian.AppendUint32(nil, uint32(i)))
	}
	w.put(names)
}

func (w *indexWriter) offsets(n int, offset func(i int) int64) {
	var big []byte
	for i := range n {
		at := offset(i)
		if at > math.MaxInt32 {
			big = binary.BigEndian.AppendUint64(big, uint64(at))
			at = bigOffset | int64(len(big)/8-1)
		}
		w.put(binary.BigEndian.AppendUint32(nil, uint32(at)))
	}
	w.put(big)
}

func (w *indexWriter) close(pack ID) error {
	w.put(pack[:])
	w.put(w.sum.Sum(nil))
	return errors.Join(w.err, w.out.Flush(), w.file.Sync(), w.file.Close())
}

// index is an index in memory: 28 bytes an object, and 8 more once its order by offset was asked for.
type index struct {
	counts []byte // 256 numbers
	names  ids
	small  []byte // 4 bytes an object
	big    []byte // 8 bytes a big offset
}

func readIndex(path string) (*index, error) {
	all, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	x, err := parseIndex(all)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return x, nil
}

func parseIndex(p []byte) (*index, error) {
	const tail = 2 * idSize
	if len(p) < len(indexMagic)+1024+tail || string(p[:8]) != indexMagic {
		return nil, errors.New("it is no index of version 2")
	}
	p = p[len(indexMagic) : len(p)-tail]
	x := &index{counts: p[:1024]}
	p = p[1024:]
	n := int(uint32At(x.counts, 255))
	if len(p) < n*(idSize+8) {
		return nil, io.ErrUnexpectedEOF
	}
	x.names, p = ids(p[:n*idSize]), p[n*(idSize+4):]
	x.small, x.big = p[:4*n], p[4*n:]
	return x, nil
}

func (x *index) find(id ID) (offset int64, ok bool) {
	from := 0
	if id[0] > 0 {
		from = int(uint32At(x.counts, int(id[0])-1))
	}
	to := int(uint32At(x.counts, int(id[0])))
	if from > to || to > x.names.count() {
		return 0, false
	}
	i, ok := x.names.findIn(id, from, to)
	if !ok {
		return 0, false
	}
	return x.offset(i), true
}

// offset is where the object that is i-th by id lies; -1 if the index is broken.
func (x *index) offset(i int) int64 {
	at := uint32At(x.small, i)
	if at&bigOffset == 0 {
		return int64(at)
	}
	i = int(at &^ bigOffset)
	if 8*i+8 > len(x.big) {
		return -1
	}
	return int64(binary.BigEndian.Uint64(x.big[8*i:]))
}
