package platform

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// EventRevealed is that somebody saw secrets; EventCleared that they were taken away.
const (
	EventRevealed EventKind = "revealed"
	EventCleared  EventKind = "config-cleared"
)

// edit is a change of config vars: of an app's or, by global, of every app's.
type edit struct {
	app       string
	global    bool
	noRestart bool // it takes effect with the next release
	verb      string
	change    func(Config)
}

// SetConfigInput is config:set.
type SetConfigInput struct {
	App       string   `arg:"app"`
	Vars      []string `arg:"KEY=value" rest:"optional" help:"a KEY alone takes its value from standard input"`
	Global    bool     `flag:"global" help:"for every app, below its own vars" access:"admin"`
	Encoded   bool     `flag:"encoded" help:"values are in base64"`
	NoRestart bool     `flag:"no-restart" help:"release nothing: it takes effect with the next push or change"`
}

// SetConfig sets config vars and, for an app that has a release, puts a new one live.
func (p *Platform) SetConfig(ctx context.Context, call Call, in SetConfigInput) (ConfigChange, error) {
	app, words := scoped(in.App, in.Global, in.Vars)
	if len(words) == 0 {
		return ConfigChange{}, Errorf(Usage, "KEY=value is missing")
	}
	if !in.Global { // before a value is asked for
		if _, err := p.find(ctx, app); err != nil {
			return ConfigChange{}, err
		}
	}
	set, err := p.readVars(call, words)
	if err == nil && in.Encoded {
		set, err = decoded(set)
	}
	if err != nil {
		return ConfigChange{}, err
	}
	hintHistory(call, orElse(app, GlobalScope), words)
	return p.editConfig(ctx, call, edit{app, in.Global, in.NoRestart, "Set", func(c Config) { maps.Copy(c, set) }})
}

// scoped is an app's name and what comes after it: with --global, the first word is no app.
func scoped(first string, global bool, rest []string) (app string, words []string) {
	if global && first != "" {
		return "", append([]string{first}, rest...)
	}
	return first, rest
}

func optionalWord(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// readVars reads KEY=value, or the value of a single KEY: typed unseen on a terminal, else from standard input.
func (p *Platform) readVars(call Call, words []string) (Config, error) {
	in := call.In
	if len(words) == 1 && call.Terminal != nil && call.In != nil && configKey.MatchString(words[0]) {
		value, err := typeSecret(call, "Value of "+words[0]+", which is not shown: ")
		if err != nil {
			return nil, err
		}
		in = strings.NewReader(value)
	}
	return parseVars(in, words)
}

// typeSecret reads a line that is typed, without showing it.
func typeSecret(call Call, prompt string) (string, error) {
	_, _ = io.WriteString(call.Err, prompt)
	line, err := readTyped(call.In, io.Discard)
	_, _ = io.WriteString(call.Err, "\n")
	if err != nil {
		return "", Errorf(Interrupted, "it was called off; nothing changed").Because(err)
	}
	return line, nil
}

func decoded(c Config) (Config, error) {
	out := Config{}
	for key, value := range c {
		b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value))
		if err != nil {
			return nil, Errorf(Usage, "the value of %s is not base64", key)
		}
		out[key] = string(b)
	}
	return out, nil
}

var secretName = regexp.MustCompile(`(?i)(_KEY|_TOKEN|_SECRET|PASSWORD|_PASS)$`)

// hintHistory says how to keep a secret out of the shell's history.
func hintHistory(call Call, name string, words []string) {
	for _, word := range words {
		if key, value, ok := strings.Cut(word, "="); ok && value != "" && secretName.MatchString(key) {
			_, _ = fmt.Fprintf(call.Err, " !     The value of %s is in your shell's history now; next time: %s config:set %s %s < file\n",
				key, orElse(call.Prefix, "ssh paas"), name, key)
		}
	}
}

