package buildpacks

import (
	"strings"
	"testing"

	"paas/buildpacks/plan"
	"paas/platform"
)

func TestNearestFirst(t *testing.T) {
	versions := []string{"24.2.0", "23.9.0", "22.11.0", "22.10.3", "22.10.1", "20.1.0"} // newest first, as registries' are sorted
	for wish, want := range map[string]string{
		"22.10.9": "22.10.3", ">=22.10.7 <22.11": "22.10.3", "21.0.0": "22.11.0", "99": "24.2.0", "18": "20.1.0", "no number": "24.2.0",
	} {
		if got := nearestFirst(wish, versions)[0]; got != want {
			t.Errorf("%q: %s, want %s", wish, got, want)
		}
	}
}

// A version that is listed and refused is told of together with the nearest that is handed out.
func TestNearestOfRefused(t *testing.T) {
	b, s := npmBench(t)
	s.versions[nodePackage] = []string{"22.1.0", "22.1.1", "22.2.0", "24.0.0"}
	s.refuse[nodePackage+"@22.1.1"] = true
	_, err := b.toolchain(t.Context(), "base", plan.Toolchain{Name: "node", Version: "22.1.1", From: ".nvmrc"}, platform.NewStory(t.Output(), nil))
	if err == nil || !strings.Contains(err.Error(), ".nvmrc asks for Node.js 22.1.1, which cannot be had; the nearest that can is 22.1.0") {
		t.Errorf("got %v", err)
	}
	_, err = b.toolchain(t.Context(), "base", plan.Toolchain{Name: "node", Version: "23", From: ".nvmrc"}, platform.NewStory(t.Output(), nil))
	if err == nil || !strings.Contains(err.Error(), "the nearest that can is 24.0.0") {
		t.Errorf("got %v", err)
	}
}

func TestPinned(t *testing.T) {
	config := platform.Config{"NODE_VERSION": "20"}
	if got := pinned(plan.Toolchain{Name: "node", Version: "22", From: ".nvmrc"}, config); got.Version != "20" || got.From != "config NODE_VERSION" {
		t.Errorf("%+v", got)
	}
	if got := pinned(plan.Toolchain{Name: "bun", Version: "1"}, config); got.Version != "1" {
		t.Errorf("%+v", got)
	}
	if bunPackage(true) == bunPackage(false) {
		t.Error("old processors need another Bun")
	}
}
