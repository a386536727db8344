package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"

	"paas/platform"
	"paas/store"
	"paas/verbs"
)

// audited is what the scenarios of this run left in their audits.
var audited struct {
	sync.Mutex
	changed, unchanged map[string]string // by verb: the line of an event of one that went well
}

// noteAudit reads what a scenario's daemon, which has ended, left in its audit. Each event says who, and by which door.
func noteAudit(t reporter, path string) {
	if _, err := os.Stat(path); err != nil {
		return
	}
	s, err := store.Open(context.Background(), path)
	if err != nil { // a scenario may leave another version's
		return
	}
	defer func() { _ = s.Close() }()
	list, err := s.Events(context.Background(), platform.EventQuery{Kind: platform.EventCommand})
	if err != nil {
		t.Fatal(fmt.Sprintf("read the audit: %v", err))
	}
	audited.Lock()
	defer audited.Unlock()
	if audited.changed == nil {
		audited.changed, audited.unchanged = map[string]string{}, map[string]string{}
	}
	for _, e := range list {
		if e.Actor == "" || e.Door == "" || e.Request == "" {
			t.Fatal(fmt.Sprintf("an event of the audit lacks who or from where: %+v", e))
		}
		verb, _, _ := strings.Cut(e.Text, " ")
		switch {
		case e.Outcome != "ok":
		case len(e.Changes) > 0:
			audited.changed[verb] = e.Text
		default:
			audited.unchanged[verb] = e.Text
		}
	}
}

// wholeAudit fails, when all scenarios ran, on a verb that went well in one and never told what it changed; when some
// did, such verbs are shown.
func wholeAudit(t *testing.T) {
	t.Helper()
	audited.Lock()
	defer audited.Unlock()
	all := !strings.Contains(flag.Lookup("test.run").Value.String(), "/")
	for _, verb := range mutating(t) {
		line, well := audited.unchanged[verb]
		switch {
		case audited.changed[verb] != "":
		case all && well && !t.Failed():
			t.Errorf("no scenario's audit tells what `%s` changed", line)
		case well, all:
			t.Logf("the audit does not tell what %s changed: %q", verb, line)
		}
	}
}

// mutating is every verb that leaves an entry in the audit.
func mutating(t *testing.T) (names []string) {
	t.Helper()
	p := platform.New(platform.Rooms{Log: slog.New(slog.DiscardHandler)}, platform.Settings{})
	t.Cleanup(p.Close)
	var out bytes.Buffer
	session := verbs.Session{Actor: platform.Actor{Name: "root", Admin: true}, Stdout: &out, Stderr: &out}
	verbs.New(p, "").Run(context.Background(), session, "help --json")
	var list []verbs.VerbView
	if err := json.Unmarshal(out.Bytes(), &list); err != nil {
		t.Fatalf("%v: %s", err, &out)
	}
	for _, v := range list {
		if v.Audited {
			names = append(names, v.Name)
		}
	}
	return names
}
