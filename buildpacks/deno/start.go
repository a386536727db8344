package deno

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"paas/buildpacks/source"
)

// onPort makes Deno's first server listen where it is asked for (Deno's manual, "Environment variables").
const onPort = "DENO_SERVE_ADDRESS=tcp:0.0.0.0:$PORT "

// start is the command line of the web process, or "". A server that does not ask for PORT is made to listen there by
// Deno itself, whatever its call says.
func start(src *source.Tree, c config) string {
	address := onPort
	if asksForPort(src, c) {
		address = ""
	}
	if c.hasTask("start") {
		return address + "deno task start"
	}
	if entry := entryOf(src, c); entry != "" {
		return address + "deno run --allow-all " + entry
	}
	return ""
}

var portName = regexp.MustCompile(`\bPORT\b`)

// asksForPort tells whether the start task or the app's own modules speak of PORT.
func asksForPort(src *source.Tree, c config) bool {
	if portName.Match(c.Tasks["start"]) {
		return true
	}
	scanned := 0
	for _, f := range src.Files() {
		if !isModule(f.Path) {
			continue
		}
		if scanned++; scanned > maxScanned {
			return false
		}
		if text, err := src.Head(f.Path, maxHead); err == nil && portName.Match(text) {
			return true
		}
	}
	return false
}

// isModule tells whether the file is a module of the app's own.
func isModule(name string) bool {
	known := slices.Contains([]string{".ts", ".tsx", ".js", ".jsx", ".mjs", ".mts"}, path.Ext(name))
	return known && !strings.Contains("/"+name, "/node_modules/")
}
