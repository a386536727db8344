package verbs

import (
	"strings"
	"testing"
)

// A word that Dokku's verb of the same name has is answered with what to type here, and is none of ours.
func TestForeignWordsAreAnswered(t *testing.T) {
	tab := table(t)
	for _, f := range foreignWords() {
		v, ok := tab.find(f.verb)
		if !ok || v.Name != f.verb {
			t.Errorf("%s is no verb", f.verb)
			continue
		}
		if _, ours := v.flagNamed(f.word); ours {
			t.Errorf("%s has the flag %s itself", f.verb, f.word)
		}
		here := foreignTo(v, []string{"blog", f.word}, "x is too much")
		if here == "" || strings.Contains(here, "VERB") || len(here) > 180 {
			t.Errorf("%s %s: %q", f.verb, f.word, here)
		}
		for _, named := range namedCommands(here) {
			if _, ok := tab.find(named); !ok && !tab.isTopic(named) {
				t.Errorf("%s %s says to type %q, which is no command", f.verb, f.word, named)
			}
		}
	}
	r := run(tab, true, "ps:report", "blog", "--deployed")
	if r.code != 2 || !strings.Contains(r.err, "ssh paas ps:report APP --json") {
		t.Errorf("status %d: %s", r.code, r.err)
	}
	r = run(tab, true, "run", "blog", "--", "--rm")
	if strings.Contains(r.err, "leave it out") {
		t.Errorf("what the app's own command takes is told of: %s", r.err)
	}
	if r := run(tab, true, "version", "--format", "json"); r.code != 0 || !strings.HasPrefix(r.out, "{") {
		t.Errorf("--format json: status %d, %s%s", r.code, r.out, r.err)
	}
	if r := run(tab, true, "version", "--format=yaml"); r.code != 2 {
		t.Errorf("--format=yaml: status %d, %s", r.code, r.out)
	}
	if r := run(tab, true, "help", "cron"); !strings.Contains(r.out, "cron:suspend") || !strings.Contains(r.out, "cron:list") {
		t.Errorf("a topic that is an alias, too, lists its verbs: %s", r.out)
	}
}
