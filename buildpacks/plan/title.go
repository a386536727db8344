package plan

import "fmt"

// The builders, as Plan.Builder names them.
const (
	Node     = "nodejs"
	Go       = "go"
	Python   = "python"
	Static   = "static"
	Procfile = "procfile"
)

// Title is the line that tells a pusher what was found: "Node.js app detected (package.json)".
func (p Plan) Title() string {
	return fmt.Sprintf("%s app detected (%s)", p.Language(), p.Detected)
}

// Language is the builder as people write it.
func (p Plan) Language() string {
	switch p.Builder {
	case Node:
		return "Node.js"
	case Go:
		return "Go"
	case Python:
		return "Python"
	case Static:
		return "Static"
	case Procfile:
		return "Procfile"
	default:
		return p.Builder
	}
}
