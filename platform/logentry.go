package platform

import (
	"context"
	"regexp"
	"time"
)

// LogSource is who wrote a line of an app's log.
type LogSource string

// The sources.
const (
	LogApp      LogSource = "app"      // an instance of the formation
	LogBuild    LogSource = "build"    // what a push tells its pusher
	LogRelease  LogSource = "release"  // the release phase
	LogRouter   LogSource = "router"   // the access log
	LogPlatform LogSource = "platform" // what happened to the app and its instances
	LogRun      LogSource = "run"      // a one-off command that nobody sits in front of
	LogCron     LogSource = "cron"     // a scheduled one
)

// LogSources lists them all. The order is that of their numbers on the disk: new ones are added at the end.
func LogSources() []LogSource {
	return []LogSource{LogApp, LogBuild, LogRelease, LogRouter, LogPlatform, LogRun, LogCron}
}

// LogLevel is how grave a line is.
type LogLevel int

// The levels, least grave first. The numbers are on the disk.
const (
	LogDebug LogLevel = iota
	LogInfo
	LogWarn
	LogError
	LogFatal
)

// String is how people spell it.
func (l LogLevel) String() string {
	if l < LogDebug || l > LogFatal {
		return "info"
	}
	return [...]string{"debug", "info", "warn", "error", "fatal"}[l]
}

// LogEntry is one line of an app's time line.
type LogEntry struct {
	Number  uint64 // grows by one with each line of the app that was kept; given by the Logbook
	App     AppName
	At      time.Time
	Source  LogSource
	Process string   // "web.1", "build.7", or what the source calls itself
	Release int      // 0: of none
	Level   LogLevel // of the text as far as it tells, else of the stream
	Stream  string   // "stdout", "stderr", or "" for lines of the platform
	Text    string   // without its newline; any bytes
	Gap     uint64   // more than 0: so many lines are missing here, and Text says so
}

// LogFilter chooses lines of one app. Zero fields choose all.
type LogFilter struct {
	App     AppName
	Sources []LogSource
	Process string // "web" or "web.1"
	Release int
	Level   LogLevel // at least
	Since   time.Time
	Until   time.Time
	Grep    *regexp.Regexp // RE2; matched against the text
	Last    int            // at most so many, the latest; AllLines: all
	Follow  bool           // go on with lines that come later
}

// AllLines is LogFilter.Last for as many as there are.
const AllLines = -1

// LogBounds is what a Logbook keeps of an app, and how fast it takes lines. Zero fields are the defaults.
type LogBounds struct {
	Age   time.Duration // older lines go
	Bytes int64         // on the disk; the oldest lines make room
	Rate  int           // lines a second; of more, the rest is left out and a gap says so
}

// LogUsage is what a Logbook keeps of an app.
type LogUsage struct {
	Bytes   int64     // on the disk
	Lines   uint64    // that are kept
	Oldest  time.Time // zero: there is none
	Dropped uint64    // lines that were left out since the daemon started: too many at once, or not read in time
}

// Logbook keeps what is written for and about apps, each app's in one time line. All methods are safe for
// concurrent use.
type Logbook interface {
	// Append adds lines of the platform's own; Number is ignored, and an At of zero is now. They survive the end of
	// the daemon when it returns. It blocks on the disk, and not for readers.
	Append(app AppName, list []LogEntry) error
	// Read calls yield for the chosen lines in order of time, and with Follow for every later one until ctx ends or
	// yield fails. It reads at its caller's speed: what is dropped meanwhile becomes a gap. An app without lines is no
	// error.
	Read(ctx context.Context, q LogFilter, yield func(LogEntry) error) error
	// SetBounds changes what is kept of an app; what is too much goes in the background.
	SetBounds(app AppName, b LogBounds)
	// SetDefaults changes what holds for apps without bounds of their own, and how many bytes of the disk the logs of
	// all apps may take; 0: the default.
	SetDefaults(b LogBounds, budget int64)
	// Bounds are those in force, defaults filled in.
	Bounds(app AppName) LogBounds
	Usage(app AppName) (LogUsage, error)
	// Rename moves an app's lines to its new name. Nobody may write under either name meanwhile but instances.
	Rename(from, to AppName) error
}
