package router

import (
	"paas/platform"
	"paas/router/wire"
)

// Whose request it is stands in the head, so for the first head of a plain connection the listener's limits hold.
// Before that of a TLS connection the client has named the app (SNI), and before every other the last request has.

// bePatient takes an app's limits of heads. Connections that have the old ones keep them until their next request.
func (rt *route) bePatient(t platform.Traffic) {
	if t.HeadWait == 0 && t.KeepAlive == 0 {
		rt.patience.Store(nil)
		return
	}
	now := wire.Patience{Head: t.HeadWait, Idle: t.KeepAlive}
	if was := rt.patience.Load(); was == nil || *was != now {
		rt.patience.Store(&now)
	}
}

// patienceOf is what the app of a name said in a TLS handshake has, nil for the listener's.
func (r *Router) patienceOf(name string) *wire.Patience {
	var b [maxHost]byte
	host, _, ok := hostOf([]byte(name), b[:0])
	if !ok {
		return nil
	}
	if rt := r.table.lookup(host); rt != nil {
		return rt.patience.Load()
	}
	return nil
}

// bePatient has the connection's next request waited for as the app of this one wants it, and as everybody else's
// where it is none's.
func (f *flight) bePatient() {
	x, ok := f.x.(wire.Patient)
	if !ok {
		return
	}
	if f.rt == nil {
		x.SetPatience(nil)
		return
	}
	x.SetPatience(f.rt.patience.Load())
}
