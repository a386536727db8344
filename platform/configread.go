package platform

import (
	"context"
	"io"
	"maps"
	"slices"
)

// GlobalScope is what --global stands for where an app's name stands else: every app, below its own.
const GlobalScope = "--global"

// ConfigKeysInput is config:keys.
type ConfigKeysInput struct {
	App    string `arg:"app" optional:"true"`
	Global bool   `flag:"global" help:"the vars of every app, which its own cover"`
	Merged bool   `flag:"merged" help:"with the global ones"`
}

// KeyNames is config:keys.
type KeyNames []string

// Text implements the verbs' output.
func (l KeyNames) Text(w io.Writer) error {
	for _, key := range l {
		if _, err := io.WriteString(w, key+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// ListKeysOfConfig lists the names of config vars.
func (p *Platform) ListKeysOfConfig(ctx context.Context, _ Call, in ConfigKeysInput) (KeyNames, error) {
	_, vars, err := p.scope(ctx, in.App, in.Global, in.Merged)
	return append(KeyNames{}, slices.Sorted(maps.Keys(vars))...), err
}

// scope reads the config vars that a command is about: an app's or, without one, those of all apps. name is the
// app's, or GlobalScope.
func (p *Platform) scope(ctx context.Context, app string, global, merged bool) (name string, vars Config, err error) {
	if global != (app == "") {
		return "", nil, errScope()
	}
	all, err := p.Store.GlobalConfig(ctx)
	if err != nil || global {
		return GlobalScope, all, err
	}
	a, err := p.find(ctx, app)
	if err != nil {
		return "", nil, err
	}
	vars, err = p.Store.Config(ctx, a.Name)
	if merged {
		vars = layered(all, vars)
	}
	return string(a.Name), vars, err
}

func errScope() error {
	return Errorf(Usage, "app is missing").WithHint("name an app, or --global for all of them")
}

// layered is the config that own vars and those of all apps come to.
func layered(global, own Config) Config {
	out := maps.Clone(global)
	if out == nil {
		out = Config{}
	}
	maps.Copy(out, own)
	return out
}
