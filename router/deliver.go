package router

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"paas/router/wire"
)

const (
	// spliceFrom is the size from which the kernel moves a body between two TCP connections by itself; below that
	// setting up the pipe costs more than copying.
	spliceFrom  = 64 << 10  // bytes
	splicePiece = 512 << 10 // bytes
	// headHold is how long the head of an answer whose size is known waits for a first piece of its body, so that
	// both leave at once: some servers write them one after the other.
	headHold = 5 * time.Millisecond
)

// deliver passes the answer on as it comes.
func (f *flight) deliver() {
	a := &f.c.answer
	f.first = f.r.since(f.start)
	f.status, f.headers = a.Status, true
	if err := f.x.Head(a.Status, f.answerFields(a.Fields), a.Length); err != nil {
		f.cut = errors.Join(errClient, err)
		return
	}
	events := a.Length < 0 && hasPrefix(valueOf(a.Fields, "content-type"), "text/event-stream") // the body overwrites it
	f.c.body.Start(f.c.in, a.Framing, a.Length)
	if err := f.copyBody(); err != nil {
		if !events || !f.partWithEvents(err) {
			f.breakOff(err)
		}
		return
	}
	f.clean = f.c.body.Done() && !a.Close
	trailers := f.c.body.Trailer()
	if len(trailers) == 0 {
		f.settle()
	}
	if err := f.x.End(trailers); err != nil {
		f.cut = errors.Join(errClient, err)
	}
}

// settle lets the instance go as soon as its answer was read, before the client has it: then neither is the
// instance found busy, nor its connection, by whom that client asks to do next.
func (f *flight) settle() {
	if !f.clean || !f.whole || f.upload != nil || f.gone != nil || f.c.cut.Load() || f.c.in.Buffered() > 0 {
		return
	}
	now := f.start.Add(f.first)
	if f.bytes > bufferSize {
		now = f.r.now()
	}
	f.b.pool.put(f.c, now)
	f.b.release()
	f.c, f.settled = nil, true
}

// partWithEvents ends a stream of events whose drain is over as if it were complete, and tells whether that is why it
// ended: its client drops an event that is not whole (HTML standard, "Interpreting an event stream") and comes back. No
// other body may end so: its client could not tell that something is missing.
func (f *flight) partWithEvents(err error) bool {
	if !f.c.cut.Load() || errors.Is(err, errClient) {
		return false
	}
	f.cut = errors.Join(err, f.x.End(nil))
	return true
}

// breakOff ends an answer so that the client notices.
func (f *flight) breakOff(err error) {
	f.cut = err
	f.x.Abort()
}

// answerFields are those of the instance and ours.
func (f *flight) answerFields(fields []field) []field {
	// EDGES ANSWER: the app's rules (package edge) change the answer's head here.
	if policy := f.hsts(); policy != "" {
		fields = f.harden(fields, policy)
	}
	if f.b.route.sticks() && !f.cookied {
		f.fields = append(append(f.fields[:0], fields...), field{Name: setCookie, Value: f.stickyValue()})
		fields = f.fields
	}
	return f.advertise(fields)
}

var setCookie = []byte("Set-Cookie")

func (f *flight) copyBody() error {
	body := &f.c.body
	if body.Ended() {
		return nil
	}
	if err := f.passBuffered(); err != nil || body.Ended() {
		return err
	}
	if s, ok := f.x.(wire.Splicer); ok && f.req.TLS == nil && body.Left() >= spliceFrom {
		return f.splice(s)
	}
	switch {
	case body.Ready():
	case body.Left() > 0 && f.bytes == 0:
		f.c.arm(f.r.now().Add(headHold))
	default:
		if err := f.flush(); err != nil {
			return err
		}
	}
	return f.copyRest()
}

// passBuffered writes what of a body of known size came with the head.
func (f *flight) passBuffered() error {
	left := f.c.body.Left()
	n := min(int64(f.c.in.Buffered()), left)
	if n <= 0 {
		return nil
	}
	if _, err := f.x.Write(f.c.in.Peek()[:n]); err != nil {
		return errors.Join(errClient, err)
	}
	f.c.in.Skip(int(n))
	f.c.body.Past(n)
	f.bytes += n
	return nil
}

// copyRest copies a body to its end. What has come is passed on before the next read can block.
func (f *flight) copyRest() error {
	buf := f.r.takeBuffer()
	defer func() { f.r.putBuffer(buf) }()
	for {
		n, err := f.c.body.Read(*buf)
		if n > 0 {
			f.bytes += int64(n)
			f.noteMove()
			if _, err := f.x.Write((*buf)[:n]); err != nil {
				return errors.Join(errClient, err)
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case isTimeout(err):
			if err = f.stall(); err == nil && f.c.in.Buffered() == 0 {
				buf = f.sleepOn(buf)
			}
		case err == nil && !f.c.body.Ended() && !f.c.body.Ready():
			err = f.flush()
		}
		if err != nil {
			return f.broke(err)
		}
	}
}

// sleepOn waits for more without holding memory: there may be thousands of event streams that are mostly silent. What
// it waits in vain for, the next read tells.
func (f *flight) sleepOn(buf *[]byte) *[]byte {
	f.c.in.Release()
	f.r.putBuffer(buf)
	_ = f.c.readable()
	return f.r.takeBuffer()
}

func (f *flight) flush() error {
	if err := f.x.Flush(); err != nil {
		return errors.Join(errClient, err)
	}
	return nil
}

// broke says why an answer ends in the middle.
func (f *flight) broke(err error) error {
	if f.gone != nil && f.gone.struck.Load() {
		return errClient
	}
	return fmt.Errorf("from the instance: %w", err)
}

// splice has the kernel move the rest, in pieces: each may take as long as the app may be silent.
func (f *flight) splice(s wire.Splicer) error {
	f.watchClient() // splicing notices a client that left only when there is something to write
	for f.c.body.Left() > 0 {
		f.c.arm(f.r.now().Add(orDefault(f.info.Traffic.Idle, defaultIdle)))
		want := min(f.c.body.Left(), splicePiece)
		n, err := s.Splice(f.c.TCPConn, want)
		f.c.body.Past(n)
		f.bytes += n
		if err == nil && n < want {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return f.broke(err)
		}
	}
	return nil
}

// noteMove takes the time of an answer's piece, of those that come slowly.
func (f *flight) noteMove() {
	if f.slow {
		f.moved = f.r.now()
	}
}

// stall is called when an answer's next piece does not come at once: the client gets what there is, somebody looks
// after it, and the instance may be silent as long as the app may be.
func (f *flight) stall() error {
	now := f.r.now()
	if !f.slow {
		f.slow, f.moved = true, now
	}
	until := f.moved.Add(orDefault(f.info.Traffic.Idle, defaultIdle))
	if !now.Before(until) {
		return errSilent
	}
	f.watchClient()
	f.c.arm(until)
	return f.flush()
}

// retryAfter is the field of an answer that is worth another try.
func retryAfter(d time.Duration) field {
	return field{Name: []byte("Retry-After"), Value: strconv.AppendInt(nil, int64(d/time.Second), 10)}
}
