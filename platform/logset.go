package platform

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// LogsTopic is the topic of settings about logs.
const LogsTopic Topic = "logs"

// The keys of logs:set.
const (
	logAgeKey    = "age"
	logSizeKey   = "size"
	logRateKey   = "rate"
	logFormatKey = "format"
	logBudgetKey = "budget"
)

// The least and the most that may be set.
const (
	leastLogAge  = time.Minute
	mostLogAge   = 10 * 365 * 24 * time.Hour
	leastLogSize = 1 << 20
	mostLogRate  = 10_000_000
	usualFormat  = "full"
)

// logRules are what holds for an app's log.
type logRules struct {
	LogBounds
	format string
	budget int64 // of all apps
}

// logKnob is one key of logs:set.
type logKnob struct {
	key, example, help string
	aliases            []string
	global             bool // only for all apps
	set                func(r *logRules, value string) error
	show               func(r logRules) string
}

func logKnobs() []logKnob {
	return []logKnob{
		{logAgeKey, "7d", "older lines go", []string{"retention", "max-age"}, false,
			func(r *logRules, v string) (err error) { r.Age, err = parseLogAge(v); return err },
			func(r logRules) string { return spellDays(r.Age) }},
		{logSizeKey, "512m", "bytes on the disk, compressed; the oldest lines make room", []string{"max-size"}, false,
			func(r *logRules, v string) error { return setBytes(&r.Bytes, v, leastLogSize) },
			func(r logRules) string { return Bytes(r.Bytes) }},
		{logRateKey, "5000", "lines a second, five seconds' worth at once; the rest is left out; off: all are kept", []string{"rate-limit"}, false,
			setLogRate, func(r logRules) string { return showLogRate(r.Rate) }},
		{logFormatKey, usualFormat, "how lines are shown: full, short or plain", nil, false,
			setLogFormat, func(r logRules) string { return cmp.Or(r.format, usualFormat) }},
		{logBudgetKey, "20g", "bytes on the disk of all apps' logs together; without it a tenth of the disk", nil, true,
			func(r *logRules, v string) error { return setBytes(&r.budget, v, leastLogSize) },
			func(r logRules) string { return showBudget(r.budget) }},
	}
}

func showBudget(n int64) string {
	if n == 0 {
		return "a tenth of the disk, at most 20 GiB"
	}
	return Bytes(n)
}

func parseLogAge(text string) (time.Duration, error) {
	d, ok := parseAgo(text)
	if !ok || d < leastLogAge || d > mostLogAge {
		return 0, Errorf(Usage, "%q is no time from a minute to ten years: write it like 36h or 14d", text)
	}
	return d, nil
}

func spellDays(d time.Duration) string {
	if day := 24 * time.Hour; d >= day && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	return spellDuration(d)
}

func setLogRate(r *logRules, value string) error {
	if slices.Contains([]string{"off", "none", "unlimited", "0"}, value) {
		r.Rate = -1
		return nil
	}
	return setCount(&r.Rate, strings.TrimSuffix(value, "/s"), 1, mostLogRate)
}

func showLogRate(n int) string {
	if n < 0 {
		return "off"
	}
	return strconv.Itoa(n) + "/s"
}

func setLogFormat(r *logRules, value string) error {
	if _, ok := logForms()[value]; !ok {
		return Errorf(Usage, "%q is no form: take full, short or plain", value)
	}
	r.format = value
	return nil
}

func findLogKnob(key string) (logKnob, error) {
	var known []string
	for _, k := range logKnobs() {
		if k.key == key || slices.Contains(k.aliases, key) {
			return k, nil
		}
		known = append(known, k.key)
	}
	e := Errorf(Usage, "%q cannot be set for logs", key)
	for _, name := range known {
		if Near(key, name) {
			return logKnob{}, e.WithHint("did you mean %s?", name)
		}
	}
	return logKnob{}, e.WithHint("known are %s", strings.Join(known, ", "))
}

