package platform

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// A bundle is what a Dokku host printed, command by command:
//
//	paas-dokku-bundle 1
//	## config:export blog
//	|export COLOR='blue'
//	## end 0
//
// What was printed has a bar before every line, so that it cannot be taken for something else; the number is the
// command's exit status.

const bundleHead = "paas-dokku-bundle 1"

// The most that a bundle may have.
const (
	maxBundle     = 64 << 20 // bytes
	maxBundleLine = 4 << 20
	maxBundleApps = 1000
)

// bundle is the output of each command that succeeded, by its words.
type bundle map[string]string

func notBundle(why string) error {
	return Errorf(Usage, "standard input is no bundle: %s", why).
		WithHint("make one: ssh paas apps:import --script > export.sh; sh export.sh dokku@old.example.com > bundle.txt; ssh paas apps:import < bundle.txt")
}

// readBundle reads all of it, or nothing.
func readBundle(in io.Reader) (bundle, error) {
	if in == nil {
		return nil, notBundle("it is empty")
	}
	limited := &io.LimitedReader{R: in, N: maxBundle}
	lines := bufio.NewScanner(limited)
	lines.Buffer(nil, maxBundleLine)
	if !lines.Scan() || lines.Text() != bundleHead {
		return nil, notBundle("its first line is not " + strconv.Quote(bundleHead))
	}
	b := bundle{}
	for lines.Scan() {
		command, begins := strings.CutPrefix(lines.Text(), "## ")
		if !begins {
			return nil, notBundle(fmt.Sprintf("%.60q stands where a command should begin", lines.Text()))
		}
		output, status, err := readOutput(lines)
		if err != nil {
			return nil, err
		}
		if status == 0 {
			b[command] = output
		}
	}
	if err := lines.Err(); err != nil || limited.N == 0 {
		return nil, notBundle("it is too long").(*Error).Because(err)
	}
	return b, nil
}

func readOutput(lines *bufio.Scanner) (output string, status int, err error) {
	var text strings.Builder
	for lines.Scan() {
		if line, ok := strings.CutPrefix(lines.Text(), "|"); ok {
			text.WriteString(line + "\n")
			continue
		}
		number, ok := strings.CutPrefix(lines.Text(), "## end ")
		if status, err = strconv.Atoi(number); !ok || err != nil {
			return "", 0, notBundle(fmt.Sprintf("%.60q stands where a command should end", lines.Text()))
		}
		return text.String(), status, nil
	}
	return "", 0, notBundle("it was cut off")
}

// apps lists the apps that were reported, without those that have no config, which is asked of every one.
func (b bundle) apps() (names []string) {
	for command := range b {
		if name, ok := strings.CutPrefix(command, "config:export "); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// fields reads a report: "       Domains app vhosts:  a b". Keys are in lower case.
func (b bundle) fields(command, app string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(b[command+" "+app]) {
		key, value, ok := strings.Cut(line, ":")
		if ok && !strings.HasPrefix(line, "=") && !strings.HasPrefix(line, "-----") {
			out[strings.ToLower(strings.TrimSpace(key))] = strings.TrimSpace(value)
		}
	}
	return out
}

// indented are a list's lines below its headings.
func (b bundle) listed(command, app string) (list []string) {
	for line := range strings.Lines(b[command+" "+app]) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "----") && !strings.HasPrefix(line, "====") {
			list = append(list, line)
		}
	}
	return list
}

// formation reads ps:scale: "web:  1", below "proctype: qty" and a line of dashes.
func (b bundle) formation(app string) Formation {
	f := Formation{}
	for _, line := range b.listed("ps:scale", app) {
		typ, number, ok := strings.Cut(line, ":")
		n, err := strconv.Atoi(strings.TrimSpace(number))
		if typ = strings.TrimSpace(typ); ok && err == nil && n >= 0 && processTypeName.MatchString(typ) {
			f[ProcessType(typ)] = min(n, maxQuantity)
		}
	}
	return f
}

// config reads config:export: "export KEY='value'", a quote in a value being written as a shell needs it.
func (b bundle) config(app string) (Config, error) {
	c := Config{}
	rest := b["config:export "+app]
	for rest = strings.TrimLeft(rest, " \n"); rest != ""; rest = strings.TrimLeft(rest, " \n") {
		key, value, ok := strings.Cut(strings.TrimPrefix(rest, "export "), "=")
		if !ok || !configKey.MatchString(key) {
			return nil, fmt.Errorf("%.40q is no config var", rest)
		}
		var err error
		if c[key], rest, err = unquote(value); err != nil {
			return nil, fmt.Errorf("read %s: %w", key, err)
		}
	}
	return c, nil
}

// unquote reads one word as a shell does, in single quotes or with backslashes.
func unquote(text string) (word, rest string, err error) {
	var out strings.Builder
	for text != "" && text[0] != '\n' && text[0] != ' ' {
		switch text[0] {
		case '\'':
			end := strings.IndexByte(text[1:], '\'')
			if end < 0 {
				return "", "", errors.New("its quote does not end")
			}
			out.WriteString(text[1 : 1+end])
			text = text[end+2:]
		case '\\':
			if len(text) < 2 {
				return "", "", errors.New("it ends with a backslash")
			}
			out.WriteByte(text[1])
			text = text[2:]
		default:
			out.WriteByte(text[0])
			text = text[1:]
		}
	}
	return out.String(), text, nil
}

// exportScript asks a Dokku host everything that Import can read, and prints the bundle. It changes nothing there.
const exportScript = `#!/bin/sh
# Prints what a Dokku host has, for: ssh paas apps:import < bundle.txt
# It only reads. The bundle has the config vars of every app in it: keep it like a password.
#
#   sh export.sh dokku@old.example.com > bundle.txt        all apps
#   sh export.sh dokku@old.example.com blog > bundle.txt   some
set -u
umask 077
host=${1:-}
if [ -z "$host" ]; then
	echo "usage: sh export.sh dokku@old.example.com [app...] > bundle.txt" >&2
	exit 2
fi
shift
said=$(mktemp) || exit 1
trap 'rm -f "$said"' EXIT

ask() {
	printf '## %s\n' "$*"
	ssh -n "$host" "$@" > "$said" 2> /dev/null
	status=$?
	if [ "$status" -eq 255 ]; then
		echo "export.sh: cannot reach $host" >&2
		exit 1
	fi
	echo >> "$said"
	sed 's/^/|/' "$said"
	printf '## end %s\n' "$status"
}

echo 'paas-dokku-bundle 1'
if [ $# -eq 0 ]; then
	list=$(ssh -n "$host" apps:list) || { echo "export.sh: $host does not list its apps" >&2; exit 1; }
	set -- $(printf '%s\n' "$list" | sed '/^[=-]/d')
fi
for app in "$@"; do
	echo "export.sh: $app" >&2
	for what in apps:report config:export ps:scale ps:report domains:report ports:list proxy:ports storage:list \
		resource:report buildpacks:list builder:report git:report checks:report docker-options:report certs:report cron:list; do
		ask "$what" "$app"
	done
done
`
