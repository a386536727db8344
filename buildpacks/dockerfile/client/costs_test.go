package client

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"paas/platform"
)

func TestCostsAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), costsFile)
	name := func(r Request) string { return costName(r, "key") }
	mine, theirs, alone := name(Request{Team: "a"}), name(Request{Team: "b"}), name(Request{Team: "a", Alone: true, App: platform.App{ID: 7}})
	c := costs{path: path}
	c.note(mine, 2.5)
	c.note(alone, 0) // too little to be worth a line
	if err := c.save(); err != nil {
		t.Fatal(err)
	}
	torn, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = torn.WriteString(theirs[:20])
	}
	if err != nil || torn.Close() != nil {
		t.Fatal(err)
	}
	again := costs{path: path}
	again.note(alone, 41)
	if err := again.save(); err != nil {
		t.Fatal(err)
	}
	last := costs{path: path}
	for name, want := range map[string]float64{mine: 2.5, alone: 41, theirs: 0} {
		if got := last.of(name); got != want {
			t.Errorf("%s: %v seconds, want %v", name, got, want)
		}
	}
}

func TestCostsAreBounded(t *testing.T) {
	c := costs{path: filepath.Join(t.TempDir(), costsFile)}
	for i := range 2*mostCosts + 1 {
		c.note(fmt.Sprintf("%032d", i), 1)
	}
	if err := c.save(); err != nil {
		t.Fatal(err)
	}
	if c.of(fmt.Sprintf("%032d", 2*mostCosts)) != 1 || c.of(fmt.Sprintf("%032d", mostCosts)) != 0 || len(c.known) != mostCosts {
		t.Errorf("%d are known", len(c.known))
	}
}
