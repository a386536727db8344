package edge

import (
	"io"
	"net"
	"slices"

	"paas/router/wire"
)

// Steer is x as the rest of the router shall see it after the verdict: with the target that the instance gets, with
// the answer compressed where that is wanted, and with the verdict's cookie in it. It is x itself when nothing is to
// be changed.
func (r *Rules) Steer(x wire.Exchange, v *Verdict) wire.Exchange {
	if (r == nil || r.compressor == nil) && v.Target == nil && v.Cookie == nil && v.Mirror == "" {
		return x
	}
	req := x.Request()
	s := &exchange{Exchange: x, rules: r, asked: req, cookie: v.Cookie, head: *req}
	if v.Target != nil {
		s.head.Target = v.Target
	}
	if v.Mirror != "" {
		s.tee = &Tee{Reader: x, ended: req.Length == 0}
	}
	return s
}

// Sent is the body of a request that was read through Steer's exchange, for a copy. ok is false when it was not
// read whole, or is too large.
func Sent(x wire.Exchange) (body []byte, ok bool) {
	s, steered := x.(*exchange)
	if !steered || s.tee == nil {
		return nil, false
	}
	return s.tee.Whole()
}

// exchange implements wire.Exchange, wire.Splicer and wire.Stopper over another one.
type exchange struct {
	wire.Exchange
	rules  *Rules
	asked  *wire.Request // by the client
	head   wire.Request  // for the instance
	cookie []byte
	tee    *Tee     // nil: there is no copy
	enc    *Encoder // nil: the answer goes out as it comes
	dirty  bool     // the encoder has something that was not flushed
}

// Request implements wire.Exchange.
func (x *exchange) Request() *wire.Request { return &x.head }

// Read implements wire.Exchange.
func (x *exchange) Read(p []byte) (int, error) {
	if x.tee != nil {
		return x.tee.Read(p)
	}
	return x.Exchange.Read(p)
}

// Head implements wire.Exchange.
func (x *exchange) Head(status int, fields []wire.Field, length int64) error {
	h := Head{status, slices.Clone(fields), length}
	if x.enc = x.rules.Encode(x.asked, &h); x.enc != nil {
		x.enc.Begin(x.Exchange)
	}
	return x.Exchange.Head(status, x.withCookie(h.Fields), h.Length)
}

func (x *exchange) withCookie(fields []wire.Field) []wire.Field {
	if x.cookie == nil {
		return fields
	}
	return append(fields, wire.Field{Name: []byte("Set-Cookie"), Value: x.cookie})
}

// Write implements wire.Exchange.
func (x *exchange) Write(p []byte) (int, error) {
	if x.enc == nil {
		return x.Exchange.Write(p)
	}
	x.dirty = true
	return x.enc.Write(p)
}

// Flush implements wire.Exchange.
func (x *exchange) Flush() error {
	if x.enc != nil && x.dirty {
		x.dirty = false
		if err := x.enc.Flush(); err != nil {
			return err
		}
	}
	return x.Exchange.Flush()
}

// End implements wire.Exchange. An answer that is not ended breaks off, and its encoder is left to the collector.
func (x *exchange) End(trailers []wire.Field) error {
	if x.enc != nil {
		if err := x.enc.Close(true); err != nil {
			return err
		}
		x.enc = nil
	}
	return x.Exchange.End(trailers)
}

// Tunnel implements wire.Exchange.
func (x *exchange) Tunnel(fields []wire.Field) (wire.Stream, error) {
	return x.Exchange.Tunnel(x.withCookie(slices.Clone(fields)))
}

// Splice implements wire.Splicer, by copying where the bytes have to be seen.
func (x *exchange) Splice(c *net.TCPConn, n int64) (int64, error) {
	if s, ok := x.Exchange.(wire.Splicer); ok && x.enc == nil {
		return s.Splice(c, n)
	}
	return io.CopyN(struct{ io.Writer }{x}, c, n)
}

// StopRead implements wire.Stopper.
func (x *exchange) StopRead() {
	if s, ok := x.Exchange.(wire.Stopper); ok {
		s.StopRead()
		return
	}
	x.Abort()
}
