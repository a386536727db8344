package platform

import (
	"context"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

var configKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Limits of config vars: they travel in the environment, which the kernel bounds (execve(2): 128 KiB a
// string, a quarter of the stack in all).
const (
	maxConfigValue = 64 << 10 // bytes
	maxConfigTotal = 512 << 10
)

// ConfigView is an app's config vars. Values are shown as they are only when revealed.
type ConfigView struct {
	Vars Config `json:"config"`
}

// Text implements the verbs' output.
func (v ConfigView) Text(w io.Writer) error {
	var rows [][]string
	for _, key := range slices.Sorted(maps.Keys(v.Vars)) {
		rows = append(rows, []string{key, v.Vars[key]})
	}
	return table(w, nil, rows)
}

// ShowConfigInput is config:show.
type ShowConfigInput struct {
	App    string `arg:"app" optional:"true"`
	Global bool   `flag:"global" help:"the vars of every app, which its own cover" access:"admin"`
	Merged bool   `flag:"merged" help:"with the global ones"`
	Reveal bool   `flag:"reveal" help:"show values, not stars; it is written down who did" access:"operate"`
}

// ShowConfig lists config vars.
func (p *Platform) ShowConfig(ctx context.Context, call Call, in ShowConfigInput) (ConfigView, error) {
	name, vars, err := p.scope(ctx, in.App, in.Global, in.Merged)
	if err != nil {
		return ConfigView{}, err
	}
	if in.Reveal {
		p.sayRevealed(call, name, vars, "shown")
	} else {
		vars = masked(vars)
	}
	return ConfigView{Vars: vars}, nil
}

// masked keeps the last four characters of long values, so that people can tell which one is set.
func masked(c Config) Config {
	out := Config{}
	for key, value := range c {
		out[key] = "********"
		if len(value) >= 16 {
			out[key] += value[len(value)-4:]
		}
	}
	return out
}

// GetConfigInput is config:get.
type GetConfigInput struct {
	App    string `arg:"app"`
	Key    string `arg:"key" optional:"true"`
	Global bool   `flag:"global" help:"of every app, which its own cover" access:"admin"`
	Merged bool   `flag:"merged" help:"also a global one"`
}

// Value is one raw config value.
type Value struct {
	Value string `json:"value"`
}

// Text implements the verbs' output.
func (v Value) Text(w io.Writer) error {
	_, err := fmt.Fprintln(w, v.Value)
	return err
}

// GetConfig prints one value.
func (p *Platform) GetConfig(ctx context.Context, call Call, in GetConfigInput) (Value, error) {
	app, words := scoped(in.App, in.Global, optionalWord(in.Key))
	if len(words) != 1 {
		return Value{}, Errorf(Usage, "key is missing").WithHint("like this: ssh paas config:get %s DATABASE_URL", orElse(app, GlobalScope))
	}
	name, vars, err := p.scope(ctx, app, in.Global, in.Merged)
	if err != nil {
		return Value{}, err
	}
	value, ok := vars[words[0]]
	if !ok {
		return Value{}, noVar(name, words[0], vars)
	}
	call.Audit.Changed("value of "+words[0], "hidden", "shown")
	return Value{value}, nil
}

// ConfigChange is what a change of config vars did.
type ConfigChange struct {
	Scope    string    `json:"scope"` // an app, or --global
	Changed  []string  `json:"changed"`
	Added    []string  `json:"added,omitempty"`
	Replaced []string  `json:"replaced,omitempty"`
	Removed  []string  `json:"removed,omitempty"`
	Release  int       `json:"release,omitempty"`
	Apps     []AppName `json:"apps,omitempty"`    // that were released anew for a change of global ones
	Pending  []AppName `json:"pending,omitempty"` // that it takes effect for with their next release
}

// Text implements the verbs' output.
func (c ConfigChange) Text(w io.Writer) error {
	_, err := fmt.Fprintln(w, c.sentence())
	return err
}

func (c ConfigChange) sentence() string {
	changed := "Changed " + strings.Join(c.Changed, ", ")
	switch {
	case len(c.Changed) == 0 && len(c.Apps) > 0:
		return "Released anew with the vars of all apps: " + joined(c.Apps) + "."
	case len(c.Changed) == 0:
		return "No change."
	case len(c.Pending) > 0:
		return changed + "; it takes effect with the next release of " + joined(c.Pending) + "."
	case c.Scope == GlobalScope && len(c.Apps) == 0:
		return changed + " for all apps; none of those that run sees a difference."
	case c.Scope == GlobalScope:
		return changed + " for all apps; released anew: " + joined(c.Apps) + "."
	case c.Release > 0:
		return fmt.Sprintf("%s; v%d is live.", changed, c.Release)
	}
	return changed + "; it takes effect with the first push."
}

func joined(names []AppName) string {
	list := make([]string, len(names))
	for i, n := range names {
		list[i] = string(n)
	}
	return strings.Join(list, ", ")
}

func parseVars(in io.Reader, words []string) (Config, error) {
	set := Config{}
	for _, word := range words {
		key, value, ok := strings.Cut(word, "=")
		if !configKey.MatchString(key) {
			return nil, Errorf(Usage, "%q is not a config var: write KEY=value, the key in letters, digits and underscores", word)
		}
		if !ok {
			if in == nil || len(words) > 1 {
				return nil, Errorf(Usage, "%s has no value", key).WithHint("write %s=value, or give the value of a single key on standard input", key)
			}
			text, err := io.ReadAll(io.LimitReader(in, maxConfigValue+2))
			if err != nil {
				return nil, fmt.Errorf("read value of %s: %w", key, err)
			}
			if len(text) == 0 {
				return nil, Errorf(Usage, "no value of %s came on standard input", key).WithHint("an empty one must be meant: ssh paas config:set APP %s=", key)
			}
			value = strings.TrimSuffix(string(text), "\n")
		}
		if len(value) > maxConfigValue || strings.ContainsRune(value, 0) {
			return nil, Errorf(Usage, "the value of %s is longer than %d KiB or has a NUL byte", key, maxConfigValue>>10)
		}
		set[key] = value
	}
	return set, nil
}

// changeConfig edits config vars in a new release.
func (p *Platform) changeConfig(ctx context.Context, call Call, name, verb string, change func(Config)) (ConfigChange, error) {
	app, err := p.find(ctx, name)
	if err != nil {
		return ConfigChange{}, err
	}
	var what string
	var done ConfigChange
	made, err := p.amend(ctx, call, app.Name, "", func(r *Release) error {
		before := maps.Clone(r.Config)
		change(r.Config)
		done = diff(string(app.Name), before, r.Config)
		what = verb + " " + strings.Join(done.Changed, ", ") + " config vars"
		r.Description = what
		return nil
	})
	if err != nil || !made.Changed {
		return done, err
	}
	done.Release = made.Release
	p.say(Event{Kind: EventConfigured, App: app.Name, Release: made.Release, Actor: call.Actor.Name, Text: what})
	return done, nil
}

func size(c Config) (bytes int) {
	for key, value := range c {
		bytes += len(key) + len(value) + 2
	}
	return bytes
}

func changedKeys(before, after Config) (keys []string) {
	all := maps.Clone(before)
	maps.Copy(all, after)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		old, had := before[key]
		value, has := after[key]
		if had != has || old != value {
			keys = append(keys, key)
		}
	}
	return keys
}
