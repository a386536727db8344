package gitreceive

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"sync"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"

	"paas/platform"
)

// channel is one session's SSH channel (RFC 4254, section 6). It stands between the connection and
// gliderlabs/ssh, whose session knows when the connection ends but not when its channel does, and stops
// reading requests while nobody takes a signal or a new window size.
type channel struct {
	gossh.NewChannel
	raw    gossh.Channel
	cancel context.CancelFunc // ends the session

	mu     sync.Mutex
	env    map[string]string  // what the client sent of what means something to us
	resize chan platform.Size // the newest size only; closed with the channel
	closed bool
}

// sessionContext is a session's context: it ends with its channel, not only with its connection.
type sessionContext struct {
	ssh.Context
	own context.Context
}

func (c sessionContext) Done() <-chan struct{} { return c.own.Done() }
func (c sessionContext) Err() error            { return c.own.Err() }

// channelKey finds the channel in its ssh.Context.
type channelKey struct{}

func (c sessionContext) Value(key any) any {
	if key == (channelKey{}) {
		return c.own.Value(key)
	}
	return c.Context.Value(key)
}

// channel serves one session channel until the client closes it.
func (d *Server) channel(srv *ssh.Server, conn *gossh.ServerConn, fresh gossh.NewChannel, ctx ssh.Context) {
	key := fingerprint(conn)
	if why := d.enter(key); why != "" {
		_ = fresh.Reject(gossh.ResourceShortage, why)
		return
	}
	defer d.leave(key)
	connection := connectionOf(ctx)
	connection.enter(conn)
	defer connection.leave()
	own, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.ctx, cancel)()
	c := &channel{NewChannel: fresh, cancel: cancel, resize: make(chan platform.Size, 1)}
	own = context.WithValue(own, channelKey{}, c)
	ssh.DefaultSessionHandler(srv, conn, c, sessionContext{Context: ctx, own: own})
}

// enter counts a session in, or says why it may not be.
func (d *Server) enter(key string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closing {
		return "paas is restarting, try again in a moment"
	}
	if key != "" && d.perKey[key] >= d.options.Sessions {
		return fmt.Sprintf("%d sessions are open with this key, and more are not allowed", d.perKey[key])
	}
	d.perKey[key]++
	return ""
}

func (d *Server) leave(key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.perKey[key]--; d.perKey[key] == 0 {
		delete(d.perKey, key)
	}
}

// Accept opens the channel and takes what gliderlabs/ssh should not see out of its requests.
func (c *channel) Accept() (gossh.Channel, <-chan *gossh.Request, error) {
	raw, in, err := c.NewChannel.Accept()
	if err != nil {
		return nil, nil, err
	}
	c.raw = raw
	out := make(chan *gossh.Request)
	go c.relay(in, out)
	return raw, out, nil
}

// relay ends when the channel is closed from either side, and the session with it.
func (c *channel) relay(in <-chan *gossh.Request, out chan<- *gossh.Request) {
	defer close(out)
	defer c.end()
	for req := range in {
		switch req.Type {
		case "signal":
			c.signal(req.Payload)
		case "window-change":
			c.setSize(req.Payload)
		case "env":
			c.answer(req, c.setEnv(req.Payload))
		case "auth-agent-req@openssh.com", "x11-req":
			c.answer(req, false)
		default:
			out <- req
		}
	}
}

const maxVariable = 64 // bytes

// setEnv keeps a variable that says how output shall look (RFC 4254, section 6.4). No other means anything.
func (c *channel) setEnv(payload []byte) bool {
	var v struct{ Name, Value string }
	if gossh.Unmarshal(payload, &v) != nil || len(v.Value) > maxVariable {
		return false
	}
	switch v.Name {
	case "NO_COLOR", "LANG", "LC_ALL", "LC_CTYPE":
	default:
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.env == nil {
		c.env = map[string]string{}
	}
	c.env[v.Name] = v.Value
	return true
}

// environ is what was sent so far.
func (c *channel) environ() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.env)
}

func (c *channel) end() {
	c.cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	close(c.resize)
}

func (c *channel) answer(req *gossh.Request, ok bool) {
	if req.WantReply {
		_ = req.Reply(ok, nil) // fails when the connection is gone, which ends the session anyway
	}
}

// signal ends the session on the signals that end a program.
func (c *channel) signal(payload []byte) {
	var s struct{ Name string }
	if gossh.Unmarshal(payload, &s) != nil {
		return
	}
	switch s.Name {
	case "INT", "TERM", "HUP", "QUIT", "KILL":
		c.cancel()
	}
}

// setSize keeps the newest size for whoever asks next.
func (c *channel) setSize(payload []byte) {
	if len(payload) < 8 {
		return
	}
	size := platform.Size{Cols: int(binary.BigEndian.Uint32(payload)), Rows: int(binary.BigEndian.Uint32(payload[4:]))}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	select {
	case <-c.resize:
	default:
	}
	c.resize <- size
}
