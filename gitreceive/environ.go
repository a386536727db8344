package gitreceive

import (
	"slices"
	"strings"
	"sync"

	gossh "golang.org/x/crypto/ssh"
)

// What of a client's environment is taken: which language and which colours its user wants. OpenSSH's clients send LANG
// and LC_* unasked on Debian (SendEnv in ssh_config).
const (
	maxVariables     = 32
	maxVariableBytes = 256 // name and value
)

func wantedVariable(name string) bool {
	return strings.HasPrefix(name, "LC_") || slices.Contains([]string{"LANG", "LANGUAGE", "COLORTERM", "NO_COLOR"}, name)
}

// environ is what the client has set with "env" requests (RFC 4254, section 6.4).
type environ struct {
	mu   sync.Mutex
	list []string // "KEY=value"
}

// set tells whether the variable was taken.
func (e *environ) set(payload []byte) bool {
	var v struct{ Name, Value string }
	if gossh.Unmarshal(payload, &v) != nil || !wantedVariable(v.Name) {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.list) >= maxVariables || len(v.Name)+len(v.Value) > maxVariableBytes || strings.ContainsAny(v.Name+v.Value, "=\x00\n") {
		return false
	}
	e.list = append(e.list, v.Name+"="+v.Value)
	return true
}

func (e *environ) all() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.list)
}
