package platform

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// BuildTopic is the topic of settings of builds.
const BuildTopic Topic = "build"

// buildRules are what holds for an app's builds.
type buildRules struct {
	BuildLimits
	Timeout time.Duration // of the whole build, waiting for a place not counted
	Detach  bool          // the build goes on when the pusher goes away
	Alone   bool          // it shares no layers with other apps' builds
	Places  int           // how many builds run at once on the host
}

// The defaults that do not depend on the host.
const (
	buildMemory    = 2 << 30 // enough for webpack or a C++ add-on
	buildProcesses = 2048
	buildDisk      = 10 << 30
	buildTimeout   = 30 * time.Minute
	buildSilence   = 15 * time.Minute
	placeMemory    = 3 << 30 // of the host's, for each build that runs at once
	mostPlaces     = 8
)

// usualRules are the defaults on a host: a build has at most three fifths of the memory and all of the
// processors, but for one while apps are at work; there is a place for every two processors and 3 GiB.
func usualRules(host Load) buildRules {
	processors := cmp.Or(host.Processors, runtime.NumCPU())
	r := buildRules{Timeout: buildTimeout, Places: 1}
	r.Silence, r.Disk, r.Processes = buildSilence, buildDisk, buildProcesses
	r.CPUs, r.Memory = float64(processors), buildMemory
	if host.Memory > 0 {
		r.Memory = min(r.Memory, host.Memory/5*3)
		r.Places = int(min(int64((processors+1)/2), host.Memory/placeMemory, mostPlaces))
	}
	r.Places = max(r.Places, 1)
	return r
}

// buildKnob is a key that builds:set takes.
type buildKnob struct {
	key, help string
	global    bool // it holds for the host, not for an app
	set       func(*buildRules, string) error
	show      func(buildRules) string
}

func buildKnobs() []buildKnob {
	return []buildKnob{
		{"memory", "memory of each step", false,
			func(r *buildRules, v string) error { return setBytes(&r.Memory, v, 32<<20) },
			func(r buildRules) string { return writeBytes(r.Memory) }},
		{"swap", "swap of each step beside its memory", false,
			func(r *buildRules, v string) error { return setBytes(&r.Swap, v, 0) },
			func(r buildRules) string { return writeBytes(r.Swap) }},
		{"cpu", "processors' worth of time of each step", false,
			func(r *buildRules, v string) error { return setShare(&r.CPUs, v, 0.01, 1024) },
			func(r buildRules) string { return strconv.FormatFloat(r.CPUs, 'g', -1, 64) }},
		{"pids", "processes and threads of each step", false,
			func(r *buildRules, v string) error { return setCount(&r.Processes, v, 16, 4_000_000) },
			func(r buildRules) string { return strconv.Itoa(r.Processes) }},
		{"disk", "what each step may write, caches and temporary files included", false,
			func(r *buildRules, v string) error { return setBytes(&r.Disk, v, 1<<20) },
			func(r buildRules) string { return writeBytes(r.Disk) }},
		{"timeout", "the whole build, waiting for a place not counted", false,
			func(r *buildRules, v string) error { return setDuration(&r.Timeout, v) },
			func(r buildRules) string { return spellDuration(r.Timeout) }},
		{"silence", "a step that prints nothing for so long is ended", false,
			func(r *buildRules, v string) error { return setDuration(&r.Silence, v) },
			func(r buildRules) string { return spellDuration(r.Silence) }},
		{"on-hangup", "what the end of the pusher's connection does: cancel or detach", false, setHangup,
			func(r buildRules) string { return map[bool]string{true: "detach", false: "cancel"}[r.Detach] }},
		{"cache", "whose layers of equal steps are taken: shared, those of apps that the same people deploy, or own", false, setCache,
			func(r buildRules) string { return map[bool]string{true: "own", false: "shared"}[r.Alone] }},
		{"places", "how many builds run at once", true,
			func(r *buildRules, v string) error { return setCount(&r.Places, v, 1, 1000) },
			func(r buildRules) string { return strconv.Itoa(r.Places) }},
	}
}

func setHangup(r *buildRules, value string) error {
	if value != "cancel" && value != "detach" {
		return Errorf(Usage, "on-hangup is cancel or detach, not %q", value)
	}
	r.Detach = value == "detach"
	return nil
}

func setCache(r *buildRules, value string) error {
	if value != "shared" && value != "own" {
		return Errorf(Usage, "cache is shared or own, not %q", value)
	}
	r.Alone = value == "own"
	return nil
}

func setDuration(to *time.Duration, value string) error {
	d, err := time.ParseDuration(value)
	if err != nil || d < time.Second || d > 7*24*time.Hour {
		return Errorf(Usage, "%q is no time from 1s to a week: write it like 90s, 45m or 2h", value)
	}
	*to = d
	return nil
}

// spellDuration spells as people type it: 30m, not 30m0s.
func spellDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func findBuildKnob(key string) (buildKnob, error) {
	var known []string
	for _, k := range buildKnobs() {
		if k.key == key {
			return k, nil
		}
		known = append(known, k.key)
	}
	e := Errorf(Usage, "%q cannot be set for builds", key)
	for _, name := range known {
		if Near(key, name) {
			return buildKnob{}, e.WithHint("did you mean %s?", name)
		}
	}
	return buildKnob{}, e.WithHint("known are %s", strings.Join(known, ", "))
}

// BuildSetInput is builds:set.
type BuildSetInput struct {
	Words  []string `arg:"words" rest:"optional" app:"first" help:"the app unless --global, then memory=4g timeout=1h …; key=clear unsets"`
	Global bool     `flag:"global" help:"for all apps that have no own, and places=N"`
	App    string   `flag:"app" short:"a" value:"APP" help:"the app, instead of as the first word"`
}

