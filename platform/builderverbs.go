package platform

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
)

// BuilderInput is builder:set.
type BuilderInput struct {
	App   string   `arg:"app"`
	Words []string `arg:"builder" rest:"required" help:"auto, buildpacks, dockerfile, pack, static, procfile, or a property and value"`
}

// BuilderReport is how one app's source is built.
type BuilderReport struct {
	App      AppName     `json:"app"`
	Builder  string      `json:"builder"`            // "auto" or the one that was chosen
	Computed string      `json:"computed,omitempty"` // what made the current release: "nodejs"
	Choice   BuildChoice `json:"choice"`
	Note     string      `json:"note,omitempty"`
}

// Text implements the verbs' output.
func (r BuilderReport) Text(w io.Writer) error {
	if r.Note != "" {
		if _, err := fmt.Fprintln(w, r.Note); err != nil {
			return err
		}
	}
	return table(w, nil, r.rows())
}

func (r BuilderReport) rows() [][]string {
	builder := r.Builder
	if r.Computed != "" {
		builder += " (the current release: " + r.Computed + ")"
	}
	packs := "found out"
	if len(r.Choice.Buildpacks) > 0 {
		packs = strings.Join(r.Choice.Buildpacks, ", ")
	}
	return [][]string{
		{"app", string(r.App)},
		{"builder", builder},
		{"buildpacks", packs},
		{"build-dir", cmp.Or(r.Choice.Dir, "the top of the repository")},
		{"dockerfile-path", cmp.Or(r.Choice.Dockerfile, "Dockerfile")},
		{"procfile-path", cmp.Or(r.Choice.Procfile, "Procfile")},
		{"appjson-path", cmp.Or(r.Choice.AppJSON, "app.json")},
		{"projecttoml-path", cmp.Or(r.Choice.Project, "project.toml")},
	}
}

// SetBuilder chooses the builder, or sets one of the properties of builds. It takes effect with the next
// push or ps:rebuild.
func (p *Platform) SetBuilder(ctx context.Context, call Call, in BuilderInput) (BuilderReport, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return BuilderReport{}, err
	}
	changes, note, err := parseBuilderWords(in.Words)
	if err != nil {
		return BuilderReport{}, err
	}
	if err := p.changeBuild(ctx, call, app, changes); err != nil {
		return BuilderReport{}, err
	}
	r, err := p.builderReport(ctx, app)
	r.Note = note
	return r, err
}

// parseBuilderWords reads "dockerfile", "selected dockerfile", "build-dir api", "build-dir" and "build-dir=api".
func parseBuilderWords(words []string) (changes []Setting, note string, err error) {
	first := words[0]
	isProperty := first == selectedKey || new(BuildChoice).pathOf(first) != nil && first != "dockerfile"
	switch {
	case strings.Contains(first, "="):
		return parseBuilderPairs(words)
	case len(words) > 2:
		return nil, "", Errorf(Usage, "%q is too much", words[2])
	case len(words) == 1 && !isProperty:
		s, note, err := buildSetting(selectedKey, first)
		return []Setting{s}, note, orProperty(err, first)
	}
	s, note, err := buildSetting(first, strings.Join(words[1:], ""))
	return []Setting{s}, note, err
}

func parseBuilderPairs(words []string) (changes []Setting, note string, err error) {
	for _, word := range words {
		key, value, ok := strings.Cut(word, "=")
		if !ok {
			return nil, "", Errorf(Usage, "%q has no value: write it like build-dir=services/api", word)
		}
		s, said, err := buildSetting(key, value)
		if err != nil {
			return nil, "", err
		}
		changes, note = append(changes, s), note+said
	}
	return changes, note, nil
}

// orProperty lets a mistyped property of one word be told about properties, too.
func orProperty(err error, word string) error {
	if err == nil || !strings.Contains(word, "-") {
		return err
	}
	_, _, err = buildSetting(word, "")
	return err
}

