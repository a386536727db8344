package platform

import (
	"encoding/json"
	"io"
	"time"
)

// printLogJSON writes one NDJSON line.
func printLogJSON(w io.Writer, l LogLine) error {
	return json.NewEncoder(w).Encode(struct {
		At     time.Time `json:"at"`
		Source string    `json:"source"`
		Stream string    `json:"stream"`
		Text   string    `json:"text"`
	}{l.At.UTC(), l.Source, l.Stream, l.Text})
}

// printJSONLine writes one NDJSON line.
func printJSONLine(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }
