package platform

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// A kind that is said and not listed could not be asked for: events --kind refuses words that it does not know.
func TestAllEventKindsAreListed(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	declared := regexp.MustCompile(`(?m)^\s*(?:const )?Event\w+\s+EventKind = "([^"]+)"`)
	n := 0
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range declared.FindAllSubmatch(text, -1) {
			n++
			if !slices.Contains(eventKinds(), EventKind(m[1])) {
				t.Errorf("%s declares the kind %s, which eventKinds lacks", name, m[1])
			}
		}
	}
	if n != len(eventKinds()) {
		t.Errorf("%d kinds are declared and %d listed", n, len(eventKinds()))
	}
}
