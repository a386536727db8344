package gitreceive

import (
	"bytes"
	"context"
	"io"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
)

// band multiplexes the answer of a push: progress for people beside data for git (gitprotocol-pack,
// "side-band-64k"). Lines are sent whole, so that git's "remote: " stands before each.
type band struct {
	mu   sync.Mutex
	w    io.Writer
	mux  *sideband.Muxer // nil when the client has no side-band; progress is dropped
	rest []byte
	err  error
}

const maxLine = 8 << 10 // bytes; a longer line is sent in parts

func newBand(w io.Writer, has bool) *band {
	b := &band{w: w}
	if has {
		b.mux = sideband.NewMuxer(sideband.Sideband64k, w)
	}
	return b
}

// Write sends progress. It never fails: whether the client is still there, the session's context tells.
func (b *band) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rest = append(b.rest, p...)
	end := bytes.LastIndexByte(b.rest, '\n') + 1
	if end == 0 && len(b.rest) > maxLine {
		end = len(b.rest)
	}
	if end > 0 {
		b.send(sideband.ProgressMessage, b.rest[:end])
		b.rest = append(b.rest[:0], b.rest[end:]...)
	}
	return len(p), nil
}

func (b *band) send(channel sideband.Channel, p []byte) {
	if b.mux == nil || b.err != nil {
		return
	}
	_, b.err = b.mux.WriteChannel(channel, p)
}

// data sends what is for git.
func (b *band) data(p []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mux == nil {
		_, err := b.w.Write(p)
		return err
	}
	b.send(sideband.PackData, p)
	return b.err
}

// keepAlive sends an empty progress packet now and then, so that nothing in between takes the quiet of a
// long build for a dead connection, and calls gone when the client does not take it.
func (b *band) keepAlive(ctx context.Context, every time.Duration, gone func()) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			b.mu.Lock()
			if b.mux != nil && b.err == nil {
				_, b.err = b.w.Write([]byte("0005\x02"))
			}
			err := b.err
			b.mu.Unlock()
			if err != nil {
				gone()
				return
			}
		case <-ctx.Done():
			return
		}
	}
}
