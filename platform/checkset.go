package platform

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// EventChecksSet says that it was changed how an app is checked and released.
const EventChecksSet EventKind = "checks-set"

// processName is what a process type can be called: a DNS label (RFC 1123, 2.1).
var processName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// CheckSetInput is checks:set.
type CheckSetInput struct {
	Words   []string `arg:"words" rest:"optional" help:"the app, then wait=5 or wait 5; clear unsets"`
	Process string   `flag:"process" short:"p" value:"TYPE" help:"only for processes of this type"`
	Global  bool     `flag:"global" help:"for all apps that have no own (admins only)"`
	App     string   `flag:"app" short:"a" value:"APP" help:"the app, instead of as the first word"`
}

// SetChecks changes how checks are made that leave it open: from the next start of an instance on.
func (p *Platform) SetChecks(ctx context.Context, call Call, in CheckSetInput) (CheckReports, error) {
	if in.Global {
		return p.setGlobalChecks(ctx, call, in)
	}
	words, name := in.Words, in.App
	if name == "" {
		if len(words) == 0 || strings.Contains(words[0], "=") {
			return nil, Errorf(Usage, "name the app first, or all of them with --global").WithHint("ssh paas checks:set blog wait=2 attempts=10")
		}
		name, words = words[0], words[1:]
	}
	app, err := p.find(ctx, name)
	if err != nil {
		return nil, err
	}
	changes, err := checkChanges(words, ProcessType(in.Process))
	if err != nil {
		return nil, err
	}
	if err := p.changeChecks(ctx, call, app, []ProcessType{ProcessType(in.Process)}, changes); err != nil {
		return nil, err
	}
	return p.ReportChecks(ctx, call, ReportInput{App: name})
}

func (p *Platform) setGlobalChecks(ctx context.Context, call Call, in CheckSetInput) (CheckReports, error) {
	if !call.Actor.Admin {
		return nil, Errorf(Denied, "what holds for all apps is set by admins").WithHint("set it for an app: ssh paas checks:set APP wait=2")
	}
	if in.Process != "" {
		return nil, Errorf(Usage, "--process and --global exclude each other").WithHint("set it for an app: ssh paas checks:set APP -p %s wait=2", in.Process)
	}
	changes, err := checkChanges(in.Words, "")
	if err != nil {
		return nil, err
	}
	if err := p.Store.ChangeGlobalSettings(ctx, changes); err != nil {
		return nil, err
	}
	p.saySettings(EventChecksSet, App{}, call, changes)
	return p.ReportChecks(ctx, call, ReportInput{})
}

// checkChanges reads "wait=5 attempts=3", and "wait 5" as Dokku has it, before anything is stored.
func checkChanges(words []string, typ ProcessType) (changes []Setting, err error) {
	if len(words) > 0 && !strings.Contains(words[0], "=") {
		if len(words) > 2 {
			return nil, Errorf(Usage, "%q is too much: a key has one value", words[2])
		}
		value := clearValue
		if len(words) == 2 && words[1] != "" {
			value = words[1]
		}
		words = []string{words[0] + "=" + value}
	}
	keys, values, err := parsePairs(words)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, Errorf(Usage, "say what to set").WithHint("ssh paas checks:set blog wait=2 attempts=10; as it is: ssh paas checks:report blog")
	}
	for _, key := range keys {
		s, err := checkSetting(key, values[key], typ)
		if err != nil {
			return nil, err
		}
		changes = append(changes, s)
	}
	return changes, nil
}

func checkSetting(key, value string, typ ProcessType) (Setting, error) {
	s := Setting{Topic: ChecksTopic, Type: typ, Key: key, Value: value}
	if value == clearValue {
		s.Value = ""
	}
	if key == waitToRetireKey {
		return retireSetting(s)
	}
	if !slices.Contains(checkKeys(), key) {
		return s, unknownCheckKey(key)
	}
	if s.Value == "" {
		return s, nil
	}
	return s, new(checkRules).take(key, s.Value)
}

// retireSetting is the router's: it is one and the same.
func retireSetting(s Setting) (Setting, error) {
	if s.Type != "" {
		return s, Errorf(Usage, "%s holds for all processes of an app", waitToRetireKey).WithHint("leave --process out")
	}
	s.Topic, s.Key = RouterTopic, drainKey
	if s.Value == "" {
		return s, nil
	}
	d, err := parseSeconds(s.Value, 1)
	s.Value = spellDuration(d)
	return s, err
}

