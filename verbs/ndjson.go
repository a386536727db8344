package verbs

import (
	"bytes"
	"encoding/json"
	"io"
	"sync"
)

// maxJSONLine is how long a line may get before it is printed in parts, in bytes.
const maxJSONLine = 64 << 10

// ndjson prints what a command writes as JSON objects, one a line: {"stream":"stdout","text":"…"}, and in the end
// {"exit":0}. Bytes that are no UTF-8 become U+FFFD, as encoding/json has it.
type ndjson struct {
	mu  sync.Mutex
	enc *json.Encoder
}

func newNDJSON(to io.Writer) *ndjson {
	n := &ndjson{enc: json.NewEncoder(to)}
	n.enc.SetEscapeHTML(false)
	return n
}

func (n *ndjson) stream(name string) *jsonLines { return &jsonLines{to: n, name: name} }

func (n *ndjson) exit(code int) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.enc.Encode(map[string]int{"exit": code})
}

// jsonLines is one of the streams.
type jsonLines struct {
	to   *ndjson
	name string
	rest []byte
}

func (l *jsonLines) Write(p []byte) (int, error) {
	l.to.mu.Lock()
	defer l.to.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		i := bytes.IndexByte(l.rest, '\n')
		if i < 0 && len(l.rest) < maxJSONLine {
			return len(p), nil
		}
		if i < 0 {
			i = len(l.rest) - 1
		}
		if err := l.print(bytes.TrimRight(l.rest[:i+1], "\r\n")); err != nil {
			return 0, err
		}
		l.rest = append(l.rest[:0], l.rest[i+1:]...)
	}
}

func (l *jsonLines) print(line []byte) error {
	return l.to.enc.Encode(struct {
		Stream string `json:"stream"`
		Text   string `json:"text"`
	}{l.name, string(line)})
}

// flush prints a last line that has no end.
func (l *jsonLines) flush() error {
	l.to.mu.Lock()
	defer l.to.mu.Unlock()
	if len(l.rest) == 0 {
		return nil
	}
	return l.print(l.rest)
}
