package platform

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// part is one thing that a release holds, in words: two releases differ by the parts in which they differ.
type part struct {
	What   string // "image", "config", …
	Name   string // which of those; empty where there is one
	Value  string
	secret bool // only shown masked
}

// shown is the value as people may see it.
func (p part) shown() string {
	if p.secret {
		return masked(Config{p.Name: p.Value})[p.Name]
	}
	return p.Value
}

// parts lists all that a release holds, in the order in which people are told.
func (r Release) parts() (list []part) {
	add := func(what, name, value string) {
		if value != "" {
			list = append(list, part{What: what, Name: name, Value: value})
		}
	}
	add("image", "", r.Image.ID)
	add("commit", "", r.Commit)
	add("builder", "", r.Image.Builder)
	if s := r.Image.Stack; s != nil {
		add("stack", s.Stack, s.Layer)
	}
	for _, t := range slices.Sorted(maps.Keys(r.Image.Processes)) {
		add("process", string(t), r.Image.command(t))
	}
	for _, key := range slices.Sorted(maps.Keys(r.Config)) {
		list = append(list, part{"config", key, r.Config[key], true})
	}
	list = append(list, r.Image.checkParts()...)
	for _, m := range r.Spec.Mounts {
		add("mount", m.Path, m.words())
	}
	for _, l := range r.Spec.Links {
		add("link", l.words(), "open")
	}
	return append(list, r.Image.cronParts()...)
}

// command is what a process type runs, for people.
func (i Image) command(t ProcessType) string {
	if argv := i.Commands[t]; argv != nil {
		return strings.Join(argv, " ")
	}
	return i.Processes[t]
}

func (i Image) checkParts() (list []part) {
	for _, t := range slices.Sorted(maps.Keys(i.Checks)) {
		for n, c := range i.Checks[t] {
			name := c.Name
			if name == "" {
				name = fmt.Sprint(n + 1)
			}
			list = append(list, part{What: "check", Name: string(t) + " " + name, Value: c.words()})
		}
	}
	return list
}

// cronParts go by their commands, so that another time is a change. A command that is there twice gets a number.
func (i Image) cronParts() (list []part) {
	seen := map[string]int{}
	for _, c := range i.Cron {
		name := c.Command
		if seen[c.Command]++; seen[c.Command] > 1 {
			name = fmt.Sprintf("%s (%d)", c.Command, seen[c.Command])
		}
		value := c.Schedule
		if c.Concurrency != CronAllow {
			value += ", " + string(c.Concurrency)
		}
		if c.Suspended {
			value += ", suspended"
		}
		list = append(list, part{What: "cron", Name: name, Value: value})
	}
	for _, s := range []struct{ name, line string }{
		{"predeploy", i.Scripts.Predeploy}, {"postdeploy", i.Scripts.Postdeploy}, {"first", i.Scripts.First},
	} {
		if s.line != "" {
			list = append(list, part{What: "script", Name: s.name, Value: s.line})
		}
	}
	return list
}

// words is a mount without its place: "uploads", "uploads, read-only, for web".
func (m Mount) words() string {
	text := m.Storage
	if m.ReadOnly {
		text += ", read-only"
	}
	if len(m.Types) > 0 {
		var types []string
		for _, t := range m.Types {
			types = append(types, string(t))
		}
		text += ", for " + strings.Join(types, " ")
	}
	return text
}

// words is a check without its name: "startup, GET /up, 3 attempts of 5s, 5s apart".
func (c Check) words() string {
	kind := c.Type
	if kind == Startup {
		kind = "startup"
	}
	what := "GET " + c.Path
	switch {
	case c.Uptime > 0:
		what = "runs for " + spellDuration(c.Uptime)
	case c.Listening:
		what = "listens"
	case len(c.Command) > 0:
		what = "`" + strings.Join(c.Command, " ") + "`"
	case c.Content != "":
		what += fmt.Sprintf(" with %q", c.Content)
	}
	if c.Port != 0 {
		what += fmt.Sprintf(" on port %d", c.Port)
	}
	text := fmt.Sprintf("%s, %s, %d attempts of %s, %s apart", kind, what, c.Attempts, spellDuration(c.Timeout), spellDuration(c.Wait))
	if c.InitialDelay > 0 {
		text += ", first after " + spellDuration(c.InitialDelay)
	}
	return text + headerWords(c.Headers)
}

func headerWords(headers map[string]string) (text string) {
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		text += fmt.Sprintf(", %s: %s", name, headers[name])
	}
	return text
}

// ReleaseChange is one difference between two releases. Config values are masked.
type ReleaseChange struct {
	What   string `json:"what"` // image, commit, builder, stack, process, config, check, mount, link, cron or script
	Name   string `json:"name,omitempty"`
	Change string `json:"change"` // added, removed or changed
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// releaseChanges lists what makes after of before, in the order of parts.
func releaseChanges(before, after Release) []ReleaseChange {
	list := []ReleaseChange{}
	key := func(p part) [2]string { return [2]string{p.What, p.Name} }
	old, now := map[[2]string]part{}, map[[2]string]bool{}
	for _, p := range before.parts() {
		old[key(p)] = p
	}
	for _, p := range after.parts() {
		now[key(p)] = true
		was, had := old[key(p)]
		switch {
		case !had:
			list = append(list, ReleaseChange{p.What, p.Name, "added", "", p.shown()})
		case was.Value != p.Value:
			list = append(list, ReleaseChange{p.What, p.Name, "changed", was.shown(), p.shown()})
		}
	}
	for _, p := range before.parts() {
		if !now[key(p)] {
			list = append(list, ReleaseChange{p.What, p.Name, "removed", p.shown(), ""})
		}
	}
	slices.SortStableFunc(list, func(a, b ReleaseChange) int { return partPlace(a.What) - partPlace(b.What) })
	return list
}

// partPlace is where people are told of a kind of part.
func partPlace(what string) int {
	return slices.Index([]string{"image", "commit", "builder", "stack", "process", "config", "check", "mount", "link", "cron", "script"}, what)
}