// LogSetInput is logs:set.
type LogSetInput struct {
	Words  []string `arg:"words" rest:"optional" help:"the app unless --global, then age=14d rate=1000 …; key=clear unsets"`
	Global bool     `flag:"global" help:"for all apps that have no own, and budget=N"`
	App    string   `flag:"app" short:"a" value:"APP" help:"the app, instead of as the first word"`
}

// LogSetting is one setting in force.
type LogSetting struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Source string `json:"source"` // "app", "global" or "default"
	Help   string `json:"help"`
}

// LogReport is what holds for an app's log, and what there is of it; or what holds for all.
type LogReport struct {
	App      AppName      `json:"app,omitempty"`
	Settings []LogSetting `json:"settings"`
	Bytes    int64        `json:"bytes"`
	Lines    uint64       `json:"lines"`
	Oldest   *time.Time   `json:"oldest,omitempty"`
	Dropped  uint64       `json:"dropped"` // lines since the server started
	Drains   []DrainView  `json:"drains"`
}

// Text implements the verbs' output.
func (r LogReport) Text(w io.Writer) error {
	var rows [][]string
	for _, s := range r.Settings {
		rows = append(rows, []string{s.Key, s.Value, s.Source, s.Help})
	}
	if err := table(w, []string{"SETTING", "VALUE", "SOURCE", "WHAT"}, rows); err != nil || r.App == "" {
		return err
	}
	oldest := "-"
	if r.Oldest != nil {
		oldest = r.Oldest.UTC().Format(time.RFC3339)
	}
	rows = [][]string{
		{"lines", strconv.FormatUint(r.Lines, 10)}, {"on the disk", Bytes(r.Bytes)}, {"since", oldest},
		{"dropped", strconv.FormatUint(r.Dropped, 10)}, {"drains", strconv.Itoa(len(r.Drains))},
	}
	if _, piped := w.(Piped); !piped {
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
	}
	return table(w, nil, rows)
}

// SetLogs changes what is kept of an app's log, at once.
func (p *Platform) SetLogs(ctx context.Context, call Call, in LogSetInput) (LogReport, error) {
	words, name := in.Words, in.App
	if !in.Global && name == "" {
		if len(words) == 0 || strings.Contains(words[0], "=") {
			return LogReport{}, Errorf(Usage, "name the app first, or all of them with --global").WithHint("ssh paas logs:set blog age=14d")
		}
		name, words = words[0], words[1:]
	}
	var app App
	if !in.Global {
		var err error
		if app, err = p.find(ctx, name); err != nil {
			return LogReport{}, err
		}
	} else if !call.Actor.Admin {
		return LogReport{}, Errorf(Denied, "logs:set --global is for admins, and your key %q is not one", call.Actor.Name)
	}
	changes, err := logChanges(words, in.Global)
	if err != nil {
		return LogReport{}, err
	}
	if in.Global {
		err = p.Store.ChangeGlobalSettings(ctx, changes)
	} else {
		err = p.Store.ChangeSettings(ctx, app.Name, call.Actor.Name, changes)
	}
	if err != nil {
		return LogReport{}, err
	}
	if len(changes) > 0 {
		p.saySettings(EventLogsSet, app, call, changes)
	}
	if err := p.boundLogs(ctx, app.Name); err != nil {
		return LogReport{}, err
	}
	return p.ReportLogs(ctx, call, LogReportInput{App: string(app.Name)})
}

// logChanges checks each word before anything is stored. Dokku writes a key and its value as two words.
func logChanges(words []string, global bool) (changes []Setting, err error) {
	if n := len(words); (n == 1 || n == 2) && !strings.Contains(words[0], "=") {
		value := clearValue
		if n == 2 && words[1] != "" {
			value = words[1]
		}
		words = []string{words[0] + "=" + value}
	}
	keys, values, err := parsePairs(words)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		k, err := findLogKnob(key)
		if err != nil {
			return nil, err
		}
		if k.global && !global {
			return nil, Errorf(Usage, "%s holds for the host", key).WithHint("ssh paas logs:set --global %s=%s", key, values[key])
		}
		s := Setting{Topic: LogsTopic, Key: k.key}
		if values[key] != clearValue {
			s.Value = values[key]
			if err := k.set(&logRules{}, s.Value); err != nil {
				return nil, err
			}
		}
		changes = append(changes, s)
	}
	return changes, nil
}

