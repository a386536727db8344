package router

import (
	"errors"
	"net/netip"
	"time"

	"paas/platform"
	"paas/router/edge"
	"paas/router/wire"
)

type field = wire.Field

// flight is one request on its way through the router. It belongs to its handler's goroutine and is used again
// when it has landed; the upload and the watch beside it have ended by then.
type flight struct {
	r     *Router
	x     wire.Exchange
	req   *wire.Request
	start time.Time
	shard int // of counters; a pooled flight mostly stays with a processor

	host    []byte // in lower case, without port
	port    []byte // as typed, empty without
	trusted bool   // the peer is a proxy that may say who asks
	client  netip.Addr
	id      []byte // of the request

	ruled     bool // the app's rules were asked
	verdict   edge.Verdict
	pool      platform.Pool
	rt        *route
	info      *platform.Route
	site      *platform.Route // of the app whose host it is; a path may lead to another one
	b         *backend        // acquired
	failed    [maxTries]*backend
	tried     int
	retried   bool
	fresh     bool      // no idle connection this time
	waitUntil time.Time // for an instance; zero before the first wait
	cookied   bool      // the client's cookie named the instance

	c        *conn
	reused   bool
	out      []byte     // the request's head for the instance
	far      *farAnswer // of an instance that speaks HTTP/2
	sent     time.Time
	interims bool      // there were answers before the answer
	slow     bool      // the answer comes with breaks
	moved    time.Time // when its last piece came, once slow
	small    *[]byte
	body     []byte // of a small request, in small
	upload   *upload
	gone     *watch
	fields   []field // of the answer for the client
	whole    bool    // the instance has got all of the request
	settled  bool    // the instance was let go of
	clean    bool    // the answer was read to its end and the connection can go on
	headers  bool    // the answer's head was given to the client

	connect time.Duration
	first   time.Duration // from the start to the answer's head
	status  int
	bytes   int64 // of the answer's body
	fault   *fault
	cut     error // why the answer ends too early
}

// maxTries is to how many instances a request is offered before it is given up.
const maxTries = 4

// handler is the Router as a wire.Handler; the Router's own Serve takes listeners.
type handler struct{ *Router }

// Handler answers requests: by an instance, or by a page that says why not.
func (r *Router) Handler() wire.Handler { return handler{r} }

// Serve implements wire.Handler.
func (h handler) Serve(x wire.Exchange) {
	r := h.Router
	f, _ := r.flights.Get().(*flight)
	if f == nil {
		f = &flight{r: r, shard: int(r.shards.Add(1)) % counterShards}
	}
	f.x, f.req, f.start = x, x.Request(), r.now()
	f.run()
	f.reset()
	r.flights.Put(f)
}

// reset forgets the request but keeps the buffers.
func (f *flight) reset() {
	*f = flight{
		r: f.r, shard: f.shard, host: f.host[:0], id: f.id[:0], out: f.out[:0], fields: f.fields[:0],
	}
}

func (f *flight) run() {
	why := f.admit()
	f.bePatient()
	if why != nil {
		f.refuse(why)
	}
	if f.rt == nil {
		return
	}
	done := why != nil || f.upgraded() // before the rules: a password must not be asked for without TLS
	var answered *edge.Answer
	if !done {
		answered = f.steer()
	}
	defer f.report()
	f.rt.inflight.Add(1)
	switch {
	case answered != nil:
		f.reply(answered)
	case !done:
		f.fly()
		f.copyOut()
	}
}

// admit finds the route.
func (f *flight) admit() *fault {
	var ok bool
	if f.host, f.port, ok = hostOf(f.req.Authority, f.host); !ok {
		return badHost()
	}
	if string(f.req.Method) == "CONNECT" && f.req.Protocol == nil {
		return noProxy()
	}
	if f.challenged() {
		return nil
	}
	if own := f.r.own[string(f.host)]; own != nil {
		f.serveOwn(own)
		return nil
	}
	if f.rt = f.r.table.lookup(f.host); f.rt == nil {
		return unknownHost(f.host)
	}
	f.info = f.rt.info.Load()
	f.site = f.info
	f.knowClient()
	if most := f.info.Traffic.MaxBody; most > 0 && f.req.Length > most {
		return tooLarge(most)
	}
	return nil
}

// fly has the request answered and gives back what it has taken.
func (f *flight) fly() {
	defer f.land()
	if why := f.readSmall(); why != nil {
		f.refuse(why)
		return
	}
	if why := f.exchange(); why != nil {
		f.refuse(why)
		return
	}
	if f.far != nil {
		f.deliverFar()
		return
	}
	if f.c.answer.Status == switchingProtocols {
		f.tunnel()
		return
	}
	f.deliver()
}

