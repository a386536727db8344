package node

import (
	"encoding/json"
	"os"
	"slices"
	"testing"
)

// The expectations were written by the semver package that npm itself uses.
func TestRangeAsNPM(t *testing.T) {
	var table struct {
		Versions []string
		Ranges   []struct {
			Range string
			Valid bool
			Match []string
		}
	}
	text, err := os.ReadFile("testdata/ranges.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &table); err != nil {
		t.Fatal(err)
	}
	for _, c := range table.Ranges {
		r, err := ParseRange(c.Range)
		if (err == nil) != c.Valid {
			t.Errorf("%q: valid for npm: %v, here: %v", c.Range, c.Valid, err)
			continue
		}
		if err != nil {
			continue
		}
		var match []string
		for _, v := range table.Versions {
			if r.Match(v) {
				match = append(match, v)
			}
		}
		if !slices.Equal(match, c.Match) {
			t.Errorf("%q:\n npm  %v\n here %v", c.Range, c.Match, match)
		}
	}
}

func TestRangeBest(t *testing.T) {
	versions := []string{"18.20.4", "22.2.0", "22.10.1", "23.0.0", "nonsense", "24.0.0-rc.1"}
	for text, want := range map[string]string{"22.x": "22.10.1", "": "23.0.0", "latest": "23.0.0", ">=18, <21": "18.20.4", "24": "", "v22.2.0": "22.2.0"} {
		r, err := ParseRange(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := r.Best(versions); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func FuzzParseRange(f *testing.F) {
	f.Add(">=20 <23 || ^18.1")
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := ParseRange(text); err == nil {
			r.Match("20.1.0")
		}
	})
}
