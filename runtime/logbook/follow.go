package logbook

import (
	"context"
	"errors"
	"os"
	"slices"

	"paas/platform"
)

// followLines is how many lines are read at a time for a follower or a drain.
const followLines = 4096

// follow yields what comes from a number on. It ends without an error when the Book closes.
func (b *Book) follow(ctx context.Context, q platform.LogFilter, f *filter, next uint64, yield func(platform.LogEntry) error) error {
	for {
		news, err := b.News(q.App)
		if errors.Is(err, errGone) {
			return nil
		}
		if err != nil {
			return err
		}
		list, missed, err := b.after(q.App, next-1, followLines)
		if err != nil {
			return err
		}
		if missed > 0 {
			if err := yield(gapLine(missed, b.now().UnixMicro(), origin{}).entry()); err != nil {
				return err
			}
		}
		if len(list) > 0 {
			next = list[len(list)-1].number + 1
			if err := yieldWanted(list, f, yield); err != nil {
				return err
			}
			continue
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		case <-b.life.Done():
			return nil
		}
	}
}

func yieldWanted(list []line, f *filter, yield func(platform.LogEntry) error) error {
	out := &order{yield: yield}
	for i := range list {
		if f.line(&list[i], f.who(list[i].origin)) {
			out.pending = append(out.pending, list[i])
		}
	}
	return out.flush(0)
}

// News gives a channel that is closed when an app has more lines than now, or none any more.
func (b *Book) News(app platform.AppName) (news <-chan struct{}, err error) {
	err = b.locked(app, func(s *shelf) error {
		news = s.wait()
		return nil
	})
	return news, err
}

// After gives the lines that come after a number, in the order in which they were kept, at most so many. missed is how many
// lines between the number and the first of them are not kept any more.
func (b *Book) After(app platform.AppName, number uint64, most int) (list []platform.LogEntry, missed uint64, err error) {
	lines, missed, err := b.after(app, number, most)
	for _, l := range lines {
		list = append(list, l.entry())
	}
	return list, missed, err
}

// Next is the number that an app's next line will have.
func (b *Book) Next(app platform.AppName) (next uint64, err error) {
	err = b.locked(app, func(s *shelf) error {
		next = s.next
		return nil
	})
	return next, err
}

func (b *Book) after(app platform.AppName, number uint64, most int) (list []line, missed uint64, err error) {
	var snap snapshot
	var inHead bool
	err = b.locked(app, func(s *shelf) (err error) {
		if number+1 >= s.next {
			snap.next = s.next
			return nil
		}
		snap, err = s.snapshot()
		inHead = number+1 >= s.head.first
		return err
	})
	if err != nil || number+1 >= snap.next {
		return nil, 0, err
	}
	if !inHead {
		if list, err = snap.afterInSegments(number, most); err != nil {
			return nil, 0, err
		}
	}
	if len(list) == 0 {
		i, _ := slices.BinarySearchFunc(snap.head, number+1, func(l line, n uint64) int { return int(int64(l.number) - int64(n)) })
		list = snap.head[i:min(i+most, len(snap.head))]
	}
	if len(list) > 0 {
		missed = list[0].number - number - 1
	}
	return list, missed, nil
}

// afterInSegments reads whole blocks until there are lines.
func (s *snapshot) afterInSegments(number uint64, most int) (list []line, err error) {
	for i, g := range s.segments {
		if i+1 < len(s.segments) && s.segments[i+1].first <= number+1 {
			continue
		}
		if list, err = s.afterInSegment(g, number, most); err != nil || len(list) > 0 {
			return list, err
		}
	}
	return nil, nil
}

func (s *snapshot) afterInSegment(g segment, number uint64, most int) (list []line, err error) {
	file, err := os.Open(g.path(s.dir))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	err = eachBlock(file, g.size, func(info blockInfo) bool {
		if info.behind() <= number+1 {
			return true
		}
		raw, bad := s.codec.readPayload(file, &info, &workRoom{})
		if bad == nil {
			bad = info.each(raw, func(l *line) {
				if l.number > number && len(list) < most {
					list = append(list, *l)
				}
			})
		}
		return bad != nil || len(list) == 0 // what is damaged is missed
	})
	return list, err
}
