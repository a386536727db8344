package gitreceive

import (
	"fmt"
	"io"
	"sync"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

// idle ends a session that waits for its client while nothing goes in either direction for long. One that works is not
// idle, however silent.
type idle struct {
	limit time.Duration
	timer *time.Timer

	mu      sync.Mutex
	waiting bool
	over    bool
}

// timedOut is the exit status of a session that was ended so, the one that verbs have for it.
const timedOut = 6

// newIdle watches a session's streams.
func newIdle(c *client, limit time.Duration) *idle {
	i := &idle{limit: limit}
	channel, _ := c.out.(gossh.Channel)
	stderr := c.stderr
	i.timer = time.AfterFunc(limit, func() {
		_, _ = io.WriteString(stderr, " !     Nothing came or went for "+spellIdle(limit)+", so this session ends.\r\n")
		c.cancel()
		if channel != nil { // nothing else ends a read
			_, _ = channel.SendRequest("exit-status", false, gossh.Marshal(struct{ Status uint32 }{timedOut}))
			_ = channel.Close()
		}
	})
	i.timer.Stop()
	c.in, c.out, c.stderr = seen{i, c.in, nil}, seen{i, nil, c.out}, seen{i, nil, c.stderr}
	return i
}

func spellIdle(d time.Duration) string {
	if d >= time.Minute && d%time.Minute == 0 {
		return fmt.Sprintf("%d minutes", d/time.Minute)
	}
	return d.String()
}

// wait begins or ends the waiting for the client.
func (i *idle) wait(begins bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.waiting = begins
	i.timer.Stop()
	if begins && !i.over {
		i.timer.Reset(i.limit)
	}
}

// sign is one of life.
func (i *idle) sign() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.waiting && !i.over {
		i.timer.Reset(i.limit)
	}
}

func (i *idle) stop() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.over = true
	i.timer.Stop()
}

// seen is a stream whose traffic is a sign of life.
type seen struct {
	*idle
	in  io.Reader
	out io.Writer
}

func (s seen) Read(p []byte) (int, error) {
	s.wait(true)
	defer s.wait(false)
	return s.in.Read(p)
}

func (s seen) Write(p []byte) (int, error) {
	s.sign()
	return s.out.Write(p)
}
