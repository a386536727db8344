package perl

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"paas/buildpacks/source"
)

// start is how the app begins.
type start struct {
	command string   // of the web process, or ""
	with    []string // Debian packages of a server that the app does not bring
	warning string
}

var (
	mojolicious = regexp.MustCompile(`(?m)^\s*use\s+Mojolicious::Lite\b|Mojolicious::Commands->start_app|\bstart_app\(`)
	plain       = regexp.MustCompile(`^[A-Za-z0-9_.][A-Za-z0-9_./-]*$`)
)

// start looks for a PSGI file, then for Mojolicious, whose scripts bring their own server.
func (b builder) start() start {
	if file := psgi(b.src); file != "" {
		return b.serve(file)
	}
	if file := mojo(b.src); file != "" {
		return start{command: "perl " + file + " prefork -m production -l http://*:$PORT", with: b.lacks("Mojolicious", "libmojolicious-perl")}
	}
	return start{}
}

// psgi is the file with the application: app.psgi, or the only one there is (Dancer2 keeps it in bin, Catalyst at
// the top).
func psgi(src *source.Tree) string {
	if src.Has("app.psgi") {
		return "app.psgi"
	}
	var found []string
	for _, f := range src.Files() {
		if dir := path.Dir(f.Path); strings.HasSuffix(f.Path, ".psgi") && (dir == "." || dir == "bin" || dir == "script") && plain.MatchString(f.Path) {
			found = append(found, f.Path)
		}
	}
	if len(found) != 1 {
		return ""
	}
	return found[0]
}

func mojo(src *source.Tree) string {
	var candidates []string
	for _, f := range src.Files() {
		dir := path.Dir(f.Path)
		if !plain.MatchString(f.Path) || dir != "." && dir != "script" || dir == "." && !strings.HasSuffix(f.Path, ".pl") {
			continue
		}
		candidates = append(candidates, f.Path)
	}
	for _, file := range candidates[:min(len(candidates), 20)] {
		text, err := src.Head(file, maxText)
		if err == nil && mojolicious.Match(text) {
			return file
		}
	}
	return ""
}

// serve runs a PSGI application with the server that it requires, else with Debian's Starman.
func (b builder) serve(file string) start {
	switch {
	case b.modules.has("Gazelle"):
		return start{command: "plackup -s Gazelle -E deployment --port $PORT --max-workers ${WEB_CONCURRENCY:-4} " + file}
	case b.modules.has("Starlet"):
		return start{command: "plackup -s Starlet -E deployment --port $PORT --max-workers ${WEB_CONCURRENCY:-4} " + file}
	case b.modules.has("Twiggy"):
		return start{command: "plackup -s Twiggy -E deployment --port $PORT " + file}
	}
	with := b.lacks("Starman", "starman")
	return start{command: "starman --listen :$PORT --workers ${WEB_CONCURRENCY:-4} -E deployment " + file, with: with}
}

// lacks are the Debian packages of what the app needs and does not lock itself. Without a snapshot Debian's are
// taken where they will do.
func (b builder) lacks(module string, packages ...string) []string {
	if b.modules.has(module) && b.modules.snapshot {
		return nil
	}
	return slices.Sorted(slices.Values(packages))
}
