package manifest

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"paas/platform"
)

// LegacyName is the name of the file that Dokku read before app.json had healthchecks.
const LegacyName = "CHECKS"

// Defaults of the CHECKS file, in seconds where they are times.
const (
	legacyWait     = 5
	legacyTimeout  = 30
	legacyAttempts = 5
)

// ParseLegacy reads a CHECKS file: settings WAIT, TIMEOUT and ATTEMPTS as NAME=VALUE, and one check a line,
// "/path expected content" or "//host/path expected content". Every error is a *platform.Error with the line.
func ParseLegacy(text []byte) ([]platform.Check, error) {
	timing := platform.Check{Wait: legacyWait * time.Second, Timeout: legacyTimeout * time.Second, Attempts: legacyAttempts}
	var checks []platform.Check
	for i, line := range strings.Split(strings.ToValidUTF8(string(text), "�"), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if strings.ContainsFunc(strings.ReplaceAll(line, "\t", " "), unicode.IsControl) {
			return nil, (&legacyError{"it has control characters", "save the file as plain text"}).at(i + 1)
		}
		if strings.HasPrefix(line, "/") {
			if len(checks) == maxChecks {
				return nil, (&legacyError{fmt.Sprintf("it is the %dth check, and there may be %d", maxChecks+1, maxChecks), "leave some out"}).at(i + 1)
			}
			checks = append(checks, legacyCheck(len(checks)+1, line))
			continue
		}
		if err := legacySetting(&timing, line); err != nil {
			return nil, err.at(i + 1)
		}
	}
	for i := range checks {
		checks[i].Wait, checks[i].Timeout, checks[i].Attempts = timing.Wait, timing.Timeout, timing.Attempts
	}
	return checks, nil
}

func legacyCheck(number int, line string) platform.Check {
	path, content := line, ""
	if blank := strings.IndexAny(line, " \t"); blank > 0 {
		path, content = line[:blank], strings.TrimSpace(line[blank:])
	}
	check := platform.Check{Name: "check-" + strconv.Itoa(number), Path: path, Content: content}
	if rest, ok := strings.CutPrefix(path, "//"); ok {
		host, path, _ := strings.Cut(rest, "/")
		check.Path, check.Headers = "/"+path, map[string]string{"Host": host}
	}
	return check
}

// legacyError is why a line is refused.
type legacyError struct{ message, hint string }

func (e *legacyError) at(line int) error {
	return platform.Errorf(platform.Failed, "CHECKS line %d: %s", line, e.message).WithHint("%s", e.hint)
}

func legacySetting(timing *platform.Check, line string) *legacyError {
	name, text, ok := strings.Cut(line, "=")
	if !ok {
		return &legacyError{short([]byte(line)) + " is neither a path nor a setting", "a check starts with /, a setting is WAIT=5, TIMEOUT=30 or ATTEMPTS=5"}
	}
	value, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || value < 0 || value > maxSeconds {
		return &legacyError{name + " must be a whole number from 0 to 3600", "write " + name + "=5"}
	}
	switch strings.TrimSpace(name) {
	case "WAIT":
		timing.Wait = time.Duration(value) * time.Second
	case "TIMEOUT":
		timing.Timeout = time.Duration(max(value, 1)) * time.Second
	case "ATTEMPTS":
		timing.Attempts = max(value, 1)
	}
	return nil
}