// place acquires an instance, waiting for one where that is allowed.
func (f *flight) place() *fault {
	for {
		f.info = f.rt.info.Load()
		if f.info.Stopped {
			return stopped(f.rt.app)
		}
		if s := f.rt.sleep.Load(); s != nil {
			if why := f.rouse(s); why != nil {
				return why
			}
			continue
		}
		b, busy := f.rt.pick(f)
		if b == nil && busy {
			if why := f.queue(); why != nil {
				return why
			}
			if b = f.b; b == nil {
				continue
			}
		}
		if b == nil && f.fallBack() {
			continue
		}
		if b == nil {
			return nobody(f.rt.app)
		}
		f.b = b
		return nil
	}
}

// exchange sends the request and reads the answer's head. An instance that took no connection has seen nothing of
// the request, so another is asked. One whose connection broke before the first byte of its answer may have: then
// another is asked once, if the request may be repeated.
func (f *flight) exchange() *fault {
	for {
		if why := f.place(); why != nil {
			return why
		}
		err := f.ask()
		if err == nil {
			f.b.worked()
			return nil
		}
		if why := f.recover(err); why != nil {
			return why
		}
	}
}

// ask sends the request over a connection of the instance and reads the answer's head.
func (f *flight) ask() error {
	if f.speaksHTTP2() {
		return f.askHTTP2()
	}
	f.sent = f.triedAt()
	if err := f.open(); err != nil {
		return err
	}
	if err := f.send(); err != nil {
		return err
	}
	return f.await()
}

// triedAt is the time of this attempt. It is the request's own, unless a password, a body, other requests or an
// instance have taken their time: a look at the clock costs a hundredth of a request.
func (f *flight) triedAt() time.Time {
	if f.ruled || f.small != nil || !f.waitUntil.IsZero() || f.retried || f.tried > 0 {
		return f.r.now()
	}
	return f.start
}

// What keeps a request from an instance's answer.
var (
	errRefused = errors.New("the instance took no connection")
	errBroken  = errors.New("the connection broke before the answer")
	errSilent  = errors.New("the instance did not answer in time")
	errClient  = errors.New("the client went away")
	errBody    = errors.New("the request's body is broken")
)

// open takes a connection.
func (f *flight) open() (err error) {
	f.reused = false
	if !f.fresh {
		f.c = f.b.pool.take(f.sent, !f.mayRepeat())
		f.reused = f.c != nil
	}
	if f.c == nil {
		begun := time.Now()
		f.c, err = f.b.pool.dial()
		f.connect = time.Since(begun)
		f.sent = f.r.now()
	}
	if err != nil {
		return errors.Join(errRefused, err)
	}
	return nil
}

// recover decides what follows when an instance has not answered: nil lets another try.
func (f *flight) recover(err error) *fault {
	b := f.b
	refused, evicted := errors.Is(err, errRefused), f.c != nil && f.c.cut.Load()
	f.drop()
	switch {
	case errors.Is(err, errClient):
		return clientGone()
	case errors.Is(err, errBody):
		return badBody()
	case errors.Is(err, errTooBig):
		return tooLarge(f.info.Traffic.MaxBody)
	case errors.Is(err, errSilent):
		b.failed(f.start, false)
		return silent(f.rt.app, err)
	case refused && errors.Is(err, errClosed): // it was let go of while we dialled
	case refused:
		b.failed(f.start, true)
	case !errors.Is(err, errBroken), f.retried, !f.mayRepeat():
		if !evicted {
			b.failed(f.start, false)
		}
		return broken(f.rt.app, err)
	default:
		if !f.reused && !evicted {
			b.failed(f.start, false)
		}
		f.retried, f.fresh = true, true
	}
	if f.tried == maxTries {
		return nobody(f.rt.app)
	}
	if f.another(b) || refused {
		f.failed[f.tried] = b
		f.tried++
	}
	return nil
}

// another tells whether there is an instance beside b.
func (f *flight) another(b *backend) bool {
	list := f.rt.of(f.pool)
	return len(list) > 1 || len(list) == 1 && list[0] != b
}

func (f *flight) hasTried(b *backend) bool {
	for _, have := range f.failed[:f.tried] {
		if have == b {
			return true
		}
	}
	return false
}

// mayRepeat tells whether the request does the same twice as once (RFC 9110, section 9.2.2), and is still there.
func (f *flight) mayRepeat() bool {
	if f.upload != nil || !f.whole && f.req.Length != 0 && len(f.body) == 0 {
		return false
	}
	switch string(f.req.Method) {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}

// drop gives up the connection and the instance.
func (f *flight) drop() {
	f.endUpload()
	f.unwatch()
	if f.c != nil {
		f.b.pool.discard(f.c)
		f.c = nil
	}
	if f.b != nil {
		f.b.release()
		f.b = nil
	}
}

// land gives back what the flight still has.
func (f *flight) land() {
	f.endUpload()
	watched := f.unwatch()
	if f.c != nil {
		if f.whole && f.clean && watched && !f.c.cut.Load() && f.c.in.Buffered() == 0 {
			f.b.pool.put(f.c, f.r.now())
		} else {
			f.b.pool.discard(f.c)
		}
	}
	if f.b != nil && !f.settled {
		f.b.release()
	}
	if f.small != nil {
		f.r.putBuffer(f.small)
	}
}
