// Package drain sends apps' logs to receivers of their owners: over HTTP as JSON lines or by Loki's push API, over TCP or TLS
// as syslog.
//
// A drain has no buffer of its own: it reads the app's log behind a cursor, which it moves when the receiver has taken
// what was sent. So an outage, of the receiver or of the daemon, costs nothing until the log's own bounds pass the cursor; then
// a gap says how much. What was sent and not acknowledged is sent again: a receiver may see lines twice, in order.
package drain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"paas/platform"
	"paas/runtime/logbook"
)

const (
	batchLines  = 1000
	batchBytes  = 1 << 20 // of texts
	gather      = 200 * time.Millisecond
	sendTimeout = 30 * time.Second
	firstRetry  = time.Second
	lastRetry   = 5 * time.Minute
	// refusals is how often a receiver may refuse lines for what they are before they are left out.
	refusals = 5
)

// Options is what New needs. Book must be set.
type Options struct {
	Book  *logbook.Book
	Log   *slog.Logger  // nil: discard
	Retry time.Duration // between the first attempts; 0: a second
}

// Drains implements platform.Drainer.
type Drains struct {
	options Options
	log     *slog.Logger
	life    context.Context
	end     context.CancelFunc
	work    sync.WaitGroup

	mu   sync.Mutex
	open map[int64]*drain
}

// New makes drains; there are none yet.
func New(o Options) *Drains {
	d := &Drains{options: o, log: cmp.Or(o.Log, slog.New(slog.DiscardHandler)), open: map[int64]*drain{}}
	d.options.Retry = cmp.Or(o.Retry, firstRetry)
	d.life, d.end = context.WithCancel(context.Background())
	return d
}

// Shutdown ends sending, and waits for that. Cursors stay.
func (d *Drains) Shutdown() {
	d.end()
	d.work.Wait()
}

// drain is one that is open.
type drain struct {
	platform.LogDrain
	drains *Drains
	sender sender
	cursor uint64
	refuse int // how often in a row the receiver refused the lines that are next
	cancel context.CancelFunc
	gone   chan struct{}

	mu     sync.Mutex
	status platform.DrainStatus
}

// sender speaks to a receiver. send blocks until the receiver has taken the lines, or ctx ends.
type sender interface {
	send(ctx context.Context, app platform.AppName, list []platform.LogEntry) error
	close()
}

// errRefused is wrapped by errors of lines that the receiver will never take.
var errRefused = errors.New("it refuses the lines")

// Open implements platform.Drainer.
func (d *Drains) Open(spec platform.LogDrain) error {
	s, err := newSender(spec)
	if err != nil {
		return err
	}
	d.Pause(spec.ID)
	r := &drain{LogDrain: spec, drains: d, sender: s, gone: make(chan struct{})}
	if err := r.begin(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(d.life)
	r.cancel = cancel
	d.mu.Lock()
	d.open[spec.ID] = r
	d.mu.Unlock()
	d.work.Go(func() {
		defer close(r.gone)
		defer s.close()
		r.run(ctx)
	})
	return nil
}

// begin finds the place to go on from.
func (r *drain) begin() error {
	book := r.drains.options.Book
	cursor, ok, err := book.Cursor(r.App, r.name())
	if err != nil {
		return fmt.Errorf("open a drain of %s: %w", r.App, err)
	}
	if !ok {
		next, err := book.Next(r.App)
		if err != nil {
			return fmt.Errorf("open a drain of %s: %w", r.App, err)
		}
		cursor = next - 1
		if err := book.KeepCursor(r.App, r.name(), cursor); err != nil {
			return err
		}
	}
	r.cursor = cursor
	return nil
}

func (r *drain) name() string { return strconv.FormatInt(r.ID, 10) }

// Pause implements platform.Drainer.
func (d *Drains) Pause(id int64) {
	d.mu.Lock()
	r := d.open[id]
	delete(d.open, id)
	d.mu.Unlock()
	if r != nil {
		r.cancel()
		<-r.gone
	}
}

// Close implements platform.Drainer.
func (d *Drains) Close(app platform.AppName, id int64) {
	d.Pause(id)
	if err := d.options.Book.DropCursor(app, strconv.FormatInt(id, 10)); err != nil {
		d.log.Error("forget a drain", "app", app, "err", err)
	}
}

// Status implements platform.Drainer.
func (d *Drains) Status(id int64) platform.DrainStatus {
	d.mu.Lock()
	r := d.open[id]
	d.mu.Unlock()
	if r == nil {
		return platform.DrainStatus{}
	}
	next, err := d.options.Book.Next(r.App)
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.status
	if err == nil && next > r.cursor {
		s.Behind = next - 1 - r.cursor
	}
	return s
}

// run sends until ctx ends or the app's log is gone.
func (r *drain) run(ctx context.Context) {
	wait := r.drains.options.Retry
	for ctx.Err() == nil {
		more, err := r.step(ctx)
		switch {
		case platform.KindOf(err) == platform.NotFound:
			return
		case err != nil && ctx.Err() == nil:
			r.failed(err, wait)
			pause(ctx, wait+rand.N(wait/2+1))
			wait = min(2*wait, lastRetry)
		case !more:
			r.await(ctx)
		default:
			wait = r.drains.options.Retry
		}
	}
}

// await returns when there is something new, and a moment later, so that more comes with it.
func (r *drain) await(ctx context.Context) {
	news, err := r.drains.options.Book.News(r.App)
	if err != nil {
		return
	}
	if next, err := r.drains.options.Book.Next(r.App); err != nil || next-1 > r.cursor {
		return
	}
	select {
	case <-news:
		pause(ctx, gather)
	case <-ctx.Done():
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// step sends the next lines; more is false if there are none.
func (r *drain) step(ctx context.Context) (more bool, err error) {
	list, missed, err := r.drains.options.Book.After(r.App, r.cursor, batchLines)
	if err != nil || len(list) == 0 {
		return false, err
	}
	list = bounded(list)
	last, lines := list[len(list)-1].Number, len(list)
	if missed > 0 {
		list = append([]platform.LogEntry{logbook.Gap(missed, list[0].At)}, list...)
	}
	sending, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	err = r.sender.send(sending, r.App, list)
	if errors.Is(err, errRefused) {
		if r.refuse++; r.refuse >= refusals {
			r.drains.log.Warn("a receiver refuses lines; they are left out", "app", r.App, "drain", r.ID, "lines", lines, "err", err)
			return true, r.advance(last, 0, missed+uint64(lines))
		}
	}
	if err != nil {
		return true, err
	}
	return true, r.advance(last, uint64(lines), missed)
}

// bounded is as much of the list as is sent at once.
func bounded(list []platform.LogEntry) []platform.LogEntry {
	size := 0
	for i, e := range list {
		if size += len(e.Text); size > batchBytes && i > 0 {
			return list[:i]
		}
	}
	return list
}

func (r *drain) advance(cursor, sent, missed uint64) error {
	r.refuse = 0
	r.mu.Lock()
	r.cursor = cursor
	r.status.Sent += sent
	r.status.Missed += missed
	r.status.Failure, r.status.Retry = "", time.Time{}
	r.mu.Unlock()
	return r.drains.options.Book.KeepCursor(r.App, r.name(), cursor)
}

func (r *drain) failed(err error, wait time.Duration) {
	r.mu.Lock()
	first := r.status.Failure == ""
	r.status.Failure, r.status.Retry = reason(err), time.Now().Add(wait)
	r.mu.Unlock()
	if first {
		r.drains.log.Warn("a drain fails", "app", r.App, "drain", r.ID, "err", reason(err))
	}
}
