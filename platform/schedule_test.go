package platform

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestParseSchedule(t *testing.T) {
	for _, bad := range []string{
		"", "*", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 *", "* * * * 8",
		"*/0 * * * *", "5-1 * * * *", "-1 * * * *", "1- * * * *", "a * * * *", "1,,2 * * * *", "*/x * * * *", "0 0 30 2 *",
		"@often", "@every", "@every 0s", "@every 10ms", "@every -1s", "@every x", "@every 1.5s", "@reboot", "1/70 * * * *", "+5 * * * *",
		"TZ=UTC * * * * *", strings.Repeat("1,", 5000) + "1 * * * *x",
	} {
		if _, err := ParseSchedule(bad); KindOf(err) != Usage {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func at(t *testing.T, text, zone string) time.Time {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	v, err := time.ParseInLocation("2006-01-02 15:04:05", text, loc)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestNext(t *testing.T) {
	for _, c := range []struct{ schedule, zone, after, want string }{
		{"* * * * *", "UTC", "2026-01-01 00:00:00", "00:01Z 00:02Z"},
		{"*/20 3 * * *", "UTC", "2026-01-01 03:30:10", "03:40Z 03:00Z"},
		{"@hourly", "Europe/Berlin", "2026-01-01 00:59:59", "01:00+01:00 02:00+01:00"},
		{"@every 90s", "UTC", "2026-01-01 00:00:00", "00:01:30Z 00:03Z"},
		{"0 0 29 2 *", "UTC", "2097-01-01 00:00:00", "2104-02-29"},
		{"0 0 29 2 1", "UTC", "2026-02-03 00:00:00", "2026-02-09"}, // both days given: one suffices
		{"0 0 1-7 * */7", "UTC", "2026-02-05 00:00:00", "2026-03-01"},
		{"0 9 * * mon-FRI", "UTC", "2026-11-20 10:00:00", "2026-11-23 2026-11-24"},
		{"0 9 * * 7", "UTC", "2026-11-20 10:00:00", "2026-11-22"},
		{"0 9 * 2,dec 5/2", "UTC", "2026-11-20 10:00:00", "2026-12-04"},
		// Berlin puts its clocks forward on 2026-03-29 at 2:00, and back on 2026-10-25 at 3:00.
		{"30 2 * * *", "Europe/Berlin", "2026-03-28 12:00:00", "03:00+02:00 02:30+02:00"},
		{"0,30 2,3 29 3 *", "Europe/Berlin", "2026-03-29 00:00:00", "03:00+02:00 03:30+02:00"},
		{"30 * * * *", "Europe/Berlin", "2026-03-29 01:00:00", "01:30+01:00 03:30+02:00"},
		{"30 2 * * *", "Europe/Berlin", "2026-10-24 12:00:00", "02:30+02:00 02:30+01:00 02:30+01:00"}, // then the days after
		{"30 * * * *", "Europe/Berlin", "2026-10-25 01:50:00", "02:30+02:00 02:30+01:00 03:30+01:00"},
		{"0 3 * * *", "Europe/Berlin", "2026-10-25 00:00:00", "03:00+01:00"},
		// Lord Howe changes by half an hour, Beirut at midnight.
		{"15 2 * * *", "Australia/Lord_Howe", "2026-10-03 12:00:00", "02:30+11:00 02:15+11:00"},
		{"45 1 * * *", "Australia/Lord_Howe", "2026-04-04 12:00:00", "01:45+11:00 01:45+10:30"},
		{"0 0 * * *", "Asia/Beirut", "2026-03-28 12:00:00", "01:00+03:00 00:00+03:00"},
	} {
		s, err := ParseSchedule(c.schedule)
		if err != nil {
			t.Fatal(err)
		}
		after := at(t, c.after, c.zone)
		for want := range strings.FieldsSeq(c.want) {
			after = s.Next(after, after.Location())
			forms := []string{"2006-01-02", "15:04Z07:00", "15:04:05Z07:00"}
			got := ""
			for _, f := range forms {
				got += after.Format(f) + " "
			}
			if !strings.Contains(got, want) {
				t.Errorf("%s in %s after %s: %s, not %s", c.schedule, c.zone, c.after, after, want)
			}
		}
	}
}

// Next skips nothing that minute by minute is due, and finds nothing else, around the changes of clocks.
func TestNextAgainstEveryMinute(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		text := fmt.Sprintf("%d-59/%d %d,%d * * *", r.IntN(60), 1+r.IntN(30), r.IntN(24), r.IntN(4))
		if r.IntN(3) == 0 {
			text = fmt.Sprintf("%d * */2 * %d", r.IntN(60), r.IntN(8))
		}
		s, err := ParseSchedule(text)
		if err != nil {
			t.Fatal(text, err)
		}
		for _, zone := range []string{"Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Beirut", "UTC"} {
			begin := at(t, []string{"2026-03-27 00:00:00", "2026-10-23 00:00:00"}[r.IntN(2)], zone)
			end := begin.Add(4 * 24 * time.Hour)
			var want, got []time.Time
			for m := begin.Add(time.Minute); m.Before(end); m = m.Add(time.Minute) {
				if s.due(m) {
					want = append(want, m)
				}
			}
			for m := s.Next(begin, begin.Location()); m.Before(end) && !m.IsZero(); m = s.Next(m, m.Location()) {
				got = append(got, m)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("%s in %s:\n%v\n%v", text, zone, got, want)
			}
		}
	}
}

func FuzzParseSchedule(f *testing.F) {
	f.Add("*/5 1-3 * jan mon")
	f.Add("@every 5s")
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSchedule(text)
		if err != nil {
			return
		}
		now := time.Unix(1_790_000_000, 0)
		if next := s.Next(now, zone); !next.After(now) {
			t.Errorf("%q is due at %s", text, next)
		}
	})
}
