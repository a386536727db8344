package buildpacks_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"paas/buildpacks"
	"paas/buildpacks/treetest"
)

// Apps that are only planned here: small trees with what decides about their plans.
func TestGoldenFixtures(t *testing.T) {
	apps, err := os.ReadDir("testdata/apps")
	if err != nil {
		t.Fatal(err)
	}
	for _, app := range apps {
		t.Run(app.Name(), func(t *testing.T) {
			p, err := buildpacks.Detect(t.Context(), treetest.Dir(t, filepath.Join("testdata/apps", app.Name())))
			if err != nil {
				t.Fatal(err)
			}
			compareJSON(t, filepath.Join("testdata/golden", app.Name()+".json"), p)
		})
	}
}

func compareJSON(t *testing.T, golden string, value any) {
	t.Helper()
	var got bytes.Buffer
	encoder := json.NewEncoder(&got)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("the plan changed; see the difference with: go test ./buildpacks -run Golden -update && git diff\n%s", got.Bytes())
	}
}
