package versionfile

import (
	"strings"
	"testing"

	"paas/buildpacks/source"
	"paas/buildpacks/treetest"
)

func open(t *testing.T, files map[string]string) *source.Tree {
	t.Helper()
	src, err := source.Open(treetest.Files(files))
	if err != nil {
		t.Fatal(err)
	}
	return src
}

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
		if got, err := Tool(open(t, map[string]string{Tools: text}), "nodejs", "node"); got != want || err != nil {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	if got, err := Tool(open(t, nil), "go"); got != "" || err != nil {
		t.Errorf("without the file: %q, %v", got, err)
	}
}

func TestLine(t *testing.T) {
	for text, want := range map[string]string{"3.13\n": "3.13", "# x\n\n  v22 # y\r\n18": "v22", "": "", "#": ""} {
		if got, err := Line(open(t, map[string]string{"f": text}), "f"); got != want || err != nil {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	if _, err := Line(open(t, map[string]string{"f": strings.Repeat("x", 1<<20)}), "f"); err == nil {
		t.Error("a version file of a megabyte")
	}
}
