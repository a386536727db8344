package router

import (
	"errors"
	"io"
	"strconv"
	"sync/atomic"
	"time"

	"paas/router/wire"
)

// upload sends a request's body to the instance, beside the flight, which reads the answer: that may come before
// the body's end.
type upload struct {
	f     *flight
	c     *conn
	ended chan struct{}
	done  atomic.Bool  // it has ended
	moved atomic.Int64 // when it last got on, unix nanoseconds
	err   error        // after done
	most  int64        // bytes; 0: any
}

func (f *flight) beginUpload() {
	u := &upload{f: f, c: f.c, ended: make(chan struct{}), most: f.info.Traffic.MaxBody}
	u.moved.Store(time.Now().UnixNano())
	f.upload = u
	go u.run()
}

func (u *upload) run() {
	defer close(u.ended)
	buf := u.f.r.takeBuffer()
	defer u.f.r.putBuffer(buf)
	u.err = u.copy(*buf, u.f.req.Length < 0)
	u.done.Store(true)
	if u.fault() != nil {
		_ = u.c.Close() // what the instance has got must not look whole
	}
}

// What ends an upload.
var (
	errUpload = errors.New("the instance does not read the body")
	errTooBig = errors.New("the body is larger than the app takes")
)

// chunkRoom is kept before and after a piece of the body for its chunk's framing.
const chunkRoom = 16

func (u *upload) copy(buf []byte, chunked bool) error {
	sum := int64(0)
	for {
		n, err := u.f.x.Read(buf[chunkRoom : len(buf)-chunkRoom])
		if sum += int64(n); u.most > 0 && sum > u.most {
			return errTooBig
		}
		piece := buf[chunkRoom : chunkRoom+n]
		if chunked && n > 0 {
			piece = frameChunk(buf, n)
		}
		if n > 0 {
			if _, err := u.c.Write(piece); err != nil {
				return errors.Join(errUpload, err)
			}
			u.moved.Store(time.Now().UnixNano())
		}
		if err == io.EOF {
			return u.end(chunked)
		}
		if err != nil {
			return err
		}
	}
}

// frameChunk puts the size before the n bytes at chunkRoom, and a line's end behind them.
func frameChunk(buf []byte, n int) []byte {
	var size [chunkRoom]byte
	text := append(strconv.AppendInt(size[:0], int64(n), 16), "\r\n"...)
	start := chunkRoom - len(text)
	copy(buf[start:], text)
	copy(buf[chunkRoom+n:], "\r\n")
	return buf[start : chunkRoom+n+2]
}

// end writes the last chunk and the trailers.
func (u *upload) end(chunked bool) error {
	if !chunked {
		return nil
	}
	last := []byte("0\r\n")
	for _, t := range u.f.x.Trailer() {
		last = appendField(last, t.Name, t.Value)
	}
	if _, err := u.c.Write(append(last, "\r\n"...)); err != nil {
		return errors.Join(errUpload, err)
	}
	return nil
}

// fault is what the client did wrong, nil when it is not to blame. To be asked by others only after done.
func (u *upload) fault() error {
	switch {
	case u.err == nil || errors.Is(u.err, errUpload):
		return nil
	case errors.Is(u.err, errTooBig):
		return errTooBig
	case errors.Is(u.err, wire.ErrBody):
		return errBody
	}
	return errClient
}

// almost is how long an upload whose answer is there may take to see its own end.
const almost = 20 * time.Millisecond

// lull is how long a client whose request was answered before its end may go on sending.
const lull = 500 * time.Millisecond

// endUpload waits until nobody reads the request's body any more. One that still comes is of no use now.
func (f *flight) endUpload() {
	u := f.upload
	if u == nil {
		return
	}
	select {
	case <-u.ended:
	case <-time.After(almost):
		_ = u.c.SetWriteDeadline(time.Unix(1, 0))
		f.stopReading(u)
		_ = u.c.SetWriteDeadline(time.Time{}) // or the next request on it could not be written
	}
	f.whole = f.whole || u.err == nil
	f.upload = nil
}

func (f *flight) stopReading(u *upload) {
	if s, ok := f.x.(wire.Stopper); ok {
		s.StopRead()
		<-u.ended
		return
	}
	select {
	case <-u.ended:
	case <-time.After(lull):
		f.x.Abort()
		<-u.ended
	}
}
