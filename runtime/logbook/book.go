package logbook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"paas/platform"
)

// What is kept unless it is set otherwise.
const (
	DefaultAge   = 7 * 24 * time.Hour
	DefaultBytes = 512 << 20
	DefaultRate  = 5000 // lines a second
	// DefaultBudget is of all apps' logs together: no more than so many bytes, nor a tenth of the disk.
	DefaultBudget = 20 << 30
	budgetShare   = 10

	sweepEvery = 10 * time.Minute
)

var errGone = platform.Errorf(platform.NotFound, "its log is gone: the app was destroyed or renamed")

// Options is what Open needs. Dir and Rings must be set.
type Options struct {
	Dir   string           // where logs are kept
	Rings string           // where the rings of instances are, a directory for each app
	Log   *slog.Logger     // nil: discard
	Now   func() time.Time // nil: the real clock
}

// Book implements platform.Logbook.
type Book struct {
	options Options
	log     *slog.Logger
	now     func() time.Time
	codec   *codec

	moves sync.Mutex // of logs to other names: one at a time locks two shelves

	mu       sync.Mutex
	shelves  map[platform.AppName]*shelf
	own      map[platform.AppName]platform.LogBounds
	defaults platform.LogBounds
	budget   int64

	watch *watcher
	look  chan struct{} // bounds have changed, or there is more on the disk than there was
	work  sync.WaitGroup
	life  context.Context
	end   context.CancelFunc
}

// Open opens the logs of a directory and begins to collect. What instances wrote while nobody collected is read first, in
// the background.
func Open(o Options) (*Book, error) {
	b := &Book{
		options: o, log: cmp.Or(o.Log, slog.New(slog.DiscardHandler)), now: o.Now, codec: &codec{},
		shelves: map[platform.AppName]*shelf{}, own: map[platform.AppName]platform.LogBounds{},
		look: make(chan struct{}, 1),
	}
	if b.now == nil {
		b.now = time.Now
	}
	b.life, b.end = context.WithCancel(context.Background())
	err := errors.Join(os.MkdirAll(o.Dir, 0o700), os.MkdirAll(o.Rings, 0o700))
	if err == nil {
		err = b.clearRest()
	}
	if err == nil {
		b.watch, err = openWatcher(o.Rings)
	}
	if err != nil {
		return nil, fmt.Errorf("open the logs: %w", err)
	}
	b.work.Go(b.watch.run)
	b.work.Go(b.collectAll)
	b.work.Go(b.keepBounds)
	return b, nil
}

// Close ends collecting, after what is there was collected. Followers end.
func (b *Book) Close() error {
	b.end()
	err := b.watch.close()
	b.work.Wait()
	return err
}

