package asdf

import (
	"testing"

	"paas/buildpacks/source"
	"paas/buildpacks/treetest"
)

func TestVersion(t *testing.T) {
	cases := map[string]string{
		"nodejs 22.1.0\npython 3.13 3.12\n":  "22.1.0",
		"# nodejs 18\nnode 20 # LTS\r\n":     "20",
		"nodejs\nnodejs system\n":            "",
		"nodejs ref:main\nnodejs path:/x\n":  "",
		"python 3.13":                        "",
		"":                                   "",
		"--help\n\xff\xfe nodejs\nnodejs 1 ": "1",
	}
	for text, want := range cases {
		src, err := source.Open(treetest.Files(map[string]string{Name: text}))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Version(src, "nodejs", "node"); got != want || err != nil {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	src, err := source.Open(treetest.Files(nil))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Version(src, "go"); got != "" || err != nil {
		t.Errorf("without the file: %q, %v", got, err)
	}
}
