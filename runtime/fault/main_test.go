// Package fault_test kills daemons, inits and everything at random moments, and looks at what the next
// daemon makes of it.
package fault_test

import (
	"os"
	"testing"

	"paas/runtime/runtimetest/sandbox"
)

// TestMain doubles as the daemon that is killed: see daemon.
func TestMain(m *testing.M) {
	if dir := os.Getenv(daemonEnv); dir != "" {
		os.Exit(daemon(dir))
	}
	os.Exit(sandbox.Main(m))
}
