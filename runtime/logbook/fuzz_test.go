package logbook

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"paas/platform"
	"paas/runtime/ring"
)

func someLines() []line {
	var list []line
	for n := range 50 {
		list = append(list, line{number: uint64(n + 1), at: int64(n), level: platform.LogLevel(n % 5), text: bytes.Repeat([]byte{byte(n)}, n), origin: origin{process: "web.1", release: n % 3}})
	}
	return append(list, gapLine(7, 60, origin{}))
}

// Whatever a disk makes of a segment, it is read to its end without harm.
func FuzzSegment(f *testing.F) {
	c := &codec{}
	b, err := c.encodeBlock(someLines())
	check(f, err)
	f.Add(b)
	f.Add(append(append(bytes.Clone(b), "garbage"...), b...))
	f.Add(b[:len(b)/2])
	f.Fuzz(func(t *testing.T, b []byte) {
		blocks := 0
		err := eachBlock(bytes.NewReader(b), int64(len(b)), func(info blockInfo) bool {
			if blocks++; info.offset < 0 || info.end() > int64(len(b)) || info.whole() <= 0 {
				t.Fatalf("%+v", info)
			}
			info.bloom.may([]uint32{1, 2, 3})
			raw, err := c.readPayload(bytes.NewReader(b), &info, &workRoom{})
			if err == nil {
				_ = info.each(raw, func(l *line) { _ = l.entry() })
			}
			return true
		})
		if err != nil || blocks > len(b)/blockHeader {
			t.Fatal(blocks, err)
		}
	})
}

// A log whose files are anything at all can be opened, read and written.
func FuzzHead(f *testing.F) {
	b := appendFrame(nil, frame{first: 1, positions: map[string]ring.Position{"1@a@web.1": {Sequence: 1, Offset: 2, Lines: 3}}, lines: someLines()})
	f.Add(b, b[:20])
	f.Add(appendFrame(b, frame{first: 52, lines: someLines()}), []byte("garbage"))
	f.Fuzz(func(t *testing.T, headBytes, segmentBytes []byte) {
		dir := filepath.Join(t.TempDir(), "hello")
		check(t, os.MkdirAll(dir, 0o700))
		check(t, os.WriteFile(filepath.Join(dir, headFile), headBytes, 0o600))
		check(t, os.WriteFile(segment{first: 1}.path(dir), segmentBytes, 0o600))
		s := &shelf{app: "hello", dir: dir, codec: &codec{}, grown: func() {}, bounds: platform.LogBounds{Age: time.Hour, Bytes: 1 << 20, Rate: 100}}
		s.mu.Lock()
		defer s.mu.Unlock()
		check(t, s.load())
		if s.next == 0 || s.next > 1<<62 {
			return // numbers that no log comes to
		}
		check(t, s.add(someLines(), nil))
		snap, err := s.snapshot()
		check(t, err)
		if n := len(snap.head); n < len(someLines()) {
			t.Fatalf("%d lines in the head", n)
		}
	})
}
