package api

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/labstack/echo/v4"
)

const linesType = "application/x-ndjson"

// stream is an answer that is sent while it is made; its head goes with the first byte.
type stream struct {
	response *echo.Response
	kind     string

	mu    sync.Mutex
	begun bool
}

// Write implements io.Writer. It is safe for concurrent use.
func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.begun {
		s.begun = true
		s.response.Header().Set(echo.HeaderContentType, s.kind)
		s.response.WriteHeader(200)
	}
	n, err := s.response.Write(p)
	s.response.Flush()
	return n, err
}

// line sends one JSON document.
func (s *stream) line(v any) error {
	text, err := json.Marshal(v)
	if err == nil {
		_, err = s.Write(append(text, '\n'))
	}
	return err
}

// frames are lines that say what a command wrote, and to which of its streams.
type frames struct {
	*stream
	name string
}

// Write sends text as text, and what is none as base64.
func (f frames) Write(p []byte) (int, error) {
	line := map[string]any{"stream": f.name}
	if utf8.Valid(p) {
		line["text"] = string(p)
	} else {
		line["base64"] = base64.StdEncoding.EncodeToString(p)
	}
	return len(p), f.line(line)
}

// progress sends each line that a verb tells on the way.
type progress struct {
	w    *stream
	rest []byte
}

// maxProgress bounds a line that does not end.
const maxProgress = 64 << 10

func (p *progress) Write(b []byte) (int, error) {
	p.rest = append(p.rest, b...)
	for {
		line, rest, ok := bytes.Cut(p.rest, []byte("\n"))
		if !ok && len(p.rest) < maxProgress {
			return len(b), nil
		}
		p.rest = rest
		text := strings.TrimRight(strings.ToValidUTF8(string(line), "?"), "\r")
		if err := p.w.line(map[string]string{"progress": text}); err != nil {
			return 0, err
		}
	}
}
