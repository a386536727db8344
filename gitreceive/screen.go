package gitreceive

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
)

const (
	keepAlive = 5 * time.Second // of silence, then an empty packet: git's own receive.keepAlive
	longLine  = 8 << 10         // bytes; a longer line is broken, so that each goes into one packet
	smallLine = 900             // the same for the old side-band, whose packets have 1000 bytes
)

// screen is what a pusher sees while a push goes on: side-band 2, which git shows as "remote: " lines.
// One goroutine owns the connection's writing side; Write gives it whole lines, so a line never spans two
// packets. A client without side-band sees nothing but git's own answer.
type screen struct {
	ctx   context.Context // of the pusher; its end ends all blocking
	out   *bufio.Writer
	mux   *sideband.Muxer // nil without side-band
	limit int             // bytes of a line
	lines chan []byte
	done  chan struct{}
	clock *clock // nil: nothing is drawn over

	mu     sync.Mutex
	rest   []byte // of a line that is not complete
	closed bool
}

func newScreen(ctx context.Context, out io.Writer, able capabilities) *screen {
	s := &screen{ctx: ctx, out: bufio.NewWriter(out), limit: longLine, lines: make(chan []byte, 64), done: make(chan struct{})}
	switch {
	case able.has(capability.Sideband64k):
		s.mux = sideband.NewMuxer(sideband.Sideband64k, s.out)
	case able.has(capability.Sideband):
		s.mux, s.limit = sideband.NewMuxer(sideband.Sideband, s.out), smallLine
	}
	if s.mux != nil && !able.has(capability.Quiet) {
		s.clock = &clock{}
	}
	go s.run()
	return s
}

// run owns the muxer until finish.
func (s *screen) run() {
	defer close(s.done)
	silence, second := time.NewTicker(keepAlive), time.NewTicker(time.Second)
	defer silence.Stop()
	defer second.Stop()
	for {
		select {
		case p, open := <-s.lines:
			if !open {
				s.send(s.clock.end())
				return
			}
			s.send(p)
			s.clock.told(p, time.Now())
			silence.Reset(keepAlive)
		case now := <-second.C:
			s.send(s.clock.draw(now))
		case <-silence.C:
			s.ping()
		}
	}
}

// send writes lines. Errors are not kept: a pusher that is gone ends ctx.
func (s *screen) send(p []byte) {
	if s.mux == nil || len(p) == 0 {
		return
	}
	_, _ = s.mux.WriteChannel(sideband.ProgressMessage, p)
	_ = s.out.Flush()
}

// ping sends an empty packet, which git ignores and idle proxies count.
func (s *screen) ping() {
	if s.mux == nil {
		return
	}
	_ = pktline.NewEncoder(s.out).Encode(sideband.ProgressMessage.WithPayload(nil))
	_ = s.out.Flush()
}

// Write shows what is complete up to the last line end, "\n" or "\r", and keeps the rest. It blocks while
// the pusher does not read.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, io.ErrClosedPipe
	}
	s.rest = append(s.rest, p...)
	for {
		line := nextLine(s.rest, s.limit)
		if line == nil {
			return len(p), nil
		}
		if err := s.give(line); err != nil {
			return 0, err
		}
		s.rest = s.rest[min(len(line), len(s.rest)):]
	}
}

// nextLine is a packet's worth of whole lines, nil if there is none yet.
func nextLine(p []byte, limit int) []byte {
	head := p[:min(len(p), limit)]
	if end := bytes.LastIndexAny(head, "\r\n"); end >= 0 {
		return head[:end+1]
	}
	if len(p) < limit {
		return nil
	}
	return head
}

func (s *screen) give(line []byte) error {
	line = bytes.Clone(line)
	if end := line[len(line)-1]; end != '\n' && end != '\r' {
		line = append(line, '\n')
	}
	select {
	case s.lines <- line:
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

// finish shows what is left and ends the writing of lines. After it the connection is the caller's.
func (s *screen) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	if len(s.rest) > 0 {
		_ = s.give(s.rest)
	}
	s.closed = true
	close(s.lines)
	<-s.done
}

// answer finishes and sends git's own answer: in side-band 1 if there is one, else plain.
func (s *screen) answer(p []byte) error {
	s.finish()
	if s.mux == nil {
		_, _ = s.out.Write(p)
		return s.out.Flush()
	}
	_, _ = s.mux.Write(p) // errors stick to the buffer
	_ = pktline.NewEncoder(s.out).Flush()
	return s.out.Flush()
}