// changeBuild stores build settings and says so once.
func (p *Platform) changeBuild(ctx context.Context, call Call, app App, changes []Setting) error {
	leave, err := p.enter(ctx, app.Name, call)
	if err != nil {
		return err
	}
	defer leave()
	if err := p.Store.ChangeSettings(ctx, app.Name, call.Actor.Name, changes); err != nil {
		return err
	}
	p.saySettings(EventBuildSet, app, call, changes)
	if app.Release > 0 {
		_, _ = fmt.Fprintf(call.Err, "It takes effect with the next push; now: ssh paas ps:rebuild %s\n", app.Name)
	}
	return nil
}

func (p *Platform) builderReport(ctx context.Context, app App) (BuilderReport, error) {
	choice, err := p.buildChoice(ctx, app.Name)
	if err != nil {
		return BuilderReport{}, err
	}
	r := BuilderReport{App: app.Name, Builder: choice.Name(), Choice: choice}
	if app.Release == 0 {
		return r, nil
	}
	release, err := p.Store.Release(ctx, app.Name, app.Release)
	r.Computed = release.Image.Builder
	return r, err
}

// ReportInput is builder:report and buildpacks:report.
type ReportInput struct {
	App string `arg:"app" optional:"true" help:"all apps without it"`
}

// BuilderReports are those of several apps.
type BuilderReports []BuilderReport

// Text implements the verbs' output.
func (list BuilderReports) Text(w io.Writer) error {
	for i, r := range list {
		if i > 0 {
			if _, err := fmt.Fprintln(w); err != nil {
				return err
			}
		}
		if err := r.Text(w); err != nil {
			return err
		}
	}
	return nil
}

// Builders shows how apps are built.
func (p *Platform) Builders(ctx context.Context, call Call, in ReportInput) (BuilderReports, error) {
	apps, err := p.oneOrAll(ctx, call, in.App)
	if err != nil {
		return nil, err
	}
	list := BuilderReports{}
	for _, app := range apps {
		r, err := p.builderReport(ctx, app)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, nil
}

// oneOrAll is the app of that name, or all that the caller sees with "".
func (p *Platform) oneOrAll(ctx context.Context, call Call, name string) ([]App, error) {
	if name == "" {
		apps, err := p.Store.Apps(ctx)
		if err != nil {
			return nil, err
		}
		return p.seen(ctx, call.Actor, apps)
	}
	app, err := p.find(ctx, name)
	return []App{app}, err
}

// PropertyInput is ps:set.
type PropertyInput struct {
	App   string `arg:"app"`
	Key   string `arg:"property" help:"such as release-phase, restart-policy or idle"`
	Value string `arg:"value" optional:"true" help:"without it the property is cleared"`
}

// SetProcessProperty is Dokku's ps:set, as far as its properties exist here.
func (p *Platform) SetProcessProperty(ctx context.Context, call Call, in PropertyInput) (Done, error) {
	switch in.Key {
	case idleKey, idleReclaimKey, idleStopKey, idleKeepKey:
		return p.setIdle(ctx, call, in)
	case "procfile-path":
		_, err := p.SetBuilder(ctx, call, BuilderInput{App: in.App, Words: []string{in.Key, in.Value}})
		return donef("The Procfile of %s is read from %s.", in.App, cmp.Or(in.Value, "Procfile")), err
	case releaseTimeoutKey, releasePhaseKey:
		return p.setRelease(ctx, call, in)
	case "restart-policy":
		v, err := p.RestartPolicy(ctx, call, PolicyInput{App: in.App, Policy: cmp.Or(in.Value, restartAlways)})
		return donef("The restart policy of %s is %s.", in.App, v.Policy), err
	}
	return Done{}, Errorf(Usage, "ps:set has no property %q", in.Key).WithHint("it has procfile-path, restart-policy, release-phase, release-timeout, idle, idle-reclaim, idle-stop and idle-keep")
}
