package logbook

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"

	"paas/platform"
)

const (
	blockMagic  = 0x31626c70 // "plb1"
	blockHeader = 4 + 4 + 4 + 4 + 4 + 4 + 8 + 8 + 8

	blockBytes   = 256 << 10              // of lines, from which on a head becomes a block
	mostRaw      = blockBytes + 8*MaxLine // of the lines of a block
	mostIndex    = 1 << 20                // of an index
	mostPayload  = mostRaw + mostRaw/16   // compressed
	zstdMemory   = 16 << 20               // of a decoder: more than any block needs
	zstdStrength = zstd.SpeedDefault      // level 3
)

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) } // made once by crc32

// codec compresses and decompresses blocks; both are safe for concurrent use.
type codec struct {
	once sync.Once
	in   *zstd.Encoder
	out  *zstd.Decoder
	err  error
}

func (c *codec) open() error {
	c.once.Do(func() {
		c.in, c.err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstdStrength), zstd.WithEncoderCRC(true), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(512<<10))
		if c.err == nil {
			c.out, c.err = zstd.NewReader(nil, zstd.WithDecoderMaxMemory(zstdMemory), zstd.WithDecoderConcurrency(0))
		}
	})
	return c.err
}

// blockInfo is a block's header and index.
type blockInfo struct {
	offset   int64 // in the segment
	payload  int64 // offset of it
	size     int   // of the payload
	raw      int
	count    int
	first    uint64 // number of the first line
	from, to int64  // earliest and latest time
	origins  []origin
	levels   byte // a bit for each level that is there
	bloom    bloom
}

func (b *blockInfo) end() int64     { return b.payload + int64(b.size) }
func (b *blockInfo) behind() uint64 { return b.first + uint64(b.count) }
func (b *blockInfo) whole() int     { return int(b.payload-b.offset) + b.size }

// encodeBlock makes a block of lines, of which there is at least one.
func (c *codec) encodeBlock(list []line) ([]byte, error) {
	if err := c.open(); err != nil {
		return nil, err
	}
	e, filter := newEncoder(), newBloom()
	info := blockInfo{first: list[0].number, from: math.MaxInt64, to: math.MinInt64}
	for _, l := range list {
		e.add(l)
		filter.add(l.text)
		info.levels |= 1 << l.level
		info.from, info.to = min(info.from, l.at), max(info.to, l.at)
	}
	index := appendOrigins(nil, e.origins)
	index = append(index, info.levels)
	filter = filter.fold()
	index = append(binary.AppendUvarint(index, uint64(len(filter))), filter...)
	out := make([]byte, blockHeader, blockHeader+len(index)+len(e.out)/4)
	out = append(out, index...)
	out = c.in.EncodeAll(e.out, out)
	le := binary.LittleEndian
	le.PutUint32(out, blockMagic)
	le.PutUint32(out[8:], uint32(len(index)))
	le.PutUint32(out[12:], uint32(len(out)-blockHeader-len(index)))
	le.PutUint32(out[16:], uint32(len(e.out)))
	le.PutUint32(out[20:], uint32(len(list)))
	le.PutUint64(out[24:], info.first)
	le.PutUint64(out[32:], uint64(info.from))
	le.PutUint64(out[40:], uint64(info.to))
	le.PutUint32(out[4:], crc32.Checksum(out[8:blockHeader+len(index)], castagnoli()))
	return out, nil
}

// parseHeader reads a block's header, without its index. Nothing in b is trusted.
func parseHeader(b []byte) (info blockInfo, index int, ok bool) {
	le := binary.LittleEndian
	if len(b) < blockHeader || le.Uint32(b) != blockMagic {
		return info, 0, false
	}
	index = int(le.Uint32(b[8:]))
	info.size, info.raw, info.count = int(le.Uint32(b[12:])), int(le.Uint32(b[16:])), int(le.Uint32(b[20:]))
	info.first = le.Uint64(b[24:])
	info.from, info.to = int64(le.Uint64(b[32:])), int64(le.Uint64(b[40:]))
	ok = index <= mostIndex && info.size <= mostPayload && info.raw <= mostRaw && info.count > 0 && info.count <= info.raw
	return info, index, ok
}

// parseBlock reads a block's header and index from the beginning of b.
func parseBlock(b []byte) (info blockInfo, ok bool) {
	info, index, ok := parseHeader(b)
	if !ok || len(b) < blockHeader+index {
		return info, false
	}
	b = b[:blockHeader+index]
	if binary.LittleEndian.Uint32(b[4:]) != crc32.Checksum(b[8:], castagnoli()) {
		return info, false
	}
	d := decoder{b: b[blockHeader:]}
	info.origins = d.readOrigins()
	info.levels = d.byte()
	info.bloom = bloom(d.bytes(d.uvarint()))
	info.payload = int64(len(b))
	return info, !d.bad
}

// open decompresses a payload into room.
func (c *codec) decompress(info *blockInfo, payload, room []byte) ([]byte, error) {
	if err := c.open(); err != nil {
		return nil, err
	}
	raw, err := c.out.DecodeAll(payload, room[:0])
	if err != nil || len(raw) != info.raw {
		return nil, errDamaged
	}
	return raw, nil
}

// each calls f for every line. The line's text is valid during f only.
func (b *blockInfo) each(raw []byte, f func(l *line)) error {
	d := decoder{b: raw, origins: b.origins}
	n := uint64(0)
	for d.next() {
		d.line.number = b.first + n
		n++
		f(&d.line)
	}
	if d.bad || n != uint64(b.count) {
		return errDamaged
	}
	return nil
}

// sourceNumber is a source's on the disk; that of an unknown one is the app's.
func sourceNumber(s platform.LogSource) byte {
	return byte(max(slices.Index(platform.LogSources(), s), 0))
}
