package logbook

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"
	"time"

	"paas/platform"
	"paas/runtime/ring"
)

// shelf is one app's log.
type shelf struct {
	app   platform.AppName
	dir   string
	codec *codec
	grown func() // it has one more segment

	mu        sync.Mutex
	loaded    bool
	gone      bool // the app was forgotten or has another name
	moved     bool // another log came to its place: whoever wants it looks for that
	next      uint64
	head      head
	positions map[string]ring.Position
	segments  []segment
	limits    [limiters]limiter
	bounds    platform.LogBounds // in force
	dropped   uint64             // since the daemon started
	news      chan struct{}      // closed and replaced when there is more; nil while nobody waits
}

// load reads what is on the disk, once. The caller holds mu.
func (s *shelf) load() error {
	if s.loaded {
		return nil
	}
	if s.gone {
		return errGone
	}
	segments, err := listSegments(s.dir)
	if err != nil {
		return fmt.Errorf("open the log of %s: %w", s.app, err)
	}
	s.positions, s.head, s.next = map[string]ring.Position{}, head{}, 1
	frames := 0
	size, err := readHead(s.dir, -1, func(f frame) {
		if frames++; frames == 1 {
			s.head.first = f.first
		}
		s.take(f)
	})
	if err != nil {
		return err
	}
	s.head.size = size
	if s.segments, err = s.mend(segments, frames > 0); err != nil {
		return fmt.Errorf("open the log of %s: %w", s.app, err)
	}
	s.head.lines = int(s.next - min(s.head.first, s.next))
	s.loaded = true
	return nil
}

// take remembers what a frame of the head says.
func (s *shelf) take(f frame) {
	s.next = f.first + uint64(len(f.lines))
	for i, n := range f.dropped {
		s.limits[i].dropped = n
		if len(f.lines) > 0 {
			s.limits[i].last = f.lines[len(f.lines)-1].at
		}
		s.limits[i].origin.source = sourceNumber(limiterSource(i))
	}
	for name, p := range f.positions {
		s.positions[name] = p
	}
}

func limiterSource(i int) platform.LogSource {
	if i == routerLimiter {
		return platform.LogRouter
	}
	return platform.LogApp
}

// mend cuts off blocks that the head does not know of: a crash came before it could, and their lines are read again.
// Without a head the blocks are all there is.
func (s *shelf) mend(list []segment, known bool) ([]segment, error) {
	for len(list) > 0 {
		last := &list[len(list)-1]
		behind := uint64(0)
		if known {
			behind = s.next
		}
		size, next, err := s.codec.mendSegment(s.dir, *last, behind)
		if err != nil {
			return nil, err
		}
		if size > 0 {
			last.size = size
			s.next, s.head.first = max(s.next, next), max(s.head.first, next)
			return list, nil
		}
		if err := os.Remove(last.path(s.dir)); err != nil {
			return nil, err
		}
		list = list[:len(list)-1]
	}
	return list, nil
}

// add numbers lines and keeps them together with how far rings were read. The caller holds mu and has loaded. After an
// error nothing has changed.
func (s *shelf) add(lines []line, positions map[string]ring.Position) error {
	if s.gone {
		return errGone
	}
	for i := range lines {
		lines[i].number = s.next + uint64(i)
	}
	f := frame{first: s.next, positions: positions, lines: lines}
	for i := range s.limits {
		f.dropped[i] = s.limits[i].dropped
	}
	encoded := appendFrame(nil, f)
	var err error
	if s.head.size == 0 || s.head.size+int64(len(encoded)) > blockBytes {
		err = s.seal(f)
	} else if err = appendHead(s.dir, s.head.size, encoded); err == nil {
		s.head.size += int64(len(encoded))
		s.head.lines += len(lines)
	}
	if err != nil {
		return fmt.Errorf("write the log of %s: %w", s.app, err)
	}
	s.next += uint64(len(lines))
	for name, p := range positions {
		s.positions[name] = p
	}
	s.wake()
	return nil
}

func (s *shelf) wake() {
	if s.news != nil {
		close(s.news)
		s.news = nil
	}
}

// wait gives a channel that is closed when there is more. The caller holds mu.
func (s *shelf) wait() <-chan struct{} {
	if s.news == nil {
		s.news = make(chan struct{})
	}
	return s.news
}

