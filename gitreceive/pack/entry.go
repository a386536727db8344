package pack

import (
	"encoding/binary"
	"hash"
	"io"
	"strconv"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/pjbgf/sha1cd"
)

// entry is one object of a pack that is being received.
type entry struct {
	id     ID
	offset int64
	crc    uint32
	child  int32 // first entry that is a delta of this one, -1 for none
	next   int32 // next delta of the same base, -1 for none
	stored kind  // as in the pack, maybe a delta
	kind   kind  // of the object; 0 until a delta is resolved
}

type kind = plumbing.ObjectType

func isDelta(k kind) bool { return k == plumbing.OFSDeltaObject || k == plumbing.REFDeltaObject }

// header is what precedes an entry's compressed bytes.
type header struct {
	kind kind
	size int64 // of the inflated bytes, a delta's instructions if it is one
	back int64 // how far before the entry its base starts (OFS_DELTA)
	base ID    // the base's id (REF_DELTA)
}

type byteReader interface {
	io.Reader
	io.ByteReader
}

// readHeader reads an entry's header (gitformat-pack(5), "Object types" and "Deltified representation").
func readHeader(r byteReader) (h header, err error) {
	b, err := r.ReadByte()
	if err != nil {
		return h, err
	}
	h.kind = kind(b >> 4 & 7)
	h.size = int64(b & 15)
	for shift := 4; b&0x80 != 0; shift += 7 {
		if b, err = r.ReadByte(); err != nil {
			return h, err
		}
		if shift > 53 {
			return h, broken("an object's size does not fit")
		}
		h.size |= int64(b&0x7f) << shift
	}
	switch h.kind {
	case plumbing.CommitObject, plumbing.TreeObject, plumbing.BlobObject, plumbing.TagObject:
		return h, nil
	case plumbing.OFSDeltaObject:
		h.back, err = readBack(r)
		return h, err
	case plumbing.REFDeltaObject:
		_, err = io.ReadFull(r, h.base[:])
		return h, err
	}
	return h, broken("an object has the unknown type %d", h.kind)
}

// readBack reads an OFS_DELTA's distance: big-endian groups of seven bits, each continuation adding one.
func readBack(r io.ByteReader) (int64, error) {
	b, err := r.ReadByte()
	if err != nil {
		return 0, err
	}
	n := int64(b & 0x7f)
	for b&0x80 != 0 {
		if n > 1<<48 {
			return 0, broken("a delta's base does not fit")
		}
		if b, err = r.ReadByte(); err != nil {
			return 0, err
		}
		n = (n+1)<<7 | int64(b&0x7f)
	}
	return n, nil
}

// appendHeader writes an entry's type and size.
func appendHeader(p []byte, k kind, size int64) []byte {
	b := byte(k)<<4 | byte(size&15)
	for size >>= 4; size > 0; size >>= 7 {
		p = append(p, b|0x80)
		b = byte(size & 0x7f)
	}
	return append(p, b)
}

// appendBack writes an OFS_DELTA's distance.
func appendBack(p []byte, n int64) []byte {
	var rev [10]byte
	i := len(rev) - 1
	rev[i] = byte(n & 0x7f)
	for n >>= 7; n > 0; n >>= 7 {
		n--
		i--
		rev[i] = 0x80 | byte(n&0x7f)
	}
	return append(p, rev[i:]...)
}

// newHash starts an object's id. It refuses the known ways to make two objects of one id.
func newHash(k kind, size int64) hash.Hash {
	h := sha1cd.New()
	_, _ = h.Write([]byte(k.String() + " " + strconv.FormatInt(size, 10) + "\x00")) // never fails (hash.Hash)
	return h
}

// sumID ends an object's id.
func sumID(h hash.Hash) (ID, error) {
	if c, ok := h.(sha1cd.CollisionResistantHash); ok {
		sum, collision := c.CollisionResistantSum(nil)
		if collision {
			return ID{}, broken("an object is made to collide with another")
		}
		return ID(sum), nil
	}
	return ID(h.Sum(nil)), nil
}

func uint32At(p []byte, i int) uint32 { return binary.BigEndian.Uint32(p[4*i:]) }
