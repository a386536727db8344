package buildpacks

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the golden plans anew")

// Every example app has its plan in testdata/golden. A plan that changes shows in the review.
func TestGoldenPlans(t *testing.T) {
	examples, err := filepath.Glob("../examples/*")
	if err != nil || len(examples) < 6 {
		t.Fatalf("examples %v, %v", examples, err)
	}
	for _, dir := range examples {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			tree, err := DirTree(dir)
			if err != nil {
				t.Fatal(err)
			}
			plan, err := Detect(context.Background(), tree)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			enc := json.NewEncoder(&got)
			enc.SetIndent("", "  ")
			enc.SetEscapeHTML(false)
			if err := enc.Encode(plan); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", "golden", filepath.Base(dir)+".json")
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil { //nolint:gosec // part of the source
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || !bytes.Equal(got.Bytes(), want) {
				t.Errorf("the plan is now (go test ./buildpacks -run Golden -update accepts it)\n%s", &got)
			}
		})
	}
}
