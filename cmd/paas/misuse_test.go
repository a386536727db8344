package main

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	"paas/verbs"
)

const malformedApp = "Mi_ne"

// answered is one sentence, and at least one line that names what to type next, on standard error.
var answered = regexp.MustCompile(`^ !     [^\n]+\n(?:       [^\n]+\n)*       [^\n]*ssh paas [^\n]*\n(?:       [^\n]+\n)*       Request\n$`)

// misused: words that do not fit are status 2 and change nothing.
func (w *walker) misused(t *testing.T) {
	before := w.snapshot(t)
	w.each(func(v verbs.Description) {
		for what, line := range wrong(v) {
			s := w.say(t, "paas", line)
			if s.code != 2 || s.out != "" || !answered.MatchString(s.err) || strings.Count(s.err, " !     ") != 1 {
				t.Errorf("%s, %s: %s", line, what, s)
			}
		}
	})
	w.unchanged(t, before)
}

// wrong are lines that misuse the verb, by what is wrong.
func wrong(v verbs.Description) map[string]string {
	fits := values(v, mineApp, true)
	lines := map[string]string{"an unknown flag": strings.Replace(spell(v, fits)+" ", " ", " --no-such-flag ", 1)}
	endless, required := false, ""
	for _, p := range v.Params {
		endless = endless || !p.Flag && p.List
		if p.Required {
			required = p.Name
		}
		if p.Flag && p.Type == reflect.Int {
			lines["--"+p.Name+" is no number"] = strings.Replace(spell(v, fits)+" ", " ", " --"+p.Name+" many ", 1)
		}
	}
	if !endless {
		lines["a word too many"] = spell(v, fits) + " surplus"
	}
	if required != "" {
		few := values(v, mineApp, false)
		delete(few, required)
		lines["a word too few"] = spell(v, few)
	}
	for _, at := range places(v) {
		lines[at.param+" is no name of an app"] = spell(v, at.at(v, malformedApp))
	}
	return lines
}
