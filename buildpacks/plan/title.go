package plan

import (
	"cmp"
	"fmt"
)

// The builders, as Plan.Builder names them.
const (
	Node     = "nodejs"
	Go       = "go"
	Python   = "python"
	Static   = "static"
	Bun      = "bun"
	Deno     = "deno"
	Procfile = "procfile"
)

// Title is the line that tells a pusher what was found: "Node.js app detected (package.json)".
func (p Plan) Title() string {
	return fmt.Sprintf("%s app detected (%s)", p.Language(), p.Detected)
}

// Language is the builder as people write it.
func (p Plan) Language() string {
	names := map[string]string{Node: "Node.js", Go: "Go", Python: "Python", Static: "Static", Procfile: "Procfile", Bun: "Bun", Deno: "Deno"}
	return cmp.Or(names[p.Builder], p.Builder)
}
