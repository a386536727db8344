package static

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
)

// encodings are the forms a file may lie there in, best first.
var encodings = [...]struct{ name, suffix string }{{"br", ".br"}, {"gzip", ".gz"}}

// encoded is the best form of a file that the client takes, and its name: file itself, or another that is
// open.
func (h *Handler) encoded(r *http.Request, file *os.File, name string) (*os.File, string) {
	accepted := r.Header.Get("Accept-Encoding")
	for _, e := range encodings {
		if !accepts(accepted, e.name) {
			continue
		}
		better, err := h.open(name + e.suffix)
		if err != nil {
			continue
		}
		return better, e.name
	}
	return file, ""
}

func (h *Handler) hasEncoded(name string) bool {
	for _, e := range encodings {
		if info, err := h.root.Stat(name + e.suffix); err == nil && info.Mode().IsRegular() {
			return true
		}
	}
	return false
}

// accepts reads an Accept-Encoding header (RFC 9110, 12.5.3). A coding with weight 0 is refused; "*" stands
// for those that are not named.
func accepts(header, coding string) bool {
	star := false
	for part := range strings.SplitSeq(header, ",") {
		name, parameter, _ := strings.Cut(part, ";")
		wanted := weight(parameter) > 0
		switch strings.ToLower(strings.TrimSpace(name)) {
		case coding:
			return wanted
		case "*":
			star = wanted
		}
	}
	return star
}

func weight(parameter string) float64 {
	text, ok := strings.CutPrefix(strings.ReplaceAll(parameter, " ", ""), "q=")
	if !ok {
		return 1
	}
	q, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0
	}
	return q
}

// tag is a file's ETag, made from its content when it is first asked for: two releases may have files of
// the same name, size and time.
type tag struct {
	once  sync.Once
	value string
	err   error
}

func (h *Handler) tag(file *os.File, key string) (string, error) {
	entry, _ := h.tags.LoadOrStore(key, &tag{})
	t := entry.(*tag)
	t.once.Do(func() { t.value, t.err = hash(file) })
	if t.err != nil {
		h.tags.Delete(key)
	}
	return t.value, t.err
}

func hash(file *os.File) (string, error) {
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", fmt.Errorf("hash %s: %w", file.Name(), err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return "", fmt.Errorf("rewind %s: %w", file.Name(), err)
	}
	return `"` + base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:18]) + `"`, nil
}
