package buildpacks_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"paas/buildpacks"
	"paas/buildpacks/treetest"
)

// Each archive in testdata/frameworks is what matters of an app, and the plan that it gets: -update writes that.
func TestFrameworkPlans(t *testing.T) {
	archives, err := filepath.Glob("testdata/frameworks/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal(archives, err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) { compareFramework(t, name) })
	}
}

func compareFramework(t *testing.T, name string) {
	const golden = "PLAN"
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	tree, want := map[string]string{}, ""
	var files []txtar.File
	for _, f := range archive.Files {
		if f.Name == golden {
			want = string(f.Data)
			continue
		}
		tree[f.Name] = string(f.Data)
		files = append(files, f)
	}
	p, err := buildpacks.Detect(t.Context(), treetest.Files(tree))
	if err != nil {
		t.Fatal(err, hintOf(err))
	}
	var got bytes.Buffer
	encoder := json.NewEncoder(&got)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(p); err != nil {
		t.Fatal(err)
	}
	if *update {
		archive.Files = append(files, txtar.File{Name: golden, Data: got.Bytes()})
		if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got.String() != want {
		t.Errorf("the plan changed; see the difference with: go test ./buildpacks -run Framework -update && git diff\n%s", got.Bytes())
	}
}
