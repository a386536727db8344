package store

import (
	"context"
	"maps"
	"path/filepath"
	"testing"

	"paas/platform"
)

// A release keeps the global config of when it was made; one that repeats an earlier one keeps that one's.
func TestReleaseKeepsGlobals(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s, err := Open(ctx, filepath.Join(t.TempDir(), "paas.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if _, err := s.CreateAppFor(ctx, "blog", ""); err != nil {
		t.Fatal(err)
	}
	made := func(global platform.Config, r platform.Release) platform.Release {
		r.App, r.Image.ID = "blog", "sha256:1"
		if _, err := s.SetGlobalConfig(ctx, global, platform.Spread{}); err != nil {
			t.Fatal(err)
		}
		if r, err = s.AddRelease(ctx, r); err != nil {
			t.Fatal(err)
		}
		if r, err = s.Release(ctx, "blog", r.Number); err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := made(platform.Config{"A": "1"}, platform.Release{})
	second := made(platform.Config{"A": "2"}, platform.Release{})
	again := made(platform.Config{"A": "3"}, platform.Release{Globals: first.Globals})
	if first.Globals["A"] != "1" || second.Globals["A"] != "2" || !maps.Equal(again.Globals, first.Globals) {
		t.Errorf("%v %v %v", first.Globals, second.Globals, again.Globals)
	}
	if own, err := s.Config(ctx, "blog"); err != nil || len(own) != 0 {
		t.Errorf("global vars became the app's: %v, %v", own, err)
	}
}
