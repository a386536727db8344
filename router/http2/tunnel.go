package http2

import (
	"strings"

	"paas/router/wire"
)

// tunnel is the client's side of a WebSocket (RFC 8441): DATA in both directions, END_STREAM for the end of one.
type tunnel struct{ e *exchange }

// Tunnel implements wire.Exchange. The answer is 200 with the origin's fields but for those about the upgrade.
// The stream may outlive the handler.
func (e *exchange) Tunnel(fields []wire.Field) (wire.Stream, error) {
	err := e.lock()
	defer e.unlock()
	if err != nil {
		return nil, err
	}
	s := e.s
	if s.headSent || s.req.Protocol == nil {
		return nil, errOrder
	}
	kept := make([]wire.Field, 0, len(fields))
	for _, f := range fields {
		if !aboutUpgrade(f.Name) {
			kept = append(kept, f)
		}
	}
	s.headSent, s.tunnel, s.length = true, true, -1
	s.headers(200, kept, -1, 0)
	s.c.flush()
	return &tunnel{e}, nil
}

func aboutUpgrade(name []byte) bool {
	for _, no := range []string{"connection", "upgrade", "sec-websocket-accept", "content-length", "transfer-encoding"} {
		if strings.EqualFold(no, string(name)) {
			return true
		}
	}
	return false
}

func (t *tunnel) Read(p []byte) (int, error) { return t.e.Read(p) }

// Write sends p at once: a WebSocket's messages must not wait for the next.
func (t *tunnel) Write(p []byte) (int, error) {
	n, err := t.e.Write(p)
	if err != nil {
		return n, err
	}
	return n, t.e.Flush()
}

// CloseWrite ends our direction.
func (t *tunnel) CloseWrite() error {
	err := t.e.lock()
	defer t.e.unlock()
	if err != nil || t.e.s.outEnded {
		return err
	}
	t.e.s.end(nil)
	t.e.c.flush()
	return nil
}

// Close ends both. It may be called more than once.
func (t *tunnel) Close() error {
	t.e.c.mu.Lock()
	defer t.e.unlock()
	s := t.e.s
	if s.id != t.e.id || s.shut {
		return nil
	}
	s.shut = true
	if s.open && !s.outEnded {
		s.end(nil)
		s.c.out.urgent = true
	}
	s.breakOff(codeNo, errDone)
	if s.served {
		s.finish()
	}
	s.c.flushUrgent()
	return nil
}
