package platform

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ChecksTopic is the topic of settings of health checks.
const ChecksTopic Topic = "checks"

// checkMode is whether instances of a process type are checked before they get requests.
type checkMode string

// The modes, as checks:enable, checks:skip and checks:disable set them.
const (
	checksEnabled  checkMode = "enabled"
	checksSkipped  checkMode = "skipped"  // a started instance counts as healthy
	checksDisabled checkMode = "disabled" // likewise, it is never looked at later either, and the old ones end first
)

// checkRules are what holds for the checks of a process type. Zero fields leave a check as it is.
type checkRules struct {
	Mode     checkMode
	Wait     time.Duration
	NoWait   bool // Wait is 0, and that is meant
	Timeout  time.Duration
	Attempts int
	Uptime   time.Duration // a process without checks that is not routed must survive it
}

// defaultUptime is how long a process without checks that is not routed must survive. One that ends later is started
// again, so longer would only make every deploy slower.
const defaultUptime = time.Second

func usualChecks() checkRules { return checkRules{Mode: checksEnabled, Uptime: defaultUptime} }

// The keys of checks:set, Dokku's. wait-to-retire is the router's setting drain.
const (
	modeKey         = "mode"
	waitKey         = "wait"
	timeoutKey      = "timeout"
	attemptsKey     = "attempts"
	defaultWaitKey  = "default-wait"
	waitToRetireKey = "wait-to-retire"
	drainKey        = "drain"
)

func checkKeys() []string { return []string{waitKey, timeoutKey, attemptsKey, defaultWaitKey} }

const (
	mostCheckAttempts = 1000
	longestCheckTime  = time.Hour
)

// take reads one setting.
func (r *checkRules) take(key, value string) (err error) {
	switch key {
	case modeKey:
		r.Mode = checkMode(value)
	case waitKey:
		r.Wait, err = parseSeconds(value, 0)
		r.NoWait = r.Wait == 0
	case timeoutKey:
		r.Timeout, err = parseSeconds(value, time.Second)
	case attemptsKey:
		err = setCount(&r.Attempts, value, 1, mostCheckAttempts)
	case defaultWaitKey:
		r.Uptime, err = parseSeconds(value, 0)
	default:
		err = unknownCheckKey(key)
	}
	return err
}

func unknownCheckKey(key string) error {
	known := append(checkKeys(), waitToRetireKey)
	e := Errorf(Usage, "%q cannot be set for checks", key)
	for _, name := range known {
		if Near(key, name) {
			return e.WithHint("did you mean %s?", name)
		}
	}
	return e.WithHint("known are %s", strings.Join(known, ", "))
}

// parseSeconds reads seconds, as Dokku has them, or a time with a unit.
func parseSeconds(value string, least time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if n, numErr := strconv.Atoi(value); numErr == nil && n <= int(longestCheckTime/time.Second) {
		d, err = time.Duration(n)*time.Second, nil
	}
	if err != nil || d < least || d > longestCheckTime {
		return 0, Errorf(Usage, "%q is no time from %s to %s: write seconds, or it like 90s or 5m", value, least, spellDuration(longestCheckTime))
	}
	return d, nil
}

// checkRulesOf are what holds for a process type: what the host has for all, what the app has for all of its types,
// and what it has for this one, each over the one before.
func checkRulesOf(host, app []Setting, typ ProcessType) (checkRules, error) {
	r := usualChecks()
	for _, list := range [][]Setting{host, app} {
		for key, value := range resolve(list, ChecksTopic, typ) {
			if err := r.take(key, value); err != nil {
				return r, fmt.Errorf("read the setting %s of checks: %w", key, err)
			}
		}
	}
	return r, nil
}

// over puts the rules over what a check left to the platform.
func (r checkRules) over(c Check) Check {
	left := func(key string) bool { return slices.Contains(c.Default, key) }
	if left(waitKey) && (r.Wait > 0 || r.NoWait) {
		c.Wait = r.Wait
	}
	if left(timeoutKey) && r.Timeout > 0 {
		c.Timeout = r.Timeout
	}
	if left(attemptsKey) && r.Attempts > 0 {
		c.Attempts = r.Attempts
	}
	return c
}

// rules are those of the process type.
func (p *Platform) rules(ctx context.Context, w want, typ ProcessType) (checkRules, error) {
	host, err := p.Store.GlobalSettings(ctx)
	if err != nil {
		return usualChecks(), fmt.Errorf("read settings of checks: %w", err)
	}
	return checkRulesOf(host, w.settings, typ)
}

// startupChecks are those that app.json declares, and without any: a routed process listens on its port, another one
// survives its first second.
func (w want) startupChecks(typ ProcessType, r checkRules, startWait time.Duration) []Check {
	var list []Check
	for n, c := range w.release.Image.Checks[typ] {
		if c.Type == Startup {
			list = append(list, r.over(c.called(typ, n)))
		}
	}
	if len(list) > 0 {
		return list
	}
	if typ == Web || w.routed[typ] {
		return []Check{{Name: "port", Listening: true, Attempts: 1, Timeout: startWait}}
	}
	if r.Uptime == 0 {
		return nil
	}
	return []Check{{Name: "uptime", Uptime: r.Uptime, Attempts: 1}}
}

// lastingChecks are those that an instance has to pass for as long as it runs.
func (w want) lastingChecks(typ ProcessType, r checkRules) (list []Check) {
	for n, c := range w.release.Image.Checks[typ] {
		if c.Type == Liveness || c.Type == Readiness {
			list = append(list, r.over(c.called(typ, n)))
		}
	}
	return list
}

// called gives the n-th check a name.
func (c Check) called(typ ProcessType, n int) Check {
	if c.Name == "" {
		c.Name = fmt.Sprintf("%s-%d", typ, n+1)
	}
	return c
}

// What says what a check asks for: "GET /up", "`test -e /ready`".
func (c Check) What() string {
	switch {
	case c.Listening && c.Port != 0:
		return fmt.Sprintf("listens on port %d", c.Port)
	case c.Listening:
		return "listens on PORT"
	case len(c.Command) > 0:
		return "`" + strings.Join(c.Command, " ") + "`"
	case c.Path != "":
		return "GET " + c.Path
	default:
		return "runs for " + spellDuration(c.Uptime)
	}
}
