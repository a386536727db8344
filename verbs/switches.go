package verbs

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"paas/platform"
)

// switches are the flags that every verb takes, unless it has one of its own by that name.
type switches struct {
	json    bool
	header  bool // tables keep theirs when piped
	plain   bool // no colours
	quiet   bool // no progress
	later   bool // do not wait
	timeout time.Duration
}

// commonFlags says what they are, for help and completion. Those that wait are of verbs that change something.
func (v Verb) commonFlags() []param {
	list := []param{
		{name: "json", flag: true, isBool: true, help: "machine-readable output"},
		{name: "header", flag: true, isBool: true, help: "keep a table's header when piped"},
		{name: "no-color", flag: true, isBool: true, help: "no colours; NO_COLOR=1 says so as well"},
		{name: "quiet", flag: true, isBool: true, help: "no progress on stderr"},
		{name: "timeout", flag: true, value: "TIME", help: "call it off after so long, like 90s or 5m"},
	}
	if v.waits() {
		list = append(list, param{name: "no-wait", flag: true, isBool: true, help: "print an id and return; see requests:wait"})
	}
	return slices.DeleteFunc(list, func(p param) bool { return v.hasOwn(p.name) || v.Raw && p.name != "timeout" })
}

func (v Verb) hasOwn(flag string) bool {
	return slices.ContainsFunc(v.params, func(p param) bool { return p.flag && p.name == flag })
}

// waits tells whether the verb changes something, and so may take a while that its user need not wait for.
func (v Verb) waits() bool { return v.Access != Anyone && v.Access != View && !v.Raw && !v.Watch }

// takeCommon takes a flag that every verb has. ok is false for another one.
func (a *arguments) takeCommon(v Verb, name, value string, words []string) (rest []string, ok bool, err error) {
	var p param
	for _, c := range v.commonFlags() {
		if name == "--"+c.name {
			p, ok = c, true
		}
	}
	if !ok && name == "--json" { // of a verb that has no other form: it says so itself
		p, ok = param{name: "json", isBool: true}, true
	}
	if name == "--format" && !v.hasOwn("format") && !v.Raw { // Dokku's way to say --json
		return a.takeFormat(value, words)
	}
	if !ok || p.isBool {
		a.common.set(p.name)
		return words, ok, nil
	}
	if value == "" {
		if len(words) == 0 {
			return nil, true, platform.Errorf(platform.Usage, "%s needs a value: %s", name, p.valueName())
		}
		value, words = words[0], words[1:]
	}
	a.common.timeout, err = parseWait(value)
	return words, true, err
}

// takeFormat takes --format json, with or without =.
func (a *arguments) takeFormat(value string, words []string) ([]string, bool, error) {
	if value == "" && len(words) > 0 {
		value, words = words[0], words[1:]
	}
	if value != "json" {
		return nil, true, platform.Errorf(platform.Usage, "--format %s is none: it is json, or left out", value)
	}
	a.common.set("json")
	return words, true, nil
}

func (s *switches) set(name string) {
	switch name {
	case "json":
		s.json = true
	case "header":
		s.header = true
	case "no-color":
		s.plain = true
	case "quiet":
		s.quiet = true
	case "no-wait":
		s.later = true
	}
}

// parseWait reads 90s, 5m or a number of seconds.
func parseWait(s string) (time.Duration, error) {
	if n, err := strconv.Atoi(s); err == nil {
		s = strconv.Itoa(n) + "s"
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, platform.Errorf(platform.Usage, "--timeout takes a time like 90s or 5m, not %q", s)
	}
	return d, nil
}

const remoteApp = "--remote-app="

// leading moves flags that stand before the verb, as Dokku takes them, behind it. The one that the shell function
// sends comes first: it names the app that the caller's directory belongs to.
func leading(words []Word) (rest []Word, app string) {
	if len(words) > 0 && strings.HasPrefix(words[0].Text, remoteApp) {
		app, words = words[0].Text[len(remoteApp):], words[1:]
	}
	return moved(words), app
}

func moved(words []Word) []Word {
	end := 0
	for end < len(words) && strings.HasPrefix(words[end].Text, "-") {
		switch words[end].Text {
		case "-a", "--app":
			end += 2
		case "--json", "--quiet", "--no-color", "--header", "--force": // what --force does is the verb's to say
			end++
		case "--":
			return append(slices.Clone(words[:end]), words[end+1:]...)
		default:
			return words
		}
	}
	if end == 0 || end >= len(words) {
		return words
	}
	return slices.Concat(words[end:end+1], words[:end], words[end+1:])
}

// asks finds a common flag in a command line that may not even be a verb's.
func asks(words []Word, flag string) bool {
	for _, w := range words {
		if w.Text == "--" {
			return false
		}
		if w.Text == flag {
			return true
		}
	}
	return false
}

// impliesApp tells whether the words leave the app to the caller's directory: they do when there are too few of
// them, and when the first one is no app while all of them fit behind one.
func (t *Table) impliesApp(ctx context.Context, s Session, v Verb, args arguments) bool {
	if s.App == "" || len(v.params) == 0 || v.params[0].flag || v.params[0].name != appArg || args.flags[appArg] != nil {
		return false
	}
	need, most := 0, 0
	for _, p := range v.params {
		switch {
		case p.flag:
		case p.rest: // always the last
			most = math.MaxInt
			fallthrough
		default:
			if !p.optional {
				need++
			}
			most = max(most, most+1)
		}
	}
	given := len(args.positional)
	if given < need || given == 0 {
		return true
	}
	if given >= most {
		return false
	}
	return !slices.ContainsFunc(t.apps(ctx, platform.Call{Actor: s.Actor}), func(c Candidate) bool { return c.Word == args.positional[0] })
}
