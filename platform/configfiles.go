package platform

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// maxStdin is how many bytes a command reads of a file of config vars.
const maxStdin = 1 << 20

// ExportConfigInput is config:export.
type ExportConfigInput struct {
	App    string `arg:"app" optional:"true"`
	Format string `flag:"format" default:"exports" value:"FORMAT" help:"exports, shell, dotenv, json, json-list, docker-args, docker-args-keys or keys"`
	Global bool   `flag:"global" help:"the vars of every app, which its own cover" access:"admin"`
	Merged bool   `flag:"merged" help:"with the global ones"`
}

// ExportedConfig is config vars with their values, in a form that another program reads.
type ExportedConfig struct {
	Vars   Config `json:"config"`
	format func(keys []string, vars Config) string
}

// Text implements the verbs' output.
func (e ExportedConfig) Text(w io.Writer) error {
	_, err := io.WriteString(w, e.format(slices.Sorted(maps.Keys(e.Vars)), e.Vars))
	return err
}

// exportFormats are by name; those of Dokku's have its names.
func exportFormats() map[string]func(keys []string, vars Config) string {
	each := func(separator, end string, show func(key, value string) string) func([]string, Config) string {
		return func(keys []string, vars Config) string {
			if len(keys) == 0 {
				return ""
			}
			var list []string
			for _, key := range keys {
				list = append(list, show(key, vars[key]))
			}
			return strings.Join(list, separator) + end
		}
	}
	dotenv := each("\n", "\n", writeDotenv)
	return map[string]func([]string, Config) string{
		"exports":          each("\n", "\n", func(k, v string) string { return "export " + k + "=" + shellWord(v) }),
		"shell":            each(" ", "\n", func(k, v string) string { return k + "=" + shellWord(v) }),
		"docker-args":      each(" ", "\n", func(k, v string) string { return "--env=" + k + "=" + shellWord(v) }),
		"docker-args-keys": each(" ", "\n", func(k, _ string) string { return "--env=" + k }),
		"keys":             each("\n", "\n", func(k, _ string) string { return k }),
		"dotenv":           dotenv, "envfile": dotenv,
		"json": func(_ []string, vars Config) string { return jsonText(vars) },
		"json-list": func(keys []string, vars Config) string {
			list := []map[string]string{}
			for _, k := range keys {
				list = append(list, map[string]string{"name": k, "value": vars[k]})
			}
			return jsonText(list)
		},
	}
}

func jsonText(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // strings in memory
	return b.String()
}

