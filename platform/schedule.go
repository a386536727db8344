package platform

import (
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // time zones also where the host has none
)

// Schedule says when a cron job is due: crontab(5)'s five fields, or one of its words. The zero value is of no use.
type Schedule struct {
	every time.Duration // if not 0: at whole multiples of it since 1970, whatever the time zone

	minutes, hours, days, months, weekdays uint64 // bit n: n is in it
	anyHour                                bool   // the hour field is a star
	anyDay, anyWeekday                     bool   // likewise: if neither is, one of both suffices
}

const (
	leastEvery = time.Second
	mostEvery  = 366 * 24 * time.Hour
)

// ParseSchedule reads five fields (minute, hour, day of month, month, day of week, with lists, ranges, steps and English
// names), @hourly and its like, or "@every 90s". A time that never comes, like 30 February, is refused as well.
func ParseSchedule(text string) (Schedule, error) {
	text = strings.TrimSpace(text)
	if d, ok := strings.CutPrefix(text, "@every "); ok {
		every, err := time.ParseDuration(strings.TrimSpace(d))
		if err != nil || every < leastEvery || every > mostEvery || every%time.Second != 0 {
			return Schedule{}, badSchedule(text)
		}
		return Schedule{every: every}, nil
	}
	if word, ok := map[string]string{
		"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
		"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
	}[text]; ok {
		text = word
	}
	return parseFields(text)
}

func badSchedule(text string) error {
	return Errorf(Usage, "%q is not a schedule", text).
		WithHint(`write minute, hour, day of month, month and day of week, like "30 4 * * 1-5", or @daily, or "@every 90s"`)
}

func parseFields(text string) (s Schedule, err error) {
	fields := strings.Fields(text)
	if len(fields) != 5 {
		return s, badSchedule(text)
	}
	months := []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}
	weekdays := []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
	for i, f := range []struct {
		to          *uint64
		least, most int
		names       []string
	}{{&s.minutes, 0, 59, nil}, {&s.hours, 0, 23, nil}, {&s.days, 1, 31, nil}, {&s.months, 1, 12, months}, {&s.weekdays, 0, 7, weekdays}} {
		var ok bool
		if *f.to, ok = parseField(fields[i], f.least, f.most, f.names); !ok {
			return s, badSchedule(text)
		}
	}
	s.weekdays |= s.weekdays >> 7 & 1 // 7 is Sunday as well
	s.anyHour, s.anyDay, s.anyWeekday = fields[1] == "*", isStar(fields[2]), isStar(fields[4])
	if s.Next(time.Unix(0, 0), time.UTC).IsZero() {
		return s, Errorf(Usage, "the time %q never comes", text)
	}
	return s, nil
}

// isStar: with cron programs a star with a step restricts nothing, when the other field of the day does.
func isStar(field string) bool { return field[0] == '*' || field[0] == '?' }

// parseField reads a list of numbers, ranges and steps.
func parseField(text string, least, most int, names []string) (set uint64, ok bool) {
	for part := range strings.SplitSeq(text, ",") {
		span, stepText, stepped := strings.Cut(part, "/")
		step := 1
		if stepped {
			if step, ok = number0(stepText); !ok || step < 1 || step > most {
				return 0, false
			}
		}
		from, to, ok := parseSpan(span, least, most, names, stepped)
		if !ok {
			return 0, false
		}
		for n := from; n <= to; n += step {
			set |= 1 << n
		}
	}
	return set, true
}

// parseSpan reads *, 5, or 1-5. With a step 5 is 5 and all after it.
func parseSpan(text string, least, most int, names []string, stepped bool) (from, to int, ok bool) {
	if text == "*" || text == "?" {
		if most == 7 {
			most = 6
		}
		return least, most, true
	}
	first, last, isRange := strings.Cut(text, "-")
	if from, ok = numberIn(first, least, names); !ok {
		return 0, 0, false
	}
	switch {
	case isRange:
		to, ok = numberIn(last, least, names)
	case stepped:
		to = most
	default:
		to = from
	}
	return from, to, ok && from >= least && to <= most && from <= to
}

