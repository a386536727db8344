package verbs

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"paas/platform"
)

// accepted keeps an errand as a daemon that was killed left it.
func accepted(t *testing.T, tab *Table, id, verb string, words ...string) {
	t.Helper()
	var line []Word
	for _, w := range words {
		line = append(line, Word{w, w})
	}
	text, err := json.Marshal(spoken{line, "ssh paas"})
	if err != nil {
		t.Fatal(err)
	}
	e := platform.Errand{ID: id, Actor: platform.Actor{Name: platform.Root, Admin: true, Request: id}, Verb: verb, Words: string(text), Began: time.Now()}
	if err := tab.platform.Store.AddErrand(context.Background(), e); err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, tab *Table, id string, code int) {
	t.Helper()
	if got := run(tab, true, "requests:wait", id); got.code != code {
		t.Errorf("%s ended with %d, want %d: %s%s", id, got.code, code, got.out, got.err)
	}
}

// An accepted command that a kill cut off is begun again, but not when the audit has what it did and a second time would
// be another change.
func TestAcceptedCommandsAreDoneOnce(t *testing.T) {
	tab, ctx := table(t), context.Background()
	accepted(t, tab, "aaaa0001", "trash:set", "keep=14d")
	accepted(t, tab, "aaaa0002", "releases:gone", "x")
	accepted(t, tab, "aaaa0003", "trash:restore", "blog") // would be NotFound
	did := platform.Event{
		At: time.Now(), Kind: platform.EventCommand, Actor: "root", Text: "trash:restore blog",
		Audit: platform.Audit{Request: "aaaa0003", Outcome: "cut off", Changes: []platform.Alteration{{What: "app", New: "blog"}}},
	}
	if err := tab.platform.Store.AddEvents(ctx, []platform.Event{did}); err != nil {
		t.Fatal(err)
	}
	if err := tab.Resume(ctx); err != nil {
		t.Fatal(err)
	}
	wantCode(t, tab, "aaaa0001", 0)
	wantCode(t, tab, "aaaa0002", 127)
	wantCode(t, tab, "aaaa0003", 0)
	if list, err := tab.platform.Store.GlobalSettings(ctx); err != nil || len(list) != 1 || list[0].Value != "14d" {
		t.Errorf("settings %v, error %v", list, err)
	}
	again := New(tab.platform, "1.2.3")
	if err := again.Resume(ctx); err != nil {
		t.Fatal(err)
	}
	wantCode(t, again, "aaaa0002", 127)
}

// A verb that repeatable speaks of is there.
func TestRepeatableVerbsAreThere(t *testing.T) {
	tab := table(t)
	for _, name := range []string{"config:set", "domains:add", "ps:scale", "storage:mount"} {
		if _, ok := tab.find(name); !ok || !repeatable(name) {
			t.Errorf("%s: there %v, repeatable %v", name, ok, repeatable(name))
		}
	}
	for _, name := range []string{"rollback", "run", "cron:run", "checks:run", "apps:create", "tokens:create", "ps:rebuild", "images:deploy"} {
		if _, ok := tab.find(name); !ok || repeatable(name) {
			t.Errorf("%s: there %v, repeatable %v", name, ok, repeatable(name))
		}
	}
}
