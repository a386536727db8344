package main

import (
	"strings"
	"testing"

	"paas/verbs"
)

// What a refusal may leave: the entry of the audit.
const refusals = "events "

// strangers: an app that is there and one that is not are the same to who has no role, byte for byte.
func (w *walker) strangers(t *testing.T) {
	before := w.snapshot(t)
	w.each(func(v verbs.Description) {
		for _, at := range places(v) {
			if v.Access == verbs.Admin {
				continue // see forAdmins
			}
			there, missing := w.say(t, "paas-bob", spell(v, at.at(v, hiddenApp))), w.say(t, "paas-bob", spell(v, at.at(v, absentApp)))
			if there.code != 3 || there != missing.as(absentApp, hiddenApp) {
				t.Errorf("%s of a hidden app: %s\nof none: %s", v.Name, there, missing)
			}
		}
	})
	w.unchanged(t, before, refusals)
}

// tooLow: who has the role before the one that is needed is told which that is.
func (w *walker) tooLow(t *testing.T) {
	before := w.snapshot(t)
	w.each(func(v verbs.Description) {
		for _, c := range w.lows(v) {
			s := w.say(t, "paas-bob", spell(v, c.values))
			if s.code != 4 || s.out != "" || !answered.MatchString(s.err) || !strings.Contains(s.err, c.says) {
				t.Errorf("%s: %s", spell(v, c.values), s)
			}
		}
	})
	w.unchanged(t, before, refusals)
}

// low is a call by somebody whose role does not suffice.
type low struct {
	values map[string]string
	says   string
}

func (w *walker) lows(v verbs.Description) (list []low) {
	for _, at := range places(v) {
		if at.level == "" || at.level == "view" {
			continue
		}
		app := appOf(levelBelow(at.level))
		list = append(list, low{at.at(v, app), v.Name + " needs the role " + at.level + " on " + app + ", and you have " + levelBelow(at.level)})
	}
	for _, p := range v.Params {
		switch p.Access {
		case "":
		case "admin":
			all := values(v, "A", false) // where an app stands otherwise is a key then
			all[p.Name] = "true"
			list = append(list, low{all, "for admins"})
		default:
			app := appOf(levelBelow(p.Access))
			some := values(v, app, false)
			some["app"], some[p.Name] = app, "true"
			list = append(list, low{some, "needs the role " + p.Access + " on " + app + ", and you have " + levelBelow(p.Access)})
		}
	}
	return list
}

// forAdmins: the others are told that it is, whatever they named.
func (w *walker) forAdmins(t *testing.T) {
	before := w.snapshot(t)
	w.each(func(v verbs.Description) {
		if v.Access != verbs.Admin {
			return
		}
		there, missing := w.say(t, "paas-bob", spell(v, values(v, hiddenApp, false))), w.say(t, "paas-bob", spell(v, values(v, absentApp, false)))
		if there.code != 4 || there.out != "" || !strings.Contains(there.err, v.Name+" is for admins, and \"bob\" is not one") ||
			!answered.MatchString(there.err) || there != missing.as(absentApp, hiddenApp) {
			t.Errorf("%s of a hidden app: %s\nof none: %s", v.Name, there, missing)
		}
	})
	w.unchanged(t, before, refusals)
}

// api: the same over HTTP with a token.
func (w *walker) api(t *testing.T) {
	before := w.snapshot(t)
	for _, v := range w.verbs {
		w.apiMisused(t, v)
		for _, at := range places(v) {
			there, missing := w.call(t, "bob", v, at.at(v, hiddenApp)), w.call(t, "bob", v, at.at(v, absentApp))
			want := 404
			if v.Access == verbs.Admin {
				want = 403
			}
			if there.code != want || there != missing.as(absentApp, hiddenApp) {
				t.Errorf("%s of a hidden app: %s\nof none: %s", v.Name, there, missing)
			}
		}
		for _, c := range w.lows(v) {
			if s := w.call(t, "bob", v, c.values); s.code != 403 || !strings.Contains(s.err, c.says) {
				t.Errorf("%s %v: %s", v.Name, c.values, s)
			}
		}
		if v.Access > verbs.View {
			if s := w.call(t, "looker", v, values(v, mineApp, false)); s.code != 403 || !strings.Contains(s.err, "needs the scope") {
				t.Errorf("%s with a token that may look: %s", v.Name, s)
			}
		}
		if v.Access == verbs.Admin {
			if s := w.call(t, "bob", v, values(v, mineApp, false)); s.code != 403 || !strings.Contains(s.err, v.Name+" is for admins") {
				t.Errorf("%s: %s", v.Name, s)
			}
		}
	}
	w.unchanged(t, before, refusals, "tokens ") // when they were last used
}

func (w *walker) apiMisused(t *testing.T, v verbs.Description) {
	bad := values(v, mineApp, false)
	bad["no such thing"] = "x"
	calls := []map[string]string{bad}
	for _, p := range v.Params {
		if p.Required {
			few := values(v, mineApp, false)
			delete(few, p.Name)
			calls = append(calls, few)
		}
	}
	for _, at := range places(v) {
		calls = append(calls, at.at(v, malformedApp))
	}
	for _, c := range calls {
		if s := w.call(t, "alice", v, c); s.code != 400 || !strings.Contains(s.err, `"kind":"usage"`) {
			t.Errorf("%s %v: %s", v.Name, c, s)
		}
	}
}
