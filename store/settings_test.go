package store_test

import (
	"context"
	"testing"
	"time"

	"paas/platform"
)

func TestSettingsAndTheirHistory(t *testing.T) {
	s := fresh(t)
	ctx := context.Background()
	if _, err := s.CreateAppFor(ctx, "blog", ""); err != nil {
		t.Fatal(err)
	}
	set := func(value string) platform.Setting {
		return platform.Setting{Topic: platform.LimitTopic, Type: "web", Key: "memory", Value: value}
	}
	for _, value := range []string{"1g", "1g", "2g", "", ""} {
		if err := s.ChangeSettings(ctx, "blog", "alice", []platform.Setting{set(value)}); err != nil {
			t.Fatal(err)
		}
		list, err := s.Settings(ctx, "blog")
		if err != nil || value != "" && (len(list) != 1 || list[0] != set(value)) || value == "" && len(list) != 0 {
			t.Fatalf("after %q: %+v, %v", value, list, err)
		}
	}
	changes, err := s.SettingChanges(ctx, "blog", platform.LimitTopic, 10)
	if err != nil || len(changes) != 3 || changes[0].Before != "2g" || changes[0].Value != "" || changes[2].Before != "" || changes[1].Actor != "alice" {
		t.Errorf("%+v, %v", changes, err)
	}
	for _, err := range []error{
		s.ChangeSettings(ctx, "nope", "alice", []platform.Setting{set("1g")}), second(s.Settings(ctx, "nope")),
		s.CountOOM(ctx, "nope", platform.OOMCount{Type: "web"}), second(s.OOMCounts(ctx, "nope")),
	} {
		if platform.KindOf(err) != platform.NotFound {
			t.Errorf("of an app that is not there: %v", err)
		}
	}
}

func TestOOMCounts(t *testing.T) {
	s := fresh(t)
	ctx := context.Background()
	if _, err := s.CreateAppFor(ctx, "blog", ""); err != nil {
		t.Fatal(err)
	}
	at := time.UnixMilli(1_700_000_000_000).UTC()
	for n := range int64(2) {
		c := platform.OOMCount{Type: "web", Kills: n + 1, LastAt: at.Add(time.Duration(n) * time.Hour), Peak: 5 + n, Limit: 6}
		if err := s.CountOOM(ctx, "blog", c); err != nil {
			t.Fatal(err)
		}
	}
	list, err := s.OOMCounts(ctx, "blog")
	if want := (platform.OOMCount{Type: "web", Kills: 3, LastAt: at.Add(time.Hour), Peak: 6, Limit: 6}); err != nil || len(list) != 1 || list[0] != want {
		t.Errorf("%+v, %v", list, err)
	}
	if err := s.DestroyApp(ctx, "blog"); err != nil {
		t.Fatal(err)
	}
}

func second[T any](_ T, err error) error { return err }