// LogReportInput is logs:report.
type LogReportInput struct {
	App    string `arg:"app" optional:"true"`
	Global bool   `flag:"global" help:"what holds for apps that have no own"`
}

// ReportLogs shows what holds for an app's log, and what there is of it.
func (p *Platform) ReportLogs(ctx context.Context, _ Call, in LogReportInput) (LogReport, error) {
	r := LogReport{Drains: []DrainView{}}
	if in.App != "" && !in.Global {
		app, err := p.find(ctx, in.App)
		if err != nil {
			return r, err
		}
		r.App = app.Name
	}
	rules, sources, err := p.logRules(ctx, r.App)
	if err != nil {
		return r, err
	}
	for _, k := range logKnobs() {
		r.Settings = append(r.Settings, LogSetting{k.key, k.show(rules), cmp.Or(sources[k.key], "default"), k.help})
	}
	if r.App == "" || p.Logbook == nil {
		return r, nil
	}
	usage, err := p.Logbook.Usage(r.App)
	if err != nil {
		return r, err
	}
	r.Bytes, r.Lines, r.Dropped = usage.Bytes, usage.Lines, usage.Dropped
	if !usage.Oldest.IsZero() {
		r.Oldest = &usage.Oldest
	}
	r.Drains, err = p.drainViews(ctx, r.App)
	return r, err
}

// logRules are what holds for an app, or for all with "", and for each key where that comes from if it is not the default.
func (p *Platform) logRules(ctx context.Context, app AppName) (r logRules, sources map[string]string, err error) {
	sources = map[string]string{}
	list, err := p.Store.GlobalSettings(ctx)
	if err == nil {
		err = r.take(list, "global", sources)
	}
	if err == nil && app != "" {
		if list, err = p.Store.Settings(ctx, app); err == nil {
			err = r.take(list, "app", sources)
		}
	}
	if err != nil {
		return r, nil, fmt.Errorf("read settings of logs: %w", err)
	}
	r.format = cmp.Or(r.format, usualFormat)
	if p.Logbook != nil { // it knows the defaults
		usual := p.Logbook.Bounds("")
		r.Age, r.Bytes, r.Rate = cmp.Or(r.Age, usual.Age), cmp.Or(r.Bytes, usual.Bytes), cmp.Or(r.Rate, usual.Rate)
	}
	return r, sources, nil
}

func (r *logRules) take(list []Setting, source string, sources map[string]string) error {
	for _, s := range list {
		if s.Topic != LogsTopic {
			continue
		}
		k, err := findLogKnob(s.Key)
		if err == nil {
			err = k.set(r, s.Value)
		}
		if err != nil {
			return fmt.Errorf("read setting %s: %w", s.Key, err)
		}
		sources[k.key] = source
	}
	return nil
}

// boundLogs tells the logbook what holds for an app, or for all with "".
func (p *Platform) boundLogs(ctx context.Context, app AppName) error {
	if p.Logbook == nil {
		return nil
	}
	list, err := p.Store.GlobalSettings(ctx)
	if err == nil && app != "" {
		list, err = p.Store.Settings(ctx, app)
	}
	var r logRules
	if err == nil {
		err = r.take(list, "", map[string]string{})
	}
	if err != nil {
		return fmt.Errorf("read settings of logs: %w", err)
	}
	if app == "" {
		p.Logbook.SetDefaults(r.LogBounds, r.budget)
		return nil
	}
	p.Logbook.SetBounds(app, r.LogBounds)
	return nil
}