// numberIn reads a number, or a name's place.
func numberIn(text string, least int, names []string) (int, bool) {
	if i := slices.Index(names, strings.ToLower(text)); i >= 0 {
		return i + least, true
	}
	return number0(text)
}

func number0(text string) (int, bool) {
	if text == "" || len(text) > 2 || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	return n, err == nil
}

// horizon is how far ahead a time is looked for: 29 February comes after eight years at most, a given weekday on it
// after forty.
const horizon = 41 * 366 * 24 * time.Hour

// Next is the first time after t at which the schedule is due in the zone, zero if there is none. Where clocks are put
// forward, times that do not exist are due together in the moment they are put forward; where clocks are put back, times
// that come twice are due the first time only. Neither holds for a job of every hour, which goes by the hours that are.
func (s Schedule) Next(t time.Time, zone *time.Location) time.Time {
	if s.every > 0 {
		past := time.Duration(t.Unix())*time.Second + time.Duration(t.Nanosecond())
		return time.Unix(0, 0).Add(past - past%s.every + s.every).In(zone)
	}
	end := t.Add(horizon)
	for t = ceilMinute(t).In(zone); t.Before(end); t = s.skip(t) {
		if s.due(t) {
			return t
		}
	}
	return time.Time{}
}

func ceilMinute(t time.Time) time.Time { return t.Truncate(time.Minute).Add(time.Minute) }

// due tells whether the schedule is due at the beginning of a minute.
func (s Schedule) due(t time.Time) bool {
	began, gap := change(t)
	if gap > 0 && t.Equal(began) && !s.anyHour && s.duringGap(t, gap) {
		return true
	}
	if gap < 0 && t.Sub(began) < -gap && !s.anyHour {
		return false // it is the second time
	}
	return s.matches(t)
}

// change tells when the clock was last put forward (or back: a negative gap) in t's zone.
func change(t time.Time) (at time.Time, gap time.Duration) {
	at, _ = t.ZoneBounds()
	if at.IsZero() {
		return at, 0
	}
	_, now := t.Zone()
	_, before := at.Add(-time.Second).Zone()
	return at, time.Duration(now-before) * time.Second
}

// duringGap tells whether the schedule is due at one of the times that were left out right before t.
func (s Schedule) duringGap(t time.Time, gap time.Duration) bool {
	wall := time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), 0, 0, time.UTC)
	for missing := wall.Add(-gap); missing.Before(wall); missing = missing.Add(time.Minute) {
		if s.matches(missing) {
			return true
		}
	}
	return false
}

func has(set uint64, n int) bool { return set>>n&1 == 1 }

// matches compares with the wall clock.
func (s Schedule) matches(t time.Time) bool {
	return has(s.minutes, t.Minute()) && has(s.hours, t.Hour()) && s.matchesDay(t)
}

func (s Schedule) matchesDay(t time.Time) bool {
	day, weekday := has(s.days, t.Day()), has(s.weekdays, int(t.Weekday()))
	if !s.anyDay && !s.anyWeekday {
		return has(s.months, int(t.Month())) && (day || weekday)
	}
	return has(s.months, int(t.Month())) && day && weekday
}

// skip goes to the next minute that may be due: past days and hours that are not, but never past a change of the clock.
func (s Schedule) skip(t time.Time) time.Time {
	next := t.Add(time.Minute)
	switch {
	case !s.matchesDay(t):
		next = t.Add(time.Duration(23-t.Hour())*time.Hour + time.Duration(60-t.Minute())*time.Minute)
	case !has(s.hours, t.Hour()):
		next = t.Add(time.Duration(60-t.Minute()) * time.Minute)
	case bits.OnesCount64(s.minutes>>(t.Minute()+1)) == 0:
		next = t.Add(time.Duration(60-t.Minute()) * time.Minute)
	}
	if _, end := t.ZoneBounds(); !end.IsZero() && end.After(t) && end.Before(next) {
		return end
	}
	return next
}