// shellWord quotes a value for any POSIX shell.
func shellWord(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// ExportConfig prints config vars for another program to read.
func (p *Platform) ExportConfig(ctx context.Context, call Call, in ExportConfigInput) (ExportedConfig, error) {
	formats := exportFormats()
	format, ok := formats[in.Format]
	if !ok {
		return ExportedConfig{}, Errorf(Usage, "%q is no format: %s are", in.Format, strings.Join(slices.Sorted(maps.Keys(formats)), ", "))
	}
	name, vars, err := p.scope(ctx, in.App, in.Global, in.Merged)
	if err == nil {
		p.sayRevealed(call, name, vars, "exported")
	}
	return ExportedConfig{vars, format}, err
}

// BundleConfigInput is config:bundle.
type BundleConfigInput struct {
	App    string `arg:"app" optional:"true"`
	Global bool   `flag:"global" help:"the vars of every app, which its own cover" access:"admin"`
	Merged bool   `flag:"merged" help:"with the global ones"`
}

// BundleConfig writes a tar archive with a file for each config var, Dokku's form.
func (p *Platform) BundleConfig(ctx context.Context, call Call, in BundleConfigInput) (Streamed, error) {
	name, vars, err := p.scope(ctx, in.App, in.Global, in.Merged)
	if err != nil {
		return Streamed{}, err
	}
	if call.Terminal != nil {
		return Streamed{}, Errorf(Usage, "the archive goes to standard output, which is a terminal").
			WithHint("ssh paas config:bundle %s > config.tar", name)
	}
	p.sayRevealed(call, name, vars, "bundled")
	archive := tar.NewWriter(call.Out)
	for _, key := range slices.Sorted(maps.Keys(vars)) {
		head := &tar.Header{Name: key, Mode: 0o600, Size: int64(len(vars[key])), ModTime: p.Now()}
		if err := archive.WriteHeader(head); err != nil {
			return Streamed{}, fmt.Errorf("write bundle: %w", err)
		}
		if _, err := io.WriteString(archive, vars[key]); err != nil {
			return Streamed{}, fmt.Errorf("write bundle: %w", err)
		}
	}
	return Streamed{}, archive.Close()
}

// ImportConfigInput is config:import.
type ImportConfigInput struct {
	App       string `arg:"app" optional:"true"`
	Global    bool   `flag:"global" help:"for every app, below its own vars" access:"admin"`
	Replace   bool   `flag:"replace" help:"remove what the input does not have"`
	DryRun    bool   `flag:"dry-run" help:"change nothing, show what would"`
	NoRestart bool   `flag:"no-restart" help:"release nothing: it takes effect with the next push or change"`
}

// ImportedConfig is what config:import did, or would.
type ImportedConfig struct {
	ConfigChange
	DryRun bool `json:"dry_run"`
}

// Text implements the verbs' output: a line for each key, then what came of it.
func (c ImportedConfig) Text(w io.Writer) error {
	var b strings.Builder
	for _, key := range c.Changed {
		sign := "~"
		if slices.Contains(c.Added, key) {
			sign = "+"
		} else if slices.Contains(c.Removed, key) {
			sign = "-"
		}
		fmt.Fprintf(&b, "%s %s\n", sign, key)
	}
	if c.DryRun {
		fmt.Fprintf(&b, "Nothing was changed (--dry-run).\n")
	} else {
		fmt.Fprintln(&b, c.sentence())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// ImportConfig sets config vars from a .env file, or a JSON object, on standard input.
func (p *Platform) ImportConfig(ctx context.Context, call Call, in ImportConfigInput) (ImportedConfig, error) {
	name, before, err := p.scope(ctx, in.App, in.Global, false)
	if err != nil {
		return ImportedConfig{}, err
	}
	set, err := readConfigFile(call, name)
	if err != nil {
		return ImportedConfig{}, err
	}
	change := func(c Config) {
		if in.Replace {
			clear(c)
		}
		maps.Copy(c, set)
	}
	if in.DryRun {
		after := maps.Clone(before)
		change(after)
		return ImportedConfig{diff(name, before, after), true}, fits(name, after)
	}
	done, err := p.editConfig(ctx, call, edit{in.App, in.Global, in.NoRestart, "Import", change})
	return ImportedConfig{done, false}, err
}

func readConfigFile(call Call, name string) (Config, error) {
	if call.In == nil || call.Terminal != nil {
		return nil, Errorf(Usage, "the file comes on standard input").WithHint("ssh paas config:import %s < .env", name)
	}
	text, err := io.ReadAll(io.LimitReader(call.In, maxStdin+1))
	if err != nil {
		return nil, fmt.Errorf("read config vars: %w", err)
	}
	if len(text) > maxStdin {
		return nil, Errorf(Usage, "the input is longer than %s; nothing was changed", Bytes(maxStdin))
	}
	set, err := parseConfigText(text)
	if err == nil && len(set) == 0 {
		err = Errorf(Usage, "the input sets no config var; nothing was changed").WithHint("ssh paas config:import %s < .env", name)
	}
	return set, err
}

// parseConfigText reads an object of strings, or a .env file.
func parseConfigText(text []byte) (Config, error) {
	if !bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		return parseDotenv(string(text))
	}
	set := Config{}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, Errorf(Usage, "the input is no JSON object of strings; nothing was changed").Because(err)
	}
	for key, value := range set {
		if !configKey.MatchString(key) || len(value) > maxConfigValue || strings.ContainsRune(value, 0) {
			return nil, Errorf(Usage, "%q is not a config var, or its value is longer than %d KiB; nothing was changed", key, maxConfigValue>>10)
		}
	}
	return set, nil
}

// ClearConfigInput is config:clear.
type ClearConfigInput struct {
	App       string `arg:"app" optional:"true"`
	Global    bool   `flag:"global" help:"the vars of every app" access:"admin"`
	Confirm   string `flag:"confirm" value:"APP" help:"the app's name again, or global, instead of being asked"`
	DryRun    bool   `flag:"dry-run" help:"change nothing, show what would"`
	NoRestart bool   `flag:"no-restart" help:"release nothing: it takes effect with the next push or change"`
}

// ClearConfig removes all config vars. They can be brought back for a week.
func (p *Platform) ClearConfig(ctx context.Context, call Call, in ClearConfigInput) (ImportedConfig, error) {
	name, before, err := p.scope(ctx, in.App, in.Global, false)
	if err != nil {
		return ImportedConfig{}, err
	}
	keys := slices.Sorted(maps.Keys(before))
	if in.DryRun || len(keys) == 0 {
		return ImportedConfig{diff(name, before, Config{}), in.DryRun}, nil
	}
	what := fmt.Sprintf("This removes all %d config vars of %s (%s): %s; the trash keeps them, and config:restore brings them back",
		len(keys), name, Bytes(int64(size(before))), strings.Join(keys, ", "))
	if err := confirm(call, strings.TrimPrefix(name, "--"), in.Confirm, what); err != nil {
		return ImportedConfig{}, err
	}
	if err := p.discardConfig(ctx, in.App, before, call.Actor.Name); err != nil {
		return ImportedConfig{}, err
	}
	done, err := p.editConfig(ctx, call, edit{in.App, in.Global, in.NoRestart, "Clear", func(c Config) { clear(c) }})
	if err == nil {
		p.say(Event{Kind: EventCleared, App: AppName(in.App), Release: done.Release, Actor: call.Actor.Name,
			Text: fmt.Sprintf("%d config vars were cleared; they are in the trash", len(keys))})
	}
	return ImportedConfig{done, false}, err
}

// RestoreConfigInput is config:restore.
type RestoreConfigInput struct {
	App    string `arg:"app" optional:"true"`
	Global bool   `flag:"global" help:"the vars of every app" access:"admin"`
	DryRun bool   `flag:"dry-run" help:"change nothing, show what would"`
}

// RestoreConfig brings back the config vars that were cleared last. What was set since stays.
func (p *Platform) RestoreConfig(ctx context.Context, call Call, in RestoreConfigInput) (ImportedConfig, error) {
	name, before, err := p.scope(ctx, in.App, in.Global, false)
	if err != nil {
		return ImportedConfig{}, err
	}
	old, forget, err := p.cleared(ctx, in.App)
	if err != nil {
		return ImportedConfig{}, withHint(err, "config vars of earlier releases: ssh paas releases %s", name)
	}
	change := func(c Config) { maps.Copy(c, layered(old, c)) }
	if in.DryRun {
		return ImportedConfig{diff(name, before, layered(old, before)), true}, nil
	}
	done, err := p.editConfig(ctx, call, edit{app: in.App, global: in.Global, verb: "Restore", change: change})
	if err == nil {
		err = forget(ctx)
	}
	return ImportedConfig{done, false}, err
}

// cleared finds the vars of an app, or with "" the global ones, that were cleared last. forget is for when they are back.
func (p *Platform) cleared(ctx context.Context, name string) (vars Config, forget func(context.Context) error, err error) {
	var app App
	if name != "" {
		if app, err = p.find(ctx, name); err != nil {
			return nil, nil, err
		}
	}
	trash, err := p.Store.Trash(ctx)
	for _, t := range slices.Backward(trash) {
		if t.Kind == TrashedConfig && t.AppID == app.ID && !t.Purging {
			return t.Detail.Config, func(ctx context.Context) error { return p.Store.Undiscard(ctx, t.ID) }, err
		}
	}
	return nil, nil, errors.Join(err, Errorf(NotFound, "no config vars of %s were cleared lately", orElse(name, GlobalScope)))
}
