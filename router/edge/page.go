package edge

import (
	"bytes"
	"fmt"
	"html"
	"strconv"

	"paas/router/wire"
)

// Page is an answer in the router's own name: the app's page for the status if it has one, else ours, in HTML to
// browsers and in plain text to everybody else. r may be nil.
func (r *Rules) Page(req *wire.Request, status int, title, text string) *Answer {
	return r.page(req, status, title, text)
}

func (r *Rules) page(req *wire.Request, status int, title, text string) *Answer {
	if own := r.Own(status); own != nil {
		return own
	}
	if !bytes.Contains(value(req.Fields, "accept"), []byte("text/html")) {
		return &Answer{Status: status, Fields: pageFields("text/plain; charset=utf-8"), Body: []byte(text + "\n")}
	}
	a := &Answer{Status: status, Fields: pageFields("text/html; charset=utf-8"), Body: rendered(title, text)}
	a.Fields = append(a.Fields, field("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"))
	return a
}

// Own is the app's page for a status, or nil.
func (r *Rules) Own(status int) *Answer {
	if r == nil || r.pages[strconv.Itoa(status)] == nil {
		return nil
	}
	return ownPage(status, r.pages[strconv.Itoa(status)])
}

func ownPage(status int, body []byte) *Answer {
	return &Answer{Status: status, Fields: pageFields("text/html; charset=utf-8"), Body: body}
}

func pageFields(contentType string) []wire.Field {
	return []wire.Field{
		field("Content-Type", contentType), field("Cache-Control", "no-store"), field("X-Content-Type-Options", "nosniff"),
	}
}

func rendered(title, text string) []byte {
	return fmt.Appendf(nil, `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>%[1]s</title>
<style>body { font: 1.1rem/1.5 sans-serif; margin: 20vh auto; max-width: 32rem; padding: 0 1rem }</style>
<h1>%[1]s</h1>
<p>%[2]s</p>
</html>
`, html.EscapeString(title), html.EscapeString(text))
}
