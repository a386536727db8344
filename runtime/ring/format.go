// Package ring keeps the newest lines of one container in two files of bounded size.
//
// A segment file is a header and records, little endian:
//
//	header  "paasrin2" | sequence uint64 | lines uint64
//	record  size uint32 of what follows | unix nanoseconds int64 | stream uint8 | text
//
// Records are appended to the segment with the higher sequence. When it is full the other one is
// truncated and begins anew with the next sequence, so at least one full segment is always kept. The lines of a
// header are those that came before the segment, so a reader knows how many it has missed; a header "paasring",
// of containers that an older version started, ends before them. One
// process writes; any number may read meanwhile without a lock: a reader that finds the sequence in the
// header unchanged after it read knows that what it read was not truncated under it.
package ring

import "encoding/binary"

// MaxLine is the longest text of one record in bytes; longer lines are cut into several records.
const MaxLine = 16 << 10

const (
	magic      = "paasrin2"
	headerSize = 24
	oldMagic   = "paasring"
	oldHeader  = 16
	prefixSize = 4 + 8 + 1
)

// The streams a record can come from.
const (
	Stdout = 1
	Stderr = 2
	// Platform is no stream of the container: the record is the daemon's own.
	Platform = 3
)

// Record is one line without its newline.
type Record struct {
	At     int64 // unix nanoseconds
	Stream byte  // Stdout, Stderr or Platform
	Text   []byte
}

func appendRecord(b []byte, r Record) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(8+1+len(r.Text)))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.At))
	b = append(b, r.Stream)
	return append(b, r.Text...)
}

// cutRecord takes the first record off b. Its size is 0 when b does not begin with a whole one.
func cutRecord(b []byte) (r Record, size int) {
	if len(b) < prefixSize {
		return Record{}, 0
	}
	n := int(binary.LittleEndian.Uint32(b))
	if n < 9 || n > 9+MaxLine || len(b) < 4+n {
		return Record{}, 0
	}
	r.At = int64(binary.LittleEndian.Uint64(b[4:]))
	r.Stream = b[12]
	r.Text = b[prefixSize : 4+n]
	return r, 4 + n
}

func header(sequence, lines uint64) []byte {
	b := binary.LittleEndian.AppendUint64([]byte(magic), sequence)
	return binary.LittleEndian.AppendUint64(b, lines)
}

// segment is what a header says. Its sequence is 0 for anything that is not a header.
type segment struct {
	sequence uint64
	lines    uint64 // before it
	counted  bool   // lines is known
	size     int64  // of the header
}

func parseHeader(b []byte) segment {
	switch {
	case len(b) >= headerSize && string(b[:len(magic)]) == magic:
		return segment{binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:]), true, headerSize}
	case len(b) >= oldHeader && string(b[:len(oldMagic)]) == oldMagic:
		return segment{sequence: binary.LittleEndian.Uint64(b[8:]), size: oldHeader}
	}
	return segment{}
}
