package platform

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// LogsInput is logs. Its flags are those of Dokku, Heroku and kamal together.
type LogsInput struct {
	App      string   `arg:"app"`
	Lines    string   `flag:"lines" short:"n" value:"N" help:"how many from the end; 100, or with --since all"`
	Num      string   `flag:"num" value:"N" help:"the same as --lines"`
	Follow   bool     `flag:"follow" short:"f" help:"go on with new lines; on a terminal it does, until q or Ctrl-C"`
	Tail     bool     `flag:"tail" short:"t" help:"the same as --follow"`
	NoFollow bool     `flag:"no-follow" help:"end after the lines that are there, on a terminal too"`
	Process  string   `flag:"process" short:"p" value:"TYPE" help:"only this process type or process: web, web.1"`
	PS       string   `flag:"ps" value:"TYPE" help:"the same as --process"`
	Since    string   `flag:"since" value:"TIME" help:"only later ones: 10m, 2d, 2026-01-31, 2026-01-31T12:00:00Z"`
	Until    string   `flag:"until" value:"TIME" help:"only earlier ones"`
	Grep     string   `flag:"grep" short:"g" value:"RE" help:"only those that this regular expression (RE2) matches"`
	NoCase   bool     `flag:"ignore-case" short:"i" help:"--grep takes capital and small letters as one"`
	Level    string   `flag:"level" value:"LEVEL" help:"only debug, info, warn, error, fatal, or graver"`
	Release  string   `flag:"release" value:"V" help:"only of this release, like v12"`
	Deploy   string   `flag:"deploy" value:"V" help:"the same as --release"`
	Source   []string `flag:"source" short:"s" value:"SOURCE" help:"only app, build, release, router, platform, run or cron"`
	NoTime   bool     `flag:"no-timestamps" short:"T" help:"without the time"`
	Quiet    bool     `flag:"quiet" short:"q" help:"the lines only, without time and process"`
	FormatAs string   `flag:"format" value:"FORM" help:"full, short or plain, instead of what logs:set says"`
	JSON     bool     `flag:"json" help:"one JSON object a line"`
}

// usualLines is how many lines are shown if nobody says.
const usualLines = 100

// mostPattern is the longest regular expression, in bytes.
const mostPattern = 1000

// Logs prints the app's log and follows it.
func (p *Platform) Logs(ctx context.Context, call Call, in LogsInput) (Streamed, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return Streamed{}, err
	}
	q, err := in.filter(p.Now())
	if err != nil {
		return Streamed{}, err
	}
	q.App, q.Follow = app.Name, in.follows(call)
	form, err := p.logForm(ctx, app.Name, in)
	if err != nil || p.Logbook == nil {
		return Streamed{}, err
	}
	ctx, stop := untilQuit(ctx, call)
	defer stop()
	out := &logPrinter{to: call.Out, form: form}
	err = p.Logbook.Read(ctx, q, out.print)
	if err = errors.Join(err, out.flush()); err == nil || ctx.Err() == nil {
		return Streamed{}, err
	}
	if errors.Is(context.Cause(ctx), errQuit) {
		return Streamed{}, nil
	}
	return Streamed{Exit: 130}, nil
}

// follows: people at a terminal watch, unless they ask for the past.
func (in LogsInput) follows(call Call) bool {
	if in.NoFollow || in.Until != "" {
		return false
	}
	return in.Follow || in.Tail || call.Terminal != nil
}

// filter reads what is asked for.
func (in LogsInput) filter(now time.Time) (q LogFilter, err error) {
	if q.Last, err = in.last(); err != nil {
		return q, err
	}
	if q.Since, err = parseWhen("--since", in.Since, now); err != nil {
		return q, err
	}
	if q.Until, err = parseWhen("--until", in.Until, now); err != nil {
		return q, err
	}
	if !q.Until.IsZero() && q.Until.Before(q.Since) {
		return q, Errorf(Usage, "--until is before --since")
	}
	if in.Level != "" {
		if q.Level, err = parseLogLevel(in.Level); err != nil {
			return q, err
		}
	}
	if q.Release, err = parseLogRelease(in.Release + in.Deploy); err != nil {
		return q, err
	}
	if q.Sources, err = parseLogSources(in.Source); err != nil {
		return q, err
	}
	q.Process = in.Process + in.PS
	q.Grep, err = in.pattern()
	return q, err
}

func (in LogsInput) last() (int, error) {
	word := in.Lines + in.Num
	if word == "" {
		if in.Since != "" {
			return AllLines, nil
		}
		return usualLines, nil
	}
	n, err := strconv.Atoi(word)
	if err != nil || n < 0 {
		return 0, Errorf(Usage, "-n takes a number of lines, not %q", word)
	}
	return n, nil
}

func (in LogsInput) pattern() (*regexp.Regexp, error) {
	if in.Grep == "" {
		return nil, nil
	}
	if len(in.Grep) > mostPattern {
		return nil, Errorf(Usage, "--grep takes at most %d bytes", mostPattern)
	}
	text := in.Grep
	if in.NoCase {
		text = "(?i)" + text
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, Errorf(Usage, "--grep %q is no regular expression: %s", in.Grep, strings.TrimPrefix(err.Error(), "error parsing regexp: ")).
			WithHint(`write a \ before a character that shall stand for itself`)
	}
	return re, nil
}

