package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"paas/platform"
)

// logger appends to the file of --log in the form that engines read.
type logger struct {
	path string
	json bool
}

// tell says what went wrong, on stderr and in the log.
func (c *Command) tell(level string, err error) {
	text := err.Error()
	var e *platform.Error
	if errors.As(err, &e) && e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	_, _ = fmt.Fprintf(c.Stdio[2], "%s: %s: %s\n", c.Name, level, text)
	if c.log.path == "" {
		return
	}
	f, err := os.OpenFile(c.log.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }()
	now := time.Now().UTC().Format(time.RFC3339)
	if !c.log.json {
		_, _ = fmt.Fprintf(f, "time=%q level=%s msg=%q\n", now, level, text)
		return
	}
	_ = json.NewEncoder(f).Encode(map[string]string{"time": now, "level": level, "msg": text})
}