// shelf finds or makes an app's.
func (b *Book) shelf(app platform.AppName) (*shelf, error) {
	if app == "" || strings.ContainsAny(string(app), "/.") {
		return nil, platform.Errorf(platform.Usage, "%q is not an app name", app)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s, ok := b.shelves[app]
	if !ok {
		s = &shelf{app: app, dir: filepath.Join(b.options.Dir, string(app)), codec: b.codec, grown: b.kick, bounds: b.inForce(app)}
		b.shelves[app] = s
	}
	return s, nil
}

// locked gives an app's shelf to f, loaded.
func (b *Book) locked(app platform.AppName, f func(s *shelf) error) error {
	for {
		s, err := b.shelf(app)
		if err != nil {
			return err
		}
		if there, err := s.locked(f); there {
			return err
		}
	}
}

// locked gives the shelf to f, loaded. there is false if another log has come to its place.
func (s *shelf) locked(f func(s *shelf) error) (there bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.moved {
		return false, nil
	}
	if err := s.load(); err != nil {
		return true, err
	}
	return true, f(s)
}

// Append implements platform.Logbook.
func (b *Book) Append(app platform.AppName, list []platform.LogEntry) error {
	if len(list) == 0 {
		return nil
	}
	now := b.now()
	lines := make([]line, 0, len(list))
	for _, e := range list {
		if e.At.IsZero() {
			e.At = now
		}
		lines = append(lines, lineOf(e))
	}
	return b.locked(app, func(s *shelf) error { return s.add(lines, nil) })
}

func lineOf(e platform.LogEntry) line {
	return line{
		at: e.At.UnixMicro(), level: min(max(e.Level, 0), platform.LogFatal), gap: e.Gap, text: []byte(e.Text[:min(len(e.Text), MaxLine)]),
		origin: origin{source: sourceNumber(e.Source), stream: byte(max(slices.Index(streams(), e.Stream), 0)), release: e.Release, process: e.Process},
	}
}

// Usage implements platform.Logbook.
func (b *Book) Usage(app platform.AppName) (u platform.LogUsage, err error) {
	err = b.locked(app, func(s *shelf) error {
		u.Bytes, u.Lines, u.Dropped = s.bytes(), s.next-min(max(s.oldest(), 1), s.next), s.dropped
		return nil
	})
	if err != nil || u.Lines == 0 {
		return u, err
	}
	lines, _, err := b.After(app, 0, 1)
	if len(lines) > 0 {
		u.Oldest = lines[0].At
	}
	return u, err
}

// SetBounds implements platform.Logbook.
func (b *Book) SetBounds(app platform.AppName, bounds platform.LogBounds) {
	b.mu.Lock()
	b.own[app] = bounds
	s, bounds := b.shelves[app], b.inForce(app)
	b.mu.Unlock()
	if s != nil {
		s.mu.Lock()
		s.bounds = bounds
		s.mu.Unlock()
	}
	b.kick()
}

// SetDefaults implements platform.Logbook.
func (b *Book) SetDefaults(bounds platform.LogBounds, budget int64) {
	b.mu.Lock()
	b.defaults, b.budget = bounds, budget
	b.mu.Unlock()
	b.rebound()
}

func (b *Book) rebound() {
	for _, s := range b.all() {
		bounds := b.Bounds(s.app)
		s.mu.Lock()
		s.bounds = bounds
		s.mu.Unlock()
	}
	b.kick()
}

// Bounds implements platform.Logbook.
func (b *Book) Bounds(app platform.AppName) platform.LogBounds {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.inForce(app)
}

// inForce fills in defaults. The caller holds mu.
func (b *Book) inForce(app platform.AppName) platform.LogBounds {
	own := b.own[app]
	return platform.LogBounds{
		Age:   cmp.Or(own.Age, b.defaults.Age, DefaultAge),
		Bytes: cmp.Or(own.Bytes, b.defaults.Bytes, DefaultBytes),
		Rate:  cmp.Or(own.Rate, b.defaults.Rate, DefaultRate),
	}
}

func (b *Book) all() []*shelf {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]*shelf, 0, len(b.shelves))
	for _, s := range b.shelves {
		list = append(list, s)
	}
	return list
}

func (b *Book) kick() {
	select {
	case b.look <- struct{}{}:
	default: // it has not looked since the last time
	}
}

// keepBounds removes what is too old or too much until Close.
func (b *Book) keepBounds() {
	b.loadAll()
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := b.sweep(); err != nil {
			b.log.Error("remove old logs", "err", err)
		}
		select {
		case <-tick.C:
		case <-b.look:
		case <-b.life.Done():
			return
		}
	}
}

// loadAll makes the logs known of apps that nothing was written for.
func (b *Book) loadAll() {
	entries, err := os.ReadDir(b.options.Dir)
	if err != nil {
		b.log.Error("list the logs", "err", err)
	}
	for _, e := range entries {
		if b.life.Err() != nil {
			return
		}
		if strings.HasPrefix(e.Name(), goneDirs) {
			continue
		}
		if err := b.locked(platform.AppName(e.Name()), func(*shelf) error { return nil }); err != nil {
			b.log.Error("open a log", "app", e.Name(), "err", err)
		}
	}
}

func (b *Book) sweep() error {
	var errs []error
	now := b.now()
	for _, s := range b.all() {
		s.mu.Lock()
		if s.loaded && !s.gone {
			errs = append(errs, s.settle(now), s.sweep(now))
		}
		s.mu.Unlock()
	}
	return errors.Join(append(errs, b.fitBudget())...)
}

// Budget is how many bytes of the disk the logs of all apps may take.
func (b *Book) Budget() int64 {
	b.mu.Lock()
	set := b.budget
	b.mu.Unlock()
	if set > 0 {
		return set
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(b.options.Dir, &fs); err != nil {
		return DefaultBudget
	}
	return min(DefaultBudget, int64(fs.Blocks)*fs.Bsize/budgetShare)
}

// fitBudget removes the oldest lines of all apps until the rest fits.
func (b *Book) fitBudget() error {
	type old struct {
		shelf *shelf
		segment
	}
	var list []old
	var sum int64
	for _, s := range b.all() {
		s.mu.Lock()
		for _, g := range s.segments {
			list = append(list, old{s, g})
		}
		sum += s.bytes()
		s.mu.Unlock()
	}
	slices.SortFunc(list, func(a, b old) int { return a.changed.Compare(b.changed) })
	budget := b.Budget()
	for _, o := range list {
		if sum <= budget {
			break
		}
		o.shelf.mu.Lock()
		var err error
		if len(o.shelf.segments) > 0 && o.shelf.segments[0].first == o.first {
			err = o.shelf.dropOldest()
		}
		o.shelf.mu.Unlock()
		if err != nil {
			return err
		}
		sum -= o.size
	}
	return nil
}
