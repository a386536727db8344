// Package peers has what tests and benchmarks need of other people's proxies: the one that Debian does not package.
package peers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Caddy's module, in a version that module proxies have had for some months.
const (
	caddyCommand = "github.com/caddyserver/caddy/v2/cmd/caddy"
	CaddyVersion = "v2.11.4"
)

// Caddy compiles Caddy's command into dir with the go command of PATH, outside of our own module, and returns its
// path. It blocks for some minutes the first time, and needs the module proxy that the machine's Go configuration
// names or a module cache that has it; the error says what go said.
func Caddy(ctx context.Context, dir string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "install", caddyCommand+"@"+CaddyVersion)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOWORK=off", "GOFLAGS=", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build Caddy %s: %w: %s", CaddyVersion, err, lastLine(out))
	}
	return filepath.Join(dir, "caddy"), nil
}

// lastLine is where go says what went wrong, after all that it downloads.
func lastLine(out []byte) string {
	text := strings.TrimSpace(string(out))
	return text[strings.LastIndexByte(text, '\n')+1:]
}
