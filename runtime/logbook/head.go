package logbook

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"

	"paas/runtime/ring"
)

const (
	headFile    = "head"
	framePrefix = 8
	maxFrame    = 8 << 20 // bytes: a block's lines, and positions of more rings than a host has
)

// frame is one entry of a head.
type frame struct {
	first     uint64 // number of the first line, or of the next one if there is none
	dropped   [limiters]uint64
	positions map[string]ring.Position // of the rings that were read since the frame before; in the first: of all
	lines     []line
}

// appendFrame encodes a frame.
func appendFrame(b []byte, f frame) []byte {
	start := len(b)
	b = append(b, make([]byte, framePrefix)...)
	b = binary.AppendUvarint(b, f.first)
	for _, n := range f.dropped {
		b = binary.AppendUvarint(b, n)
	}
	b = binary.AppendUvarint(b, uint64(len(f.positions)))
	for name, p := range f.positions {
		b = binary.AppendUvarint(b, uint64(len(name)))
		b = append(b, name...)
		b = binary.AppendUvarint(b, p.Sequence)
		b = binary.AppendUvarint(b, uint64(p.Offset))
		b = binary.AppendUvarint(b, p.Lines)
	}
	e := newEncoder()
	for _, l := range f.lines {
		e.add(l)
	}
	b = appendOrigins(b, e.origins)
	b = append(b, e.out...)
	payload := b[start+framePrefix:]
	binary.LittleEndian.PutUint32(b[start:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(b[start+4:], crc32.Checksum(payload, castagnoli()))
	return b
}

// cutFrame takes the first frame off b. Its size is 0 when b does not begin with a whole one. Texts alias b.
func cutFrame(b []byte) (f frame, size int) {
	if len(b) < framePrefix {
		return f, 0
	}
	n := int(binary.LittleEndian.Uint32(b))
	if n > maxFrame || len(b) < framePrefix+n {
		return f, 0
	}
	payload := b[framePrefix : framePrefix+n]
	if binary.LittleEndian.Uint32(b[4:]) != crc32.Checksum(payload, castagnoli()) {
		return f, 0
	}
	d := decoder{b: payload}
	f.first = d.uvarint()
	for i := range f.dropped {
		f.dropped[i] = d.uvarint()
	}
	f.positions = map[string]ring.Position{}
	for range min(d.uvarint(), uint64(len(payload))) {
		name := string(d.bytes(d.uvarint()))
		f.positions[name] = ring.Position{Sequence: d.uvarint(), Offset: int64(d.uvarint()), Lines: d.uvarint()}
	}
	d.origins = d.readOrigins()
	for d.next() {
		d.line.number = f.first + uint64(len(f.lines))
		f.lines = append(f.lines, d.line)
	}
	if d.bad {
		return frame{}, 0
	}
	return f, framePrefix + n
}

// head is what is known of a head file.
type head struct {
	first uint64 // number of its first line
	size  int64  // bytes up to the end of its last whole frame
	lines int
}

// readHead calls f for each whole frame of a head file, and says where the last one ends. A file that is not there is empty.
func readHead(dir string, limit int64, f func(frame)) (size int64, err error) {
	b, err := os.ReadFile(filepath.Join(dir, headFile))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the head of a log: %w", err)
	}
	if limit >= 0 && int64(len(b)) > limit {
		b = b[:limit]
	}
	for {
		fr, n := cutFrame(b[size:])
		if n == 0 {
			return size, nil
		}
		size += int64(n)
		f(fr)
	}
}

// writeHead puts a new head in the place of the old one. It is on the disk when it returns.
func writeHead(dir string, b []byte) error {
	path := filepath.Join(dir, headFile)
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// appendHead writes behind the last whole frame. It survives the daemon, not the machine.
func appendHead(dir string, at int64, b []byte) error {
	f, err := os.OpenFile(filepath.Join(dir, headFile), os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, at)
	return errors.Join(err, f.Close())
}
