package router

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"paas/router/http1"
	"paas/router/wire"
)

const (
	smallBody          = 16 << 10    // bytes of a request's body that is sent along with its head, and may be sent again
	continueWait       = time.Second // for an instance to say 100 or no before it gets the body all the same
	maxInterim         = 32          // answers before the answer
	bufferSize         = 32 << 10    // bytes
	switchingProtocols = 101
)

// readSmall takes a small body whole, before an instance is bothered.
func (f *flight) readSmall() *fault {
	if f.req.Length <= 0 || f.req.Length > smallBody || f.req.Continue {
		return nil
	}
	f.small = f.r.takeBuffer()
	f.body = (*f.small)[:f.req.Length]
	if _, err := io.ReadFull(f.x, f.body); err != nil {
		return bodyFault(err)
	}
	return nil
}

func bodyFault(err error) *fault {
	if errors.Is(err, wire.ErrBody) {
		return badBody()
	}
	return clientGone()
}

// send writes the request, and begins the upload of a body that is not small.
func (f *flight) send() error {
	f.out = f.appendHead(f.out[:0])
	f.out = append(f.out, f.body...)
	f.whole = f.req.Length == 0 || len(f.body) > 0
	if f.whole {
		return f.askWhole()
	}
	if _, err := f.c.Write(f.out); err != nil {
		return errors.Join(errBroken, err)
	}
	if !f.req.Continue {
		f.beginUpload()
	}
	return nil
}

// askWhole writes the request and waits for the first bytes of the answer in one go.
func (f *flight) askWhole() error {
	f.c.armGlance(f.sent)
	if err := f.c.in.Ask(f.out); err != nil && !isTimeout(err) {
		return errors.Join(errBroken, err)
	}
	return nil
}

// errOdd is an answer that is none.
var errOdd = errors.New("the instance gave no valid answer")

// await reads the answer's head, and passes on those before it.
func (f *flight) await() error {
	c := f.c
	c.armGlance(f.sent)
	c.answer.MaxHead = f.r.intake.Load().MaxAnswerHead
	head := string(f.req.Method) == "HEAD"
	for range maxInterim {
		err := http1.ReadAnswer(c.in, &c.answer, head)
		for isTimeout(err) {
			if err = f.waitOn(); err == nil {
				err = http1.ReadAnswer(c.in, &c.answer, head)
			}
		}
		if err != nil {
			return f.unanswered(err)
		}
		if c.answer.Status >= 200 {
			return nil
		}
		if c.answer.Status == switchingProtocols {
			return f.switched()
		}
		f.interim()
		c.in.Release()
	}
	return errOdd
}

// unanswered says what a missing answer comes from.
func (f *flight) unanswered(err error) error {
	silent := f.c.in.Buffered() == 0 && !f.interims
	switch {
	case f.gone != nil && f.gone.struck.Load():
		return errClient
	case f.upload != nil && f.upload.done.Load() && f.upload.fault() != nil:
		return f.upload.fault()
	case errors.Is(err, errSilent):
		return err
	case silent && (errors.Is(err, io.EOF) || isNet(err)):
		return errors.Join(errBroken, err)
	}
	return errors.Join(errOdd, err)
}

func isNet(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) || errors.Is(err, net.ErrClosed)
}

// switched accepts a protocol only if it was asked for.
func (f *flight) switched() error {
	if f.req.Protocol == nil || !http1.Is(f.c.answer.Upgrade, "websocket") {
		return errors.Join(errOdd, errors.New("it switched protocols unasked"))
	}
	return nil
}

// interim passes on an answer before the answer. 100 is for us: it lets the body go.
func (f *flight) interim() {
	f.interims = true
	if f.c.answer.Status == 100 {
		if !f.whole && f.upload == nil {
			f.beginUpload()
		}
		return
	}
	_ = f.x.Interim(f.c.answer.Status, f.c.answer.Fields) // a client that is gone shows later
}

// waitOn is called when an answer did not come at once: it has somebody look after the client and waits on, as
// long as the app may take.
func (f *flight) waitOn() error {
	now := f.r.now()
	until := f.sent.Add(orDefault(f.info.Traffic.FirstByte, defaultFirstByte))
	switch u := f.upload; {
	case u == nil && !f.whole: // it waits for a word on the body
		if !now.Before(f.sent.Add(continueWait)) {
			f.beginUpload()
		} else {
			until = f.sent.Add(continueWait)
		}
	case u != nil && !u.done.Load():
		until = time.Unix(0, u.moved.Load()).Add(until.Sub(f.sent))
	default:
		f.watchClient()
	}
	if !now.Before(until) {
		return errSilent
	}
	f.c.arm(until)
	return nil
}

// watch closes the connection to the instance when the client goes away.
type watch struct {
	stop   chan struct{}
	ended  chan struct{}
	struck atomic.Bool
}

// watchClient begins to watch, if nobody does.
func (f *flight) watchClient() {
	if f.gone != nil {
		return
	}
	w := &watch{stop: make(chan struct{}), ended: make(chan struct{})}
	f.gone = w
	go func(gone <-chan struct{}, c *conn) {
		defer close(w.ended)
		select {
		case <-gone:
			w.struck.Store(true)
			_ = c.SetReadDeadline(time.Unix(1, 0)) // reads end
			_ = c.Close()
		case <-w.stop:
		}
	}(f.x.Gone(), f.c)
}

// unwatch ends the watch; false when it has struck.
func (f *flight) unwatch() bool {
	w := f.gone
	if w == nil {
		return true
	}
	close(w.stop)
	<-w.ended
	f.gone = nil
	return !w.struck.Load()
}
