package logbook

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"

	"paas/platform"
)

const (
	slack       = 2_000_000 // microseconds: lines come that late, those of the router most of all
	mostPending = 8 << 20   // bytes of lines that wait for those before them
	window      = 16        // blocks that are read together
)

// snapshot is a log at one moment.
type snapshot struct {
	dir      string
	codec    *codec
	segments []segment
	head     []line
	next     uint64 // number of the line that comes after it
	oldest   uint64
}

// snapshot copies what a reader needs. The caller holds mu and has loaded.
func (s *shelf) snapshot() (snapshot, error) {
	lines, err := s.headLines()
	return snapshot{s.dir, s.codec, slices.Clone(s.segments), lines, s.next, s.oldest()}, err
}

// piece is a block with lines that are wanted.
type piece struct {
	segment segment
	info    blockInfo
	matches int
}

// Read implements platform.Logbook.
func (b *Book) Read(ctx context.Context, q platform.LogFilter, yield func(platform.LogEntry) error) error {
	if err := b.Collect(q.App); err != nil { // what was written before it was asked for is there; without, a moment later
		b.log.Error("collect a log", "app", q.App, "err", err)
	}
	var snap snapshot
	var f *filter
	err := b.locked(q.App, func(s *shelf) (err error) {
		f = newFilter(q, s.earliest(b.now()))
		snap, err = s.snapshot()
		return err
	})
	if err == nil && q.Last != 0 {
		err = snap.print(ctx, f, q.Last, yield)
	}
	if err == nil && q.Follow {
		err = b.follow(ctx, q, f, snap.next, yield)
	}
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// print yields the last lines that are wanted, in order of time.
func (s *snapshot) print(ctx context.Context, f *filter, last int, yield func(platform.LogEntry) error) error {
	var head []line
	for i := range s.head {
		if f.line(&s.head[i], f.who(s.head[i].origin)) {
			head = append(head, s.head[i])
		}
	}
	pieces, total, err := s.find(ctx, f, last, len(head))
	if err != nil {
		return err
	}
	out := &order{yield: yield}
	if last >= 0 {
		out.skip = max(total-last, 0)
	}
	if err := s.emit(ctx, f, pieces, out); err != nil {
		return err
	}
	if err := out.add(head); err != nil {
		return err
	}
	return out.flush(0)
}

// find lists the blocks that must be read for the last lines, in order, with how many lines are wanted of them and of the
// head together. For all lines nothing is counted.
func (s *snapshot) find(ctx context.Context, f *filter, last, total int) (pieces []piece, _ int, err error) {
	for i := len(s.segments) - 1; i >= 0 && (last < 0 || total < last); i-- {
		list, err := s.blocks(s.segments[i], f)
		if err != nil {
			return nil, 0, err
		}
		if last >= 0 {
			n := 0
			if list, n, err = s.count(ctx, f, list, last-total); err != nil {
				return nil, 0, err
			}
			total += n
		}
		pieces = append(list, pieces...)
	}
	return pieces, total, ctx.Err()
}

// blocks lists a segment's blocks that may have what is wanted.
func (s *snapshot) blocks(g segment, f *filter) (list []piece, err error) {
	file, err := os.Open(g.path(s.dir))
	if errors.Is(err, os.ErrNotExist) { // it was too old
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read a log: %w", err)
	}
	defer func() { _ = file.Close() }()
	err = eachBlock(file, g.size, func(info blockInfo) bool {
		if f.wants(&info) {
			info.bloom = nil // it is the buffer's
			list = append(list, piece{segment: g, info: info})
		}
		return true
	})
	return list, err
}

// count keeps those of the blocks that have something, from the end until there are enough lines.
func (s *snapshot) count(ctx context.Context, f *filter, list []piece, enough int) (kept []piece, total int, err error) {
	for end := len(list); end > 0 && total < enough; end = max(end-window, 0) {
		part := list[max(end-window, 0):end]
		err := s.work(ctx, f, part, func(i int, p *piece, raw []byte) error {
			return f.each(&p.info, raw, func(*line) { part[i].matches++ })
		})
		if err != nil {
			return nil, 0, err
		}
		for i := len(part) - 1; i >= 0 && total < enough; i-- {
			if part[i].matches > 0 {
				kept = append(kept, part[i])
				total += part[i].matches
			}
		}
	}
	slices.Reverse(kept)
	return kept, total, ctx.Err()
}

// work gives each piece with its lines to do, several at a time. Damaged blocks are passed over.
func (s *snapshot) work(ctx context.Context, f *filter, list []piece, do func(i int, p *piece, raw []byte) error) error {
	var group sync.WaitGroup
	var mu sync.Mutex
	var first error
	next := 0
	for range min(runtime.GOMAXPROCS(0), len(list)) {
		group.Go(func() {
			room := &workRoom{}
			for ctx.Err() == nil {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= len(list) {
					return
				}
				if err := s.open(&list[i], room, func(raw []byte) error { return do(i, &list[i], raw) }); err != nil {
					mu.Lock()
					first = err
					mu.Unlock()
					return
				}
			}
		})
	}
	group.Wait()
	if first == nil {
		first = ctx.Err()
	}
	return first
}

// open reads a piece. One that is not there any more, or damaged, has no lines.
func (s *snapshot) open(p *piece, room *workRoom, do func(raw []byte) error) error {
	file, err := os.Open(p.segment.path(s.dir))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read a log: %w", err)
	}
	defer func() { _ = file.Close() }()
	raw, err := s.codec.readPayload(file, &p.info, room)
	if err == nil {
		err = do(raw)
	}
	if errors.Is(err, errDamaged) {
		return nil
	}
	return err
}

