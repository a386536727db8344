package static

import "net/http"

// Send answers with one file below the root, as a site's file is answered. It is false when there is no such file:
// then nothing is written. The name is a relative path and not looked at otherwise: what may be seen is the
// caller's business.
func (h *Handler) Send(w http.ResponseWriter, r *http.Request, name string) bool {
	return h.send(w, r, name, http.StatusOK)
}

// ContentType is the type that a file's name tells.
func ContentType(name string) (kind string, known bool) { return contentType(name) }
