package buildpacks

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"paas/buildpacks/plan"
	"paas/platform"
)

// The key of a step says that a config var changed, and on another host, with another key, is another one.
func TestSecretsAreKeyed(t *testing.T) {
	one, two := t.TempDir(), t.TempDir()
	key := func(dir, value string) string {
		s, err := openSecret(dir)
		check(t, err)
		b := &build{Engine: &Engine{secret: s}, req: platform.BuildRequest{Config: platform.Config{"TOKEN": value}}}
		return b.stepKey(plan.Step{Config: true}, nil)
	}
	keys := []string{key(one, "a"), key(one, "b"), key(two, "a"), key(two, "b")}
	if again := key(one, "a"); again != keys[0] {
		t.Errorf("the same makes %s and %s", keys[0], again)
	}
	if slices.Sort(keys); len(slices.Compact(keys)) != 4 {
		t.Errorf("keys %v", keys)
	}
	info, err := os.Stat(filepath.Join(one, secretName))
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() != secretBytes {
		t.Errorf("%v, %v", info, err)
	}
}

// A build tells of each layer what it was made from and whether it was there.
func TestBuildReport(t *testing.T) {
	b := newBench(t)
	app := b.app()
	p := commands("echo $TOKEN > out")
	p.Steps[1].Config = true
	b.plans(p)
	build := func(token string) (steps []platform.BuildStep) {
		_, err := b.Build(t.Context(), platform.BuildRequest{
			App: app, Source: files("a", "1"), Config: platform.Config{"TOKEN": token}, Story: platform.NewStory(t.Output(), nil),
			Report: func(s platform.BuildStep) { steps = append(steps, s) },
		})
		check(t, err)
		return steps
	}
	first, second, third := build("x"), build("x"), build("y")
	for i, want := range []string{"base", "source", "command"} {
		if string(first[i].Kind) != want || first[i].Reused != (i == 0) || !second[i].Reused || second[i].Key != first[i].Key {
			t.Errorf("%+v, then %+v", first[i], second[i])
		}
	}
	if third[2].Reused || !third[1].Reused || third[2].Key == first[2].Key {
		t.Errorf("another secret: %+v", third[2])
	}
	if len(first[1].Files) != 1 || first[1].Files[0].Path != "a" || strings.Contains(first[2].Key, "x") {
		t.Errorf("%+v", first)
	}
}