// emit hands over the wanted lines of the pieces.
func (s *snapshot) emit(ctx context.Context, f *filter, list []piece, out *order) error {
	for len(list) > 0 {
		part := list[:min(window, len(list))]
		list = list[len(part):]
		found := make([][]line, len(part))
		err := s.work(ctx, f, part, func(i int, p *piece, raw []byte) error {
			var texts []byte
			return f.each(&p.info, raw, func(l *line) {
				if texts == nil {
					texts = make([]byte, 0, len(raw))
				}
				n := len(texts)
				texts = append(texts, l.text...)
				kept := *l
				kept.text = texts[n:len(texts):len(texts)]
				found[i] = append(found[i], kept)
			})
		})
		if err != nil {
			return err
		}
		for _, lines := range found {
			if err := errors.Join(out.add(lines), ctx.Err()); err != nil {
				return err
			}
		}
	}
	return nil
}

// order puts lines that come almost in order of time into it.
type order struct {
	yield   func(platform.LogEntry) error
	skip    int // so many of the first are left out
	pending []line
	bytes   int
	due     int // so many lines must wait until it is worth the while to sort them
}

func (o *order) add(lines []line) error {
	for _, l := range lines {
		o.bytes += len(l.text) + 64
	}
	o.pending = append(o.pending, lines...)
	if len(o.pending) < o.due {
		return nil
	}
	keep := int64(slack)
	if o.bytes > mostPending {
		keep = slack / 10
	}
	err := o.flush(keep)
	o.due = 2 * len(o.pending)
	return err
}

// flush yields lines that are older than the latest one by more than keep microseconds.
func (o *order) flush(keep int64) error {
	slices.SortStableFunc(o.pending, func(a, b line) int { return int(min(max(a.at-b.at, -1), 1)) })
	n := len(o.pending)
	for keep > 0 && n > 0 && o.pending[n-1].at > o.pending[len(o.pending)-1].at-keep {
		n--
	}
	ready := o.pending[:n]
	o.pending = slices.Clone(o.pending[n:])
	for _, l := range ready {
		o.bytes -= len(l.text) + 64
		if o.skip > 0 {
			o.skip--
			continue
		}
		if err := o.yield(l.entry()); err != nil {
			return err
		}
	}
	return nil
}
