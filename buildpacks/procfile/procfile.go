// Package procfile reads a Procfile: one "name: command" a line, as Heroku has it, in the strict form that
// Dokku settled on. Empty lines and lines that start with # or // are comments.
package procfile

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"paas/platform"
)

// Name is the file's name at the root of a source tree.
const Name = "Procfile"

// MaxSize is how many bytes a Procfile may have.
const MaxSize = 64 << 10

// A process type becomes a part of hostnames, so it is a DNS label (RFC 1123, 2.1).
var label = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// Valid tells whether s can be the name of a process type.
func Valid(s string) bool { return label.MatchString(s) }

// Parse returns the command line of each process type. One bad line fails the whole file: every error is a
// *platform.Error that names its line.
func Parse(text []byte) (map[platform.ProcessType]string, error) {
	processes := map[platform.ProcessType]string{}
	seen := map[platform.ProcessType]int{}
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if comment(line) {
			continue
		}
		name, command, err := entry(i+1, line)
		if err != nil {
			return nil, err
		}
		if first, twice := seen[name]; twice {
			return nil, bad(i+1, "%q is already on line %d", name, first).WithHint("keep one of the two lines")
		}
		seen[name], processes[name] = i+1, command
	}
	return processes, nil
}

func comment(line string) bool {
	return line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "//")
}

func entry(number int, line string) (platform.ProcessType, string, error) {
	if !utf8.ValidString(line) || strings.ContainsRune(line, 0) {
		return "", "", bad(number, "it is not UTF-8 text").WithHint("save the file as UTF-8")
	}
	name, command, ok := strings.Cut(line, ":")
	if !ok {
		return "", "", bad(number, "%q has no colon", short(line)).WithHint("write it as \"name: command\", for example \"web: node server.js\"")
	}
	if !Valid(name) {
		return "", "", badName(number, name)
	}
	command = strings.TrimSpace(command)
	if command == "" {
		return "", "", bad(number, "%q has no command", name).WithHint("write the command after the colon, or remove the line")
	}
	return platform.ProcessType(name), command, nil
}

func badName(number int, name string) error {
	e := bad(number, "%q is not a process type name", short(name))
	if better := suggest(name); Valid(better) {
		return e.WithHint("name it %q: up to 63 lower-case letters, digits and inner dashes", better)
	}
	return e.WithHint("use up to 63 lower-case letters, digits and inner dashes, then a colon and the command")
}

func suggest(name string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimSpace(name)), "_", "-")
}

func bad(number int, format string, args ...any) *platform.Error {
	args = append([]any{number}, args...)
	return platform.Errorf(platform.Failed, "Procfile line %d: "+format, args...)
}

func short(s string) string {
	if len(s) <= 60 {
		return s
	}
	return strings.ToValidUTF8(s[:60], "") + "…"
}