// UnsetConfigInput is config:unset.
type UnsetConfigInput struct {
	App       string   `arg:"app"`
	Keys      []string `arg:"KEY" rest:"optional"`
	Global    bool     `flag:"global" help:"of every app" access:"admin"`
	NoRestart bool     `flag:"no-restart" help:"release nothing: it takes effect with the next push or change"`
}

// UnsetConfig removes config vars. One that is not set is no error: it is as was asked.
func (p *Platform) UnsetConfig(ctx context.Context, call Call, in UnsetConfigInput) (ConfigChange, error) {
	app, keys := scoped(in.App, in.Global, in.Keys)
	if len(keys) == 0 {
		return ConfigChange{}, Errorf(Usage, "KEY is missing")
	}
	return p.editConfig(ctx, call, edit{app, in.Global, in.NoRestart, "Unset", func(c Config) {
		for _, key := range keys {
			delete(c, key)
		}
	}})
}

// editConfig carries an edit out.
func (p *Platform) editConfig(ctx context.Context, call Call, e edit) (ConfigChange, error) {
	if e.global != (e.app == "") {
		return ConfigChange{}, errScope()
	}
	if e.global {
		return p.changeGlobals(ctx, call, e)
	}
	if e.noRestart {
		return p.noteConfig(ctx, call, e)
	}
	return p.changeConfig(ctx, call, e.app, e.verb, e.change)
}

// noteConfig stores an edit without a release.
func (p *Platform) noteConfig(ctx context.Context, call Call, e edit) (ConfigChange, error) {
	app, err := p.find(ctx, e.app)
	if err != nil {
		return ConfigChange{}, err
	}
	leave, err := p.enter(ctx, app.Name, call)
	if err != nil {
		return ConfigChange{}, err
	}
	defer leave()
	before, err := p.Store.Config(ctx, app.Name)
	if err != nil {
		return ConfigChange{}, err
	}
	after := maps.Clone(before)
	e.change(after)
	done := diff(string(app.Name), before, after)
	if len(done.Changed) == 0 {
		return done, nil
	}
	if err := fits(string(app.Name), after); err != nil {
		return done, err
	}
	if err := p.Store.SetConfig(ctx, app.Name, after); err != nil {
		return done, err
	}
	done.Pending = []AppName{app.Name}
	what := fmt.Sprintf("%s %s config vars, for the next release", e.verb, strings.Join(done.Changed, ", "))
	p.say(Event{Kind: EventConfigured, App: app.Name, Actor: call.Actor.Name, Text: what})
	return done, nil
}

// fits refuses more than an environment holds.
func fits(name string, c Config) error {
	if size(c) > maxConfigTotal {
		return Errorf(Usage, "the config vars of %s would take more than %d KiB", name, maxConfigTotal>>10)
	}
	return nil
}

// diff tells what changes between two configs.
func diff(scope string, before, after Config) ConfigChange {
	d := ConfigChange{Scope: scope, Changed: changedKeys(before, after)}
	for _, key := range d.Changed {
		_, had := before[key]
		_, has := after[key]
		switch {
		case !had:
			d.Added = append(d.Added, key)
		case !has:
			d.Removed = append(d.Removed, key)
		default:
			d.Replaced = append(d.Replaced, key)
		}
	}
	return d
}

// noVar says that a var is not set, and which one may be meant.
func noVar(name, key string, vars Config) error {
	e := Errorf(NotFound, "%s has no config var %q", name, key)
	for _, other := range slices.Sorted(maps.Keys(vars)) {
		if Near(key, other) {
			return e.WithHint("did you mean %s?", other)
		}
	}
	return e.WithHint("see what is set: ssh paas config:show %s", name)
}

// sayRevealed writes down who saw which secrets.
func (p *Platform) sayRevealed(call Call, scope string, vars Config, how string) {
	call.Audit.Changed(fmt.Sprintf("values of %d config vars", len(vars)), "hidden", how)
	e := Event{Kind: EventRevealed, Actor: call.Actor.Name, Text: fmt.Sprintf("the values of %d config vars were %s", len(vars), how)}
	if scope != GlobalScope {
		e.App = AppName(scope)
	}
	p.say(e)
}
