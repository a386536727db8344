package conformance

import "testing"

// TestRules looks whether every rule is about cases that there are, and every case about one rule.
func TestRules(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range apply(Rules(), Cases()) {
		if seen[c.Name] {
			t.Errorf("%s has two rules", c.Name)
		}
		seen[c.Name] = true
		if c.rule.Section == "" || c.rule.Must == "" {
			t.Errorf("%s: a rule needs a section and a demand: %+v", c.Name, c.rule)
		}
	}
	t.Log(len(seen), "of", len(Cases()), "cases are under a rule")
}
