package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"paas/router/http1"
)

func TestLimitsOfClients(t *testing.T) {
	path := filepath.Join(t.TempDir(), "paas.toml")
	for text, want := range map[string]http1.Limits{
		"":                         {},
		"head = 100\nfields = -1":  {Head: 100, Fields: -1},
		`header_timeout = "3s"`:    {Header: 3 * time.Second},
		`idle_timeout = "-1"`:      {Idle: -1},
		"connections = 5":          {PerClient: 5},
		`body_window = "1m"`:       {Window: time.Minute},
		"target = 7\nbody_rate=-1": {Target: 7, Rate: -1},
	} {
		if err := os.WriteFile(path, []byte("[clients]\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := settings{file: path}.complete()
		if err != nil {
			t.Fatal(text, err)
		}
		if got, err := s.Clients.limits(); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{`header_timeout = "soon"`, `idle_timeout = "-5s"`, `body_window = "0s"`, "heads = 1"} {
		if err := os.WriteFile(path, []byte("[clients]\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := (settings{file: path}).complete(); err == nil || !strings.Contains(err.Error(), "clients") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