// parseWhen reads a time: how long ago, or when it was, in UTC unless it says otherwise. "" is the zero time.
func parseWhen(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, ok := parseAgo(text); ok {
		return now.Add(-d), nil
	}
	for _, form := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly} {
		if at, err := time.Parse(form, text); err == nil {
			return at, nil
		}
	}
	if at, err := time.Parse("15:04", text); err == nil {
		y, m, d := now.UTC().Date()
		return time.Date(y, m, d, at.Hour(), at.Minute(), 0, 0, time.UTC), nil
	}
	return time.Time{}, Errorf(Usage, "%s %q is no time: write 90s, 10m, 2h, 3d, or 2026-01-31T12:00:00Z", flag, text)
}

// parseAgo reads a duration that may have days and weeks.
func parseAgo(text string) (time.Duration, bool) {
	text = strings.TrimSuffix(strings.TrimSpace(text), " ago")
	days := map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour}
	if n := len(text); n > 1 && days[text[n-1:]] > 0 {
		count, err := strconv.Atoi(text[:n-1])
		return time.Duration(count) * days[text[n-1:]], err == nil && count >= 0 && count < 10_000
	}
	d, err := time.ParseDuration(text)
	return d, err == nil && d >= 0
}

func parseLogLevel(text string) (LogLevel, error) {
	word := strings.ToLower(text)
	for l := LogDebug; l <= LogFatal; l++ {
		if l.String() == word {
			return l, nil
		}
	}
	others := map[string]LogLevel{"trace": LogDebug, "notice": LogInfo, "warning": LogWarn, "err": LogError, "critical": LogFatal, "crit": LogFatal}
	if l, ok := others[word]; ok {
		return l, nil
	}
	return 0, Errorf(Usage, "%q is no level: take debug, info, warn, error or fatal", text)
}

func parseLogRelease(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(strings.TrimPrefix(text, "v"))
	if err != nil || n < 1 {
		return 0, Errorf(Usage, "%q is not a release: write it like v12", text)
	}
	return n, nil
}

// parseLogSources: Heroku and others call the platform by other names.
func parseLogSources(words []string) (list []LogSource, err error) {
	others := map[string]LogSource{"system": LogPlatform, "paas": LogPlatform, "heroku": LogPlatform, "api": LogBuild, "web": LogApp}
	for _, word := range words {
		for part := range strings.SplitSeq(word, ",") {
			s := LogSource(part)
			if other, ok := others[part]; ok {
				s = other
			}
			if !slices.Contains(LogSources(), s) {
				return nil, Errorf(Usage, "%q is no source of lines: take app, build, release, router, platform, run or cron", part)
			}
			list = append(list, s)
		}
	}
	return list, nil
}

// FailedLogsInput is logs:failed.
type FailedLogsInput struct {
	App   string `arg:"app" optional:"true"`
	All   bool   `flag:"all" help:"of every app"`
	Lines int    `flag:"lines" short:"n" default:"100" help:"how many of each app"`
	JSON  bool   `flag:"json" help:"one JSON object a line"`
}

// FailedLogs prints the output of an app's last build or release phase that failed, and of what did not come up: the lines
// from its push on.
func (p *Platform) FailedLogs(ctx context.Context, call Call, in FailedLogsInput) (Streamed, error) {
	apps, err := p.failedOf(ctx, in)
	if err != nil || p.Logbook == nil {
		return Streamed{}, err
	}
	for _, app := range apps {
		builds, err := p.Store.Builds(ctx, app.Name, keptBuilds)
		if err != nil {
			return Streamed{}, err
		}
		i := slices.IndexFunc(builds, func(b Build) bool { return b.Status == BuildFailed })
		if i < 0 {
			continue
		}
		q := LogFilter{
			App: app.Name, Since: builds[i].CreatedAt, Until: builds[i].EndedAt.Add(time.Second), Last: in.Lines,
			Sources: []LogSource{LogApp, LogBuild, LogRelease, LogPlatform},
		}
		out := &logPrinter{to: call.Out, form: logForm{json: in.JSON, full: true, time: true, who: true, app: in.All}}
		err = p.Logbook.Read(ctx, q, func(e LogEntry) error {
			e.App = app.Name
			return out.print(e)
		})
		if err := errors.Join(err, out.flush()); err != nil {
			return Streamed{}, err
		}
	}
	return Streamed{}, nil
}

func (p *Platform) failedOf(ctx context.Context, in FailedLogsInput) ([]App, error) {
	if in.Lines < 1 {
		return nil, Errorf(Usage, "-n takes a number of lines, not %d", in.Lines)
	}
	if in.All && in.App == "" {
		return p.Store.Apps(ctx)
	}
	if in.All || in.App == "" {
		return nil, Errorf(Usage, "name an app, or all of them with --all").WithHint("ssh paas logs:failed blog")
	}
	app, err := p.find(ctx, in.App)
	return []App{app}, err
}
