package aptfile_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"paas/buildpacks/aptfile"
	"paas/buildpacks/source"
	"paas/buildpacks/treetest"
	"paas/platform"
)

func read(t *testing.T, files map[string]string) ([]string, error) {
	t.Helper()
	tree, err := source.Open(treetest.Files(files))
	if err != nil {
		t.Fatal(err)
	}
	return aptfile.Read(tree)
}

func TestRead(t *testing.T) {
	got, err := read(t, map[string]string{aptfile.Name: "# media\n\nffmpeg\nlibxml2-dev:amd64 # headers\r\n  jq=1.7.1-3 g++\nffmpeg\n"})
	if want := []string{"ffmpeg", "g++", "jq=1.7.1-3", "libxml2-dev:amd64"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := read(t, nil); got != nil || err != nil {
		t.Errorf("no file: %q, %v", got, err)
	}
}

func TestReadRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"jq\nhttps://example.com/a.deb\n": "line 2",
		"./a.deb":                         "only packages of Debian",
		":repo:deb http://x y main":       "line 1: other package archives",
		"--allow-downgrades":              "is not the name",
		"jq;reboot":                       "is not the name",
		"a/../b":                          "is not the name",
		strings.Repeat("a2 ", 600):        "more than 500",
	} {
		_, err := read(t, map[string]string{aptfile.Name: text})
		var e *platform.Error
		if !errors.As(err, &e) || e.Kind != platform.Failed || e.Hint == "" || !strings.Contains(e.Message, want) {
			t.Errorf("%.30q: %v", text, err)
		}
	}
	if _, err := read(t, map[string]string{aptfile.Name: "-> /etc/passwd"}); platform.KindOf(err) != platform.Failed {
		t.Errorf("a link out of the app: %v", err)
	}
}
