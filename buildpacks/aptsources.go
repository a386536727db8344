package buildpacks

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// debianMirrors are the first Debian archive and the first of its security updates in apt's sources, read
// from sources.list and sources.list.d in either format (sources.list(5)).
func debianMirrors(dir string) (mirror, security string) {
	files, _ := filepath.Glob(filepath.Join(dir, "sources.list.d", "*")) // the pattern is fine
	for _, file := range append([]string{filepath.Join(dir, "sources.list")}, files...) {
		text, err := os.ReadFile(filepath.Clean(file))
		if err != nil {
			continue
		}
		for _, s := range parseSources(file, string(text)) {
			switch {
			case s.has("-security") && security == "":
				security = s.uri
			case s.has("") && mirror == "":
				mirror = s.uri
			}
		}
	}
	return mirror, security
}

// aptSource is one source of binary packages.
type aptSource struct {
	uri    string
	suites []string
}

// has tells whether the source has a suite of Debian with the ending: "bookworm" with "", "bookworm-security".
// Ubuntu's and other people's suites have other names.
func (s aptSource) has(ending string) bool {
	names := []string{"bullseye", "bookworm", "trixie", "forky", "duke", "sid", "stable", "oldstable", "testing", "unstable"}
	return (strings.HasPrefix(s.uri, "http://") || strings.HasPrefix(s.uri, "https://")) &&
		slices.ContainsFunc(names, func(n string) bool { return slices.Contains(s.suites, n+ending) })
}

func parseSources(file, text string) []aptSource {
	if strings.HasSuffix(file, ".sources") {
		return parseDeb822(text)
	}
	if strings.HasSuffix(file, ".list") {
		return parseList(text)
	}
	return nil // apt reads no others
}

// parseList reads lines like "deb [arch=amd64] http://mirror/debian bookworm main".
func parseList(text string) (all []aptSource) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != "deb" {
			continue
		}
		words = words[1:]
		if len(words) > 0 && strings.HasPrefix(words[0], "[") {
			end := slices.IndexFunc(words, func(w string) bool { return strings.HasSuffix(w, "]") })
			words = words[end+1:]
		}
		if len(words) >= 3 && slices.Contains(words[2:], "main") {
			all = append(all, aptSource{words[0], words[1:2]})
		}
	}
	return all
}

// parseDeb822 reads paragraphs of "Field: value" lines; values may go on in indented lines.
func parseDeb822(text string) (all []aptSource) {
	fields, last := map[string][]string{}, ""
	end := func() {
		enabled := !slices.Equal(fields["enabled"], []string{"no"})
		if slices.Contains(fields["types"], "deb") && slices.Contains(fields["components"], "main") && enabled {
			for _, uri := range fields["uris"] {
				all = append(all, aptSource{uri, fields["suites"]})
			}
		}
		fields = map[string][]string{}
	}
	for line := range strings.SplitSeq(text, "\n") {
		name, value, found := strings.Cut(line, ":")
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.TrimSpace(line) == "":
			end()
		case line[0] == ' ' || line[0] == '\t':
			fields[last] = append(fields[last], strings.Fields(line)...)
		case found:
			last = strings.ToLower(name)
			fields[last] = strings.Fields(value)
		}
	}
	end()
	return all
}