// changeChecks stores settings of an app's process types.
func (p *Platform) changeChecks(ctx context.Context, call Call, app App, types []ProcessType, changes []Setting) error {
	for _, typ := range types {
		if typ != "" && !processName.MatchString(string(typ)) {
			return Errorf(Usage, "%q is not the name of a process type", clipped(string(typ), 64)).WithHint("see them: ssh paas ps %s", app.Name)
		}
	}
	named := slices.DeleteFunc(slices.Clone(types), func(t ProcessType) bool { return t == "" })
	if err := p.declaresChecked(ctx, app, named); err != nil {
		return err
	}
	if err := p.Store.ChangeSettings(ctx, app.Name, call.Actor.Name, changes); err != nil {
		return err
	}
	p.saySettings(EventChecksSet, app, call, changes)
	if !slices.ContainsFunc(changes, func(s Setting) bool { return s.Topic == RouterTopic }) {
		return nil
	}
	fresh, err := p.Store.App(ctx, app.Name)
	if err == nil {
		p.drainLater(p.republish(ctx, fresh, func(list []Instance) []Instance { return list }))
	}
	return err
}

func (p *Platform) declaresChecked(ctx context.Context, app App, types []ProcessType) error {
	if app.Release == 0 || len(types) == 0 {
		return nil
	}
	release, err := p.Store.Release(ctx, app.Name, app.Release)
	if err != nil {
		return err
	}
	for _, t := range types {
		if _, ok := release.Image.Processes[t]; !ok {
			return Errorf(Usage, "%s has no process type %q to check: %s", app.Name, t, declared(release.Image)).
				WithHint("see them: ssh paas checks:report %s", app.Name)
		}
	}
	return nil
}

// CheckModeInput is checks:enable, checks:skip and checks:disable.
type CheckModeInput struct {
	App   string   `arg:"app"`
	Types []string `arg:"type" rest:"optional" help:"process types, with blanks or commas between them; without any, all"`
}

// EnableChecks lets instances be checked before they get requests, as is usual.
func (p *Platform) EnableChecks(ctx context.Context, call Call, in CheckModeInput) (CheckReports, error) {
	return p.setCheckMode(ctx, call, in, checksEnabled)
}

// SkipChecks lets instances count as healthy as soon as they are started.
func (p *Platform) SkipChecks(ctx context.Context, call Call, in CheckModeInput) (CheckReports, error) {
	return p.setCheckMode(ctx, call, in, checksSkipped)
}

// DisableChecks lets nobody look at instances, and has old ones end before new ones start, for what may not run twice.
func (p *Platform) DisableChecks(ctx context.Context, call Call, in CheckModeInput) (CheckReports, error) {
	return p.setCheckMode(ctx, call, in, checksDisabled)
}

func (p *Platform) setCheckMode(ctx context.Context, call Call, in CheckModeInput, mode checkMode) (CheckReports, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return nil, err
	}
	types := splitTypes(in.Types)
	changes, err := p.modeChanges(ctx, app, types, mode)
	if err != nil {
		return nil, err
	}
	if err := p.changeChecks(ctx, call, app, types, changes); err != nil {
		return nil, err
	}
	return p.ReportChecks(ctx, call, ReportInput{App: in.App})
}

func splitTypes(words []string) (types []ProcessType) {
	for _, word := range words {
		for name := range strings.SplitSeq(word, ",") {
			if name != "" && ProcessType(name) != allTypes {
				types = append(types, ProcessType(name))
			}
		}
	}
	return types
}

// allTypes is Dokku's word for every process type.
const allTypes = "_all_"

// modeChanges sets the types' mode, or that of all: then what single ones had goes.
func (p *Platform) modeChanges(ctx context.Context, app App, types []ProcessType, mode checkMode) (changes []Setting, err error) {
	for _, typ := range types {
		changes = append(changes, Setting{Topic: ChecksTopic, Type: typ, Key: modeKey, Value: string(mode)})
	}
	if len(types) > 0 {
		return changes, nil
	}
	have, err := p.Store.Settings(ctx, app.Name)
	if err != nil {
		return nil, err
	}
	all := Setting{Topic: ChecksTopic, Key: modeKey, Value: string(mode)}
	if mode == checksEnabled {
		all.Value = "" // the default
	}
	changes = append(changes, all)
	for _, s := range have {
		if s.Topic == ChecksTopic && s.Key == modeKey && s.Type != "" {
			changes = append(changes, Setting{Topic: s.Topic, Type: s.Type, Key: s.Key})
		}
	}
	return changes, nil
}

// Text implements the verbs' output.
func (list CheckReports) Text(w io.Writer) error {
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
