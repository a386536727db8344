package router

import (
	"bytes"
	"fmt"
	"html"
	"time"

	"paas/platform"
)

// fault is an answer in the router's own name.
type fault struct {
	status      int
	title, text string
	retry       time.Duration // 0: not said
	cause       error         // for the log
}

// statusClientGone is nginx's word for a client that went away; nobody reads it but the log.
const statusClientGone = 499

func badHost() *fault {
	return &fault{status: 400, title: "Bad request", text: "The Host header is not a hostname."}
}

func badBody() *fault {
	return &fault{status: 400, title: "Bad request", text: "The request's body is broken."}
}

func noProxy() *fault {
	return &fault{status: 405, title: "Not a proxy", text: "CONNECT is not served here."}
}

func tooLarge(most int64) *fault {
	return &fault{status: 413, title: "Too large", text: fmt.Sprintf("A request may have %d bytes here.", most)}
}

func unknownHost(host []byte) *fault {
	return &fault{status: 404, title: "No such app", text: "There is no app at " + string(host) + "."}
}

func stopped(app platform.AppName) *fault {
	return &fault{status: 503, title: "Stopped", text: string(app) + " is stopped."}
}

func nobody(app platform.AppName) *fault {
	return &fault{status: 503, title: "No instance", text: string(app) + " has no healthy instance at the moment.", retry: 5 * time.Second}
}

func overloaded(app platform.AppName) *fault {
	return &fault{status: 503, title: "Busy", text: string(app) + " has more requests than it can answer. Try again in a moment.", retry: 5 * time.Second}
}

func asleep(app platform.AppName) *fault {
	return &fault{status: 503, title: "Waking up", text: string(app) + " is waking up. Try again in a moment.", retry: 5 * time.Second}
}

func silent(app platform.AppName, cause error) *fault {
	return &fault{status: 504, title: "No answer", text: string(app) + " did not answer in time.", cause: cause}
}

func broken(app platform.AppName, cause error) *fault {
	return &fault{status: 502, title: "Bad answer", text: string(app) + " broke off or gave no valid answer.", cause: cause}
}

func clientGone() *fault { return &fault{status: statusClientGone, cause: errClient} }

// refuse answers with a page, in HTML to browsers and in plain text to everybody else.
func (f *flight) refuse(why *fault) {
	f.fault, f.status = why, why.status
	if why.status == statusClientGone {
		f.x.Abort()
		return
	}
	text, kind := why.text+"\n", "text/plain; charset=utf-8"
	fields := append(f.fields[:0],
		field{Name: []byte("Cache-Control"), Value: []byte("no-store")},
		field{Name: []byte("X-Content-Type-Options"), Value: []byte("nosniff")})
	if bytes.Contains(valueOf(f.req.Fields, "accept"), []byte("text/html")) {
		text, kind = why.page(), "text/html; charset=utf-8"
		fields = append(fields, field{
			Name:  []byte("Content-Security-Policy"),
			Value: []byte("default-src 'none'; style-src 'unsafe-inline'"),
		})
	}
	if why.retry > 0 {
		fields = append(fields, retryAfter(why.retry))
	}
	f.fields = append(fields, field{Name: []byte("Content-Type"), Value: []byte(kind)})
	// EDGES PAGE: an app's own page takes the place of ours here.
	f.sayPage(text)
}

func (f *flight) sayPage(text string) {
	err := f.x.Head(f.status, f.fields, int64(len(text)))
	if err == nil && string(f.req.Method) != "HEAD" {
		var n int
		n, err = f.x.Write([]byte(text))
		f.bytes = int64(n)
	}
	if err == nil {
		err = f.x.End(nil)
	}
	f.cut = err
}

func (why *fault) page() string {
	return fmt.Sprintf(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>%[1]s</title>
<style>body { font: 1.1rem/1.5 sans-serif; margin: 20vh auto; max-width: 32rem; padding: 0 1rem }</style>
<h1>%[1]s</h1>
<p>%[2]s</p>
</html>
`, html.EscapeString(why.title), html.EscapeString(why.text))
}
