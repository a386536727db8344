package router

import (
	"fmt"
	"html"
	"net/http"
	"strings"
)

// page answers in the router's own name, in HTML to browsers and in plain text to everybody else.
func page(w http.ResponseWriter, req *http.Request, status int, title, text string) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if !strings.Contains(req.Header.Get("Accept"), "text/html") {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		_, _ = fmt.Fprintln(w, text)
		return
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `<!doctype html>
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
