package store

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"paas/platform"
)

func buildStore(t *testing.T) *Store {
	t.Helper()
	s, err := Open(context.Background(), filepath.Join(t.TempDir(), "paas.db"))
	if err == nil {
		_, err = s.CreateAppFor(t.Context(), "blog", "")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestBuilds(t *testing.T) {
	s := buildStore(t)
	save := func(n int, status platform.BuildStatus) {
		t.Helper()
		b := platform.Build{App: "blog", Number: n, Actor: "alice", Status: status, CreatedAt: time.Now()}
		b.Steps = []platform.BuildStep{{Name: "build", Kind: platform.CommandStep, Why: "because"}}
		if err := s.SaveBuild(t.Context(), b, 3); err != nil {
			t.Fatal(err)
		}
	}
	save(1, platform.BuildRunning)
	for n := 2; n <= 6; n++ {
		save(n, platform.BuildSucceeded)
	}
	save(7, platform.BuildQueued)
	list, err := s.Builds(t.Context(), "blog", 10)
	if err != nil || len(list) != 4 || list[0].Number != 7 || list[3].Number != 1 {
		t.Fatalf("%d builds are kept, %v", len(list), err)
	}
	n, err := s.InterruptBuilds(t.Context(), "the server ended")
	if err != nil || n != 2 {
		t.Fatalf("%d were interrupted, %v", n, err)
	}
	b, err := s.Build(t.Context(), "blog", 7)
	if err != nil || b.Status != platform.BuildInterrupted || b.Cause != "the server ended" || b.EndedAt.IsZero() || b.Steps[0].Why != "because" {
		t.Errorf("%+v, %v", b, err)
	}
	if last, err := s.LastBuild(t.Context(), "blog"); last != 7 || err != nil {
		t.Errorf("the last is %d, %v", last, err)
	}
	if _, err := s.Build(t.Context(), "blog", 2); platform.KindOf(err) != platform.NotFound {
		t.Error(err)
	}
	if err := s.SaveBuild(t.Context(), platform.Build{App: "nope", Number: 1}, 3); platform.KindOf(err) != platform.NotFound {
		t.Error(err)
	}
}

func TestBuildInputsAndGlobalSettings(t *testing.T) {
	s := buildStore(t)
	if text, err := s.BuildInputs(t.Context(), "blog"); text != nil || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	for _, text := range []string{"one", "two"} {
		if err := s.SaveBuildInputs(t.Context(), "blog", []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := s.BuildInputs(t.Context(), "blog"); string(text) != "two" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	for _, value := range []string{"2", "3", ""} {
		err := s.ChangeGlobalSettings(t.Context(), []platform.Setting{{Topic: platform.BuildTopic, Key: "places", Value: value}})
		list, readErr := s.GlobalSettings(t.Context())
		if err != nil || readErr != nil || value != "" && list[0].Value != value || value == "" && len(list) != 0 {
			t.Errorf("%q: %v, %v, %v", value, list, err, readErr)
		}
	}
}

func TestOutputs(t *testing.T) {
	o, err := OpenOutputs(filepath.Join(t.TempDir(), "builds"))
	if err != nil {
		t.Fatal(err)
	}
	app := platform.App{ID: 7, Name: "blog"}
	for n := 1; n <= 5; n++ {
		w, err := o.Create(app, n, n-3)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	kept, _ := os.ReadDir(o.folder(app))
	if _, err := o.Open(app, 1); platform.KindOf(err) != platform.NotFound || len(kept) != 3 {
		t.Errorf("%d are kept, %v", len(kept), err)
	}
	if err := o.Remove(app); err != nil {
		t.Error(err)
	}
}
