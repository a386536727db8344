package router

import (
	"strconv"
	"time"

	"paas/platform"
	"paas/router/wire"
)

// report counts the request and logs it.
func (f *flight) report() {
	whole := f.r.since(f.start)
	now, took := f.start.Add(whole), f.first
	if !f.headers {
		took = whole
	}
	f.rt.stats.part(f.shard).count(f, took)
	if f.b != nil {
		f.b.stats.part(f.shard).count(f, took)
	}
	if f.r.access != nil && f.info.Traffic.Access != platform.AccessOff {
		f.rt.access.add(f, now)
	}
	f.rt.last.Store(now.UnixNano())
	f.rt.inflight.Add(-1)
	f.complain()
}

// complain tells the platform's own log about instances that fail.
func (f *flight) complain() {
	if f.fault == nil || f.fault.cause == nil || f.status == statusClientGone {
		return
	}
	f.r.log.Warn("no answer from an instance", "app", f.rt.app, "status", f.status, "id", string(f.requestID()), "err", f.fault.cause)
}

// appendLine writes Heroku's form. The query is left out: it holds secrets.
func (f *flight) appendLine(out []byte, now time.Time) []byte {
	level := "at=info method="
	if f.status >= 500 || f.cut != nil {
		level = "at=error method="
	}
	out = append(append(out, level...), f.req.Method...)
	out = appendQuoted(append(out, " path="...), pathOf(f.req.Target))
	out = append(append(out, " host="...), f.host...)
	out = append(append(out, " request_id="...), f.requestID()...)
	out = f.client.AppendTo(append(out, ` fwd="`...))
	out = append(append(out, `" dyno=`...), f.instanceName()...)
	out = strconv.AppendInt(append(out, " connect="...), f.connect.Milliseconds(), 10)
	out = strconv.AppendInt(append(out, "ms service="...), now.Sub(f.start).Milliseconds(), 10)
	out = strconv.AppendInt(append(out, "ms status="...), int64(f.status), 10)
	out = strconv.AppendInt(append(out, " bytes="...), f.bytes, 10)
	out = append(append(out, " protocol="...), f.proto()...)
	return append(append(out, " version="...), versionName(f.req.Version)...)
}

// appendJSON writes an object; times are in microseconds.
func (f *flight) appendJSON(out []byte, now time.Time) []byte {
	out = append(append(out, `{"method":"`...), f.req.Method...)
	out = appendQuoted(append(out, `","path":`...), pathOf(f.req.Target))
	out = append(append(out, `,"host":"`...), f.host...)
	out = append(append(out, `","request_id":"`...), f.requestID()...)
	out = f.client.AppendTo(append(out, `","client":"`...))
	out = append(append(out, `","instance":"`...), f.instanceName()...)
	out = strconv.AppendInt(append(out, `","connect_us":`...), f.connect.Microseconds(), 10)
	out = strconv.AppendInt(append(out, `,"first_byte_us":`...), f.first.Microseconds(), 10)
	out = strconv.AppendInt(append(out, `,"service_us":`...), now.Sub(f.start).Microseconds(), 10)
	out = strconv.AppendInt(append(out, `,"status":`...), int64(f.status), 10)
	out = strconv.AppendInt(append(out, `,"bytes":`...), f.bytes, 10)
	out = append(append(out, `,"protocol":"`...), f.proto()...)
	out = append(append(out, `","version":"`...), versionName(f.req.Version)...)
	if f.cut != nil {
		out = append(out, `","cut":true}`...)
		return out
	}
	return append(out, `"}`...)
}

func (f *flight) instanceName() string {
	switch {
	case f.b == nil:
		return ""
	case f.b.Name != "":
		return f.b.Name
	}
	return string(f.b.ID)
}

func versionName(v wire.Version) string {
	switch v {
	case wire.HTTP10:
		return "1.0"
	case wire.HTTP2:
		return "2"
	case wire.HTTP3:
		return "3"
	default:
		return "1.1"
	}
}

func pathOf(target []byte) []byte {
	for i, c := range target {
		if c == '?' {
			return target[:i]
		}
	}
	return target
}

// appendQuoted writes a string that both a person and a JSON parser can read: what is not printable ASCII stands
// as \u00xx, one a byte.
func appendQuoted(out, s []byte) []byte {
	const hex = "0123456789abcdef"
	out = append(out, '"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c < ' ' || c > '~':
			out = append(out, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			out = append(out, c)
		}
	}
	return append(out, '"')
}
