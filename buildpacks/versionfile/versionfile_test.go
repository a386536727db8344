package versionfile

import (
	"strings"
	"testing"

	"paas/buildpacks/treetest"
)

func TestTool(t *testing.T) {
	for text, want := range map[string]string{
		"nodejs 22.1.0\npython 3.13 3.12\n":  "22.1.0",
		"# nodejs 18\nnode 20 # LTS\r\n":     "20",
		"nodejs\nnodejs system\n":            "",
		"nodejs ref:main\nnodejs path:/x\n":  "",
		"python 3.13":                        "",
		"":                                   "",
		"--help\n\xff\xfe nodejs\nnodejs 1 ": "1",
	} {
		if got, err := Tool(treetest.Opened(t, map[string]string{Tools: text}), "nodejs", "node"); got != want || err != nil {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	if got, err := Tool(treetest.Opened(t, nil), "go"); got != "" || err != nil {
		t.Errorf("without the file: %q, %v", got, err)
	}
}

func TestLine(t *testing.T) {
	for text, want := range map[string]string{"3.13\n": "3.13", "# x\n\n  v22 # y\r\n18": "v22", "": "", "#": ""} {
		if got, err := Line(treetest.Opened(t, map[string]string{"f": text}), "f"); got != want || err != nil {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	if _, err := Line(treetest.Opened(t, map[string]string{"f": strings.Repeat("x", 1<<20)}), "f"); err == nil {
		t.Error("a version file of a megabyte")
	}
}

func TestNamed(t *testing.T) {
	for _, c := range []struct {
		files         map[string]string
		version, from string
	}{
		{map[string]string{Tools: "nodejs 22", "mise.toml": "[tools]\nnode = \"20\""}, "22", Tools},
		{map[string]string{"mise.toml": "[tools]\nnode = \"20\""}, "20", "mise.toml"},
		{map[string]string{".mise.toml": "[tools]\nnode = [\"20\", \"18\"]"}, "20", ".mise.toml"},
		{map[string]string{".config/mise.toml": "[tools]\nnode = { version = \"18\" }"}, "18", ".config/mise.toml"},
		{map[string]string{"mise.toml": "[tools]\nnode = 20\npython = \"3\""}, "", ""},
		{map[string]string{"mise.toml": "[tools]\nnode = \"path:/x\""}, "", ""},
		{nil, "", ""},
	} {
		version, from, err := Named(treetest.Opened(t, c.files), "nodejs", "node")
		if version != c.version || from != c.from || err != nil {
			t.Errorf("%v: %q from %q, %v", c.files, version, from, err)
		}
	}
	if _, _, err := Named(treetest.Opened(t, map[string]string{"mise.toml": "[tools"}), "node"); err == nil {
		t.Error("what is not TOML is not told of")
	}
}