// BuildReportInput is builds:report.
type BuildReportInput struct {
	App string `arg:"app" optional:"true"`
}

// BuildReport is what holds for an app's builds, or for all.
type BuildReport struct {
	App      AppName        `json:"app,omitempty"`
	Settings []BuildSetting `json:"settings"`
	Running  int            `json:"running"` // builds of all apps that have a place
	Waiting  int            `json:"waiting"` // for one
}

// BuildSetting is one setting in force.
type BuildSetting struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Source string `json:"source"` // "app", "global" or "default"
	Help   string `json:"help"`
}

// Text implements the verbs' output.
func (r BuildReport) Text(w io.Writer) error {
	var rows [][]string
	for _, s := range r.Settings {
		rows = append(rows, []string{s.Key, s.Value, s.Source, s.Help})
	}
	if err := table(w, []string{"SETTING", "VALUE", "SOURCE", "WHAT"}, rows); err != nil {
		return err
	}
	if _, piped := w.(Piped); piped {
		return nil
	}
	_, err := fmt.Fprintf(w, "\n%d builds run, %d wait.\n", r.Running, r.Waiting)
	return err
}

// SetBuilds changes what holds for an app's builds, from its next one on.
func (p *Platform) SetBuilds(ctx context.Context, call Call, in BuildSetInput) (BuildReport, error) {
	words, name := in.Words, in.App
	if !in.Global && name == "" {
		if len(words) == 0 || strings.Contains(words[0], "=") {
			return BuildReport{}, Errorf(Usage, "name the app first, or all of them with --global").
				WithHint("ssh paas builds:set blog memory=4g")
		}
		name, words = words[0], words[1:]
	}
	changes, err := buildChanges(words, in.Global)
	if err != nil {
		return BuildReport{}, err
	}
	if in.Global {
		if err := p.Store.ChangeGlobalSettings(ctx, changes); err != nil {
			return BuildReport{}, err
		}
		p.sayBuildSettings("", call, changes)
		p.queue.look(p)
		return p.ReportBuilds(ctx, call, BuildReportInput{})
	}
	app, err := p.find(ctx, name)
	if err != nil {
		return BuildReport{}, err
	}
	if err := p.Store.ChangeSettings(ctx, app.Name, call.Actor.Name, changes); err != nil {
		return BuildReport{}, err
	}
	p.sayBuildSettings(app.Name, call, changes)
	return p.ReportBuilds(ctx, call, BuildReportInput{App: name})
}

func (p *Platform) sayBuildSettings(app AppName, call Call, changes []Setting) {
	if len(changes) > 0 {
		p.saySettings(EventLimited, App{Name: app}, call, changes)
	}
}

// buildChanges checks each word before anything is stored.
func buildChanges(words []string, global bool) (changes []Setting, err error) {
	keys, values, err := parsePairs(words)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		k, err := findBuildKnob(key)
		if err != nil {
			return nil, err
		}
		if k.global && !global {
			return nil, Errorf(Usage, "%s holds for the host", key).WithHint("ssh paas builds:set --global %s=%s", key, values[key])
		}
		s := Setting{Topic: BuildTopic, Key: key}
		if values[key] != clearValue {
			s.Value = values[key]
			if err := k.set(&buildRules{}, s.Value); err != nil {
				return nil, fmt.Errorf("set %s: %w", key, err)
			}
		}
		changes = append(changes, s)
	}
	return changes, nil
}

// ReportBuilds shows what holds for an app's builds, and where that comes from.
func (p *Platform) ReportBuilds(ctx context.Context, _ Call, in BuildReportInput) (BuildReport, error) {
	var r BuildReport
	if in.App != "" {
		app, err := p.find(ctx, in.App)
		if err != nil {
			return r, err
		}
		r.App = app.Name
	}
	rules, sources, err := p.buildRules(ctx, r.App)
	if err != nil {
		return r, err
	}
	for _, k := range buildKnobs() {
		r.Settings = append(r.Settings, BuildSetting{k.key, k.show(rules), cmp.Or(sources[k.key], "default"), k.help})
	}
	r.Running, r.Waiting = p.queue.sizes()
	return r, nil
}

// buildRules are what holds for an app, or for all with "", and for each key where that comes from if it is
// not the default.
func (p *Platform) buildRules(ctx context.Context, app AppName) (r buildRules, sources map[string]string, err error) {
	r, sources = usualRules(p.load()), map[string]string{}
	list, err := p.Store.GlobalSettings(ctx)
	if err != nil {
		return r, nil, fmt.Errorf("read settings of builds: %w", err)
	}
	if err := r.take(list, "global", sources); err != nil || app == "" {
		return r, sources, err
	}
	if list, err = p.Store.Settings(ctx, app); err != nil {
		return r, nil, fmt.Errorf("read settings of builds of %s: %w", app, err)
	}
	return r, sources, r.take(list, "app", sources)
}

func (r *buildRules) take(list []Setting, source string, sources map[string]string) error {
	for _, s := range list {
		i := slices.IndexFunc(buildKnobs(), func(k buildKnob) bool { return k.key == s.Key })
		if s.Topic != BuildTopic || i < 0 {
			continue
		}
		if err := buildKnobs()[i].set(r, s.Value); err != nil {
			return fmt.Errorf("read setting %s of builds: %w", s.Key, err)
		}
		sources[s.Key] = source
	}
	return nil
}

func (p *Platform) load() Load {
	if p.Gauge == nil {
		return Load{}
	}
	return p.Gauge.Load()
}
