package logbook

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	segmentEnd    = ".seg"
	mostSegment   = 16 << 20 // bytes of a segment, from which on another one is begun
	leastSegment  = 256 << 10
	segmentShares = 8 // at most so large a part of what is kept of an app, in bytes and in time, goes at once
	headerGuess   = 8 << 10
)

// segment is a file of blocks.
type segment struct {
	first   uint64 // number of its first line
	size    int64
	begun   time.Time // when its first block was written, as far as this daemon knows
	changed time.Time // when its last block was
}

func (s segment) path(dir string) string {
	return filepath.Join(dir, fmt.Sprintf("%016x%s", s.first, segmentEnd))
}

// listSegments finds an app's, oldest first.
func listSegments(dir string) (list []segment, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), segmentEnd)
		first, err := strconv.ParseUint(name, 16, 64)
		info, err2 := e.Info()
		if ok && err == nil && err2 == nil && info.Mode().IsRegular() {
			list = append(list, segment{first: first, size: info.Size(), begun: info.ModTime(), changed: info.ModTime()})
		}
	}
	slices.SortFunc(list, func(a, b segment) int {
		if a.first < b.first {
			return -1
		}
		return 1
	})
	return list, nil
}

// eachBlock calls f for every block of a segment file's first size bytes, in order. What is damaged is passed over: it goes
// on with the next block that is whole. f returns false to end.
func eachBlock(file io.ReaderAt, size int64, f func(info blockInfo) bool) error {
	buffer := make([]byte, headerGuess)
	for at := int64(0); at+blockHeader <= size; {
		info, ok, err := readBlock(file, at, size, &buffer)
		if err != nil {
			return err
		}
		if !ok {
			if at, err = nextMagic(file, at+1, size); err != nil {
				return err
			}
			continue
		}
		if !f(info) {
			return nil
		}
		at = info.end()
	}
	return nil
}

// readBlock reads the header and index of the block at an offset. What it returns aliases the buffer until the next call,
// but for the origins.
func readBlock(file io.ReaderAt, at, size int64, buffer *[]byte) (info blockInfo, ok bool, err error) {
	n, err := file.ReadAt((*buffer)[:min(int64(len(*buffer)), size-at)], at)
	if err != nil && !errors.Is(err, io.EOF) {
		return info, false, err
	}
	_, index, ok := parseHeader((*buffer)[:n])
	if !ok {
		return info, false, nil
	}
	if blockHeader+index > n {
		if at+int64(blockHeader+index) > size {
			return info, false, nil
		}
		if len(*buffer) < blockHeader+index {
			*buffer = make([]byte, blockHeader+index)
		}
		if n, err = file.ReadAt((*buffer)[:blockHeader+index], at); err != nil && !errors.Is(err, io.EOF) {
			return info, false, err
		}
	}
	info, ok = parseBlock((*buffer)[:n])
	info.offset = at
	info.payload += at
	return info, ok && info.end() <= size, nil
}

// nextMagic finds where the next block may begin.
func nextMagic(file io.ReaderAt, at, size int64) (int64, error) {
	magic := binary.LittleEndian.AppendUint32(nil, blockMagic)
	buffer := make([]byte, 64<<10)
	for at < size {
		n, err := file.ReadAt(buffer[:min(int64(len(buffer)), size-at)], at)
		if err != nil && !errors.Is(err, io.EOF) || n == 0 {
			return size, err
		}
		if i := bytes.Index(buffer[:n], magic); i >= 0 {
			return at + int64(i), nil
		}
		at += int64(max(n-len(magic)+1, 1))
	}
	return size, nil
}

// readPayload reads and decompresses a block's lines into room, which may be reused.
func (c *codec) readPayload(file io.ReaderAt, info *blockInfo, room *workRoom) ([]byte, error) {
	if cap(room.payload) < info.size {
		room.payload = make([]byte, info.size+info.size/4)
	}
	payload := room.payload[:info.size]
	if _, err := file.ReadAt(payload, info.payload); err != nil {
		return nil, fmt.Errorf("read a block: %w", err)
	}
	raw, err := c.decompress(info, payload, room.raw)
	if err == nil {
		room.raw = raw
	}
	return raw, err
}

// workRoom is memory that is used for one block after the other.
type workRoom struct{ payload, raw []byte }

// mendSegment finds where the last segment's whole blocks end, as far as the head knows of their lines, and what
// number comes after them. behind 0: whatever there is.
func (c *codec) mendSegment(dir string, s segment, behind uint64) (size int64, next uint64, err error) {
	file, err := os.Open(s.path(dir))
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = file.Close() }()
	next = s.first
	var ends []blockInfo
	err = eachBlock(file, s.size, func(info blockInfo) bool {
		if behind > 0 && info.behind() > behind {
			return false
		}
		ends = append(ends, info)
		return true
	})
	for len(ends) > 0 { // the header may be on the disk and the payload not
		last := ends[len(ends)-1]
		if _, bad := c.readPayload(file, &last, &workRoom{}); bad == nil {
			return last.end(), last.behind(), err
		}
		ends = ends[:len(ends)-1]
	}
	return 0, next, err
}

// appendSegment writes blocks behind a segment's end. They are on the disk when it returns.
func appendSegment(path string, at int64, b []byte) error {
	f, err := os.OpenFile(filepath.Clean(path), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, at)
	if err == nil {
		err = f.Truncate(at + int64(len(b))) // what was torn
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
