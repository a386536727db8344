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
	App    string `arg:"app"`
	Reveal bool   `flag:"reveal" help:"show values, not stars"`
}

// ShowConfig lists the app's config vars.
func (p *Platform) ShowConfig(ctx context.Context, _ Call, in ShowConfigInput) (ConfigView, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return ConfigView{}, err
	}
	vars, err := p.Store.Config(ctx, app.Name)
	if !in.Reveal {
		vars = masked(vars)
	}
	return ConfigView{Vars: vars}, err
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
	App string `arg:"app"`
	Key string `arg:"key"`
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
func (p *Platform) GetConfig(ctx context.Context, _ Call, in GetConfigInput) (Value, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return Value{}, err
	}
	vars, err := p.Store.Config(ctx, app.Name)
	if err != nil {
		return Value{}, err
	}
	value, ok := vars[in.Key]
	if !ok {
		return Value{}, Errorf(NotFound, "%s has no config var %q", app.Name, in.Key).
			WithHint("see what is set: ssh paas config:show %s", app.Name)
	}
	return Value{value}, nil
}

// SetConfigInput is config:set.
type SetConfigInput struct {
	App  string   `arg:"app"`
	Vars []string `arg:"KEY=value" rest:"required" help:"a KEY alone takes its value from standard input"`
}

// ConfigChange is what config:set and config:unset did.
type ConfigChange struct {
	Changed []string `json:"changed"`
	Release int      `json:"release,omitempty"`
}

// Text implements the verbs' output.
func (c ConfigChange) Text(w io.Writer) error {
	text := "No change."
	switch {
	case len(c.Changed) > 0 && c.Release > 0:
		text = fmt.Sprintf("Changed %s; v%d is live.", strings.Join(c.Changed, ", "), c.Release)
	case len(c.Changed) > 0:
		text = fmt.Sprintf("Changed %s; it takes effect with the first push.", strings.Join(c.Changed, ", "))
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

// SetConfig sets config vars and, for an app that has a release, puts a new one live.
func (p *Platform) SetConfig(ctx context.Context, call Call, in SetConfigInput) (ConfigChange, error) {
	set, err := parseVars(call.In, in.Vars)
	if err != nil {
		return ConfigChange{}, err
	}
	return p.changeConfig(ctx, call, in.App, "Set", func(c Config) { maps.Copy(c, set) })
}

// UnsetConfigInput is config:unset.
type UnsetConfigInput struct {
	App  string   `arg:"app"`
	Keys []string `arg:"KEY" rest:"required"`
}

// UnsetConfig removes config vars.
func (p *Platform) UnsetConfig(ctx context.Context, call Call, in UnsetConfigInput) (ConfigChange, error) {
	return p.changeConfig(ctx, call, in.App, "Unset", func(c Config) {
		for _, key := range in.Keys {
			delete(c, key)
		}
	})
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
		done.Changed = changedKeys(before, r.Config)
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