// seal makes blocks of the head's lines and the new ones, and begins a new head with those that fill no block.
func (s *shelf) seal(f frame) error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	lines, err := s.headLines()
	if err != nil {
		return err
	}
	lines = append(lines, f.lines...)
	blocks, rest, err := s.codec.split(lines, blockBytes)
	if err == nil && len(blocks) == 0 && s.head.size > blockBytes/2 { // many small frames: no block is full, the head is
		blocks, rest, err = s.codec.split(lines, blockBytes/4)
	}
	if err != nil {
		return err
	}
	now := time.Now()
	list := s.segments
	if len(blocks) > 0 {
		if list, err = s.store(lines[0].number, blocks, now); err != nil {
			return err
		}
	}
	all := make(map[string]ring.Position, len(s.positions)+len(f.positions))
	for _, from := range []map[string]ring.Position{s.positions, f.positions} {
		for name, p := range from {
			all[name] = p
		}
	}
	fresh := frame{first: f.first + uint64(len(f.lines)-len(rest)), dropped: f.dropped, positions: all, lines: rest}
	if len(rest) > 0 {
		fresh.first = rest[0].number
	}
	encoded := appendFrame(nil, fresh)
	if err := writeHead(s.dir, encoded); err != nil {
		return err
	}
	s.head = head{first: fresh.first, size: int64(len(encoded)), lines: len(rest)}
	s.segments = list
	return nil
}

// headLines are the lines of the head that are in no block.
func (s *shelf) headLines() (lines []line, err error) {
	_, err = readHead(s.dir, s.head.size, func(f frame) {
		for _, l := range f.lines {
			if l.number >= s.head.first {
				lines = append(lines, l)
			}
		}
	})
	return lines, err
}

// split makes blocks of lines, full at so many bytes; rest are those that do not fill one.
func (c *codec) split(lines []line, full int) (blocks [][]byte, rest []line, err error) {
	from, size := 0, 0
	for i := range lines {
		if size += len(lines[i].text) + 8; size < full {
			continue
		}
		b, err := c.encodeBlock(lines[from : i+1])
		if err != nil {
			return nil, nil, err
		}
		blocks = append(blocks, b)
		from, size = i+1, 0
	}
	return blocks, lines[from:], nil
}

// store appends blocks to the newest segment, or begins another one with them.
func (s *shelf) store(first uint64, blocks [][]byte, now time.Time) ([]segment, error) {
	list := append([]segment(nil), s.segments...)
	if len(list) == 0 || s.full(list[len(list)-1], now) {
		list = append(list, segment{first: first, begun: now})
		s.grown()
	}
	last := &list[len(list)-1]
	var all []byte
	for _, b := range blocks {
		all = append(all, b...)
	}
	if err := appendSegment(last.path(s.dir), last.size, all); err != nil {
		return nil, err
	}
	last.size += int64(len(all))
	last.changed = now
	return list, nil
}

func (s *shelf) full(g segment, now time.Time) bool {
	size := min(max(s.bounds.Bytes/segmentShares, leastSegment), mostSegment)
	return g.size >= size || now.Sub(g.begun) >= s.bounds.Age/segmentShares
}

// bytes is what the log takes of the disk. The caller holds mu.
func (s *shelf) bytes() (n int64) {
	for _, g := range s.segments {
		n += g.size
	}
	return n + s.head.size
}

// oldest is the number of the first line that is there. The caller holds mu.
func (s *shelf) oldest() uint64 {
	if len(s.segments) > 0 {
		return s.segments[0].first
	}
	return s.head.first
}

// sweep removes segments that are too old or too much. The caller holds mu and has loaded.
func (s *shelf) sweep(now time.Time) (err error) {
	for len(s.segments) > 0 && err == nil {
		old := s.segments[0]
		if s.bytes() <= s.bounds.Bytes && now.Sub(old.changed) <= s.bounds.Age {
			return nil
		}
		err = s.dropOldest()
	}
	return err
}

func (s *shelf) dropOldest() error {
	err := os.Remove(s.segments[0].path(s.dir))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove old lines of %s: %w", s.app, err)
	}
	s.segments = s.segments[1:]
	return nil
}

// forgetRings drops positions of rings that are not there any more. The disk learns of it with the next head.
func (s *shelf) forgetRings(there map[string]bool) {
	for name := range s.positions {
		if !there[name] {
			delete(s.positions, name)
		}
	}
}

// settle makes the lines of a head that nobody adds to a block once they are too old, so that they go too. The caller
// holds mu and has loaded.
func (s *shelf) settle(now time.Time) error {
	if s.head.lines == 0 {
		return nil
	}
	info, err := os.Stat(filepath.Join(s.dir, headFile))
	if err != nil || now.Sub(info.ModTime()) <= s.bounds.Age {
		return ignoreMissing(err)
	}
	b := appendFrame(nil, frame{first: s.next, positions: s.positions})
	if err := writeHead(s.dir, b); err != nil {
		return err
	}
	s.head = head{first: s.next, size: int64(len(b))}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// earliest is when lines begin that are not too old, in microseconds.
func (s *shelf) earliest(now time.Time) int64 {
	if s.bounds.Age <= 0 {
		return math.MinInt64
	}
	return now.Add(-s.bounds.Age).UnixMicro()
}
