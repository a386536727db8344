package platform

import (
	"encoding/json"
	"io"
)

// printJSONLine writes one NDJSON line.
func printJSONLine(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }
