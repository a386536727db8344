package verbs

import "encoding/json"

// keptRemains is how many bytes of what a failed errand printed outlive the daemon, of each of its two streams.
const keptRemains = 16 << 10

// remains is the end of what an errand printed, as the store has it (errand.recall reads it).
type remains struct {
	Output string `json:"output,omitempty"`
	Errors string `json:"errors,omitempty"`
}

// remains is "" of one that succeeded: nobody asks why, and what it printed may be a secret (a token, a config var). So may
// be what a command of the app's own printed.
func (r *errand) remains(v Verb, code int) string {
	if code == 0 {
		return ""
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := remains{Errors: lastBytes(r.stderr.Bytes(), keptRemains)}
	if !v.Raw {
		kept.Output = lastBytes(r.output.Bytes(), keptRemains)
	}
	text, err := json.Marshal(kept)
	if err != nil {
		return "" // strings can be written
	}
	return string(text)
}

func lastBytes(b []byte, most int) string { return string(b[max(0, len(b)-most):]) }

// recall is remains, read by the next daemon. Versions before kept nothing.
func (r *errand) recall(said string) {
	var kept remains
	if json.Unmarshal([]byte(said), &kept) != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.output.WriteString(kept.Output)
	r.stderr.WriteString(kept.Errors)
}
