package router

import (
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"paas/router/wire"
)

// How long an instance that is asked in HTTP/2 may leave a request without a byte either way:
//
//	gRPC             a call is a conversation, in which either side may be silent for long: idle-timeout, all the time
//	everything else  proxy-read-timeout from the request's last byte to the answer's head, then idle-timeout
//
// A client that sends PINGs is there and wants its calls to stay, which is what gRPC's keepalive is for; it counts as
// the pings of a WebSocket do.

// quiet is the limit before or after the answer's head.
func (f *flight) quiet(begun bool) time.Duration {
	if begun || f.isGRPC() {
		return orDefault(f.info.Traffic.Idle, defaultIdle)
	}
	return orDefault(f.info.Traffic.FirstByte, defaultFirstByte)
}

// silence looks after an exchange over HTTP/2 until it ends: whether the client leaves, and whether nothing moves.
type silence struct {
	gone   chan struct{} // closed at the end
	ended  chan struct{} // closed when nobody looks any more
	quiet  time.Duration // until the answer begins
	limit  atomic.Int64  // from then on; 0: it has not
	moved  atomic.Int64  // unix nanoseconds
	struck atomic.Int32
}

// Why an exchange was ended.
const (
	clientLeft = iota + 1
	wentSilent
)

func (s *silence) touch() { s.moved.Store(time.Now().UnixNano()) }

func (s *silence) begin(limit time.Duration) {
	s.limit.Store(int64(limit))
	s.touch()
}

// longest is how long it may be silent now.
func (s *silence) longest() time.Duration {
	if d := s.limit.Load(); d > 0 {
		return time.Duration(d)
	}
	return s.quiet
}

// mostGlance is the longest time between two looks: a limit that has become shorter meanwhile is met to so much.
const mostGlance = 10 * time.Second

// watch ends the exchange when the client leaves or all were silent for too long.
func (a *farAnswer) watch(x wire.Exchange) {
	defer close(a.ended)
	pings := signsOf(x)
	timer := time.NewTimer(min(a.longest(), mostGlance))
	defer timer.Stop()
	for {
		select {
		case <-a.gone:
			return
		case <-x.Gone():
			a.strike(clientLeft)
			return
		case <-timer.C:
		}
		if now := signsOf(x); now != pings {
			pings = now
			a.touch()
		}
		left := a.longest() - time.Since(time.Unix(0, a.moved.Load()))
		if left <= 0 {
			a.strike(wentSilent)
			return
		}
		timer.Reset(min(left, mostGlance))
	}
}

func (a *farAnswer) strike(why int32) {
	a.struck.Store(why)
	a.cancel()
}

// signsOf counts what a client does to show that it is there.
func signsOf(x wire.Exchange) uint32 {
	if l, ok := x.(wire.Lively); ok {
		return l.Signs()
	}
	return 0
}

// why is what an answer ended with, if it was us.
func (a *farAnswer) why(err error) error {
	switch a.struck.Load() {
	case clientLeft:
		return errClient
	case wentSilent:
		return errSilent
	}
	return err
}

// statusUnavailable is gRPC's word for: try again.
const statusUnavailable = 14

// breakOffFar ends an answer too early. gRPC has a way to say so, which its clients understand; others see that
// something is missing.
func (f *flight) breakOffFar(err error) {
	if !f.isGRPC() || errors.Is(err, errClient) {
		f.breakOff(err)
		return
	}
	text := "the instance broke the stream off"
	if errors.Is(err, errSilent) {
		text = "nothing moved on the stream for " + f.quiet(true).String()
	}
	f.cut = errors.Join(err, f.x.End([]field{
		{Name: []byte("grpc-status"), Value: strconv.AppendInt(nil, statusUnavailable, 10)},
		{Name: []byte("grpc-message"), Value: []byte(text)},
	}))
}
