package platform

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// EventsInput is events.
type EventsInput struct {
	App    string `flag:"app" short:"a" app:"past" value:"APP" help:"only this app's"`
	Actor  string `flag:"actor" value:"USER" help:"only what this user did; cron for scheduled commands"`
	Kind   string `flag:"kind" value:"KIND" help:"only these, like command (the audit), scaled or oom"`
	Lines  int    `flag:"lines" short:"n" default:"50" help:"how many at most, from the end"`
	Since  string `flag:"since" value:"TIME" help:"only later ones: 2h, or 2026-01-31T12:00:00Z"`
	Until  string `flag:"until" value:"TIME" help:"only earlier ones, written alike"`
	Door   string `flag:"door" value:"DOOR" help:"only from there: ssh, git, local, api, panel or cron"`
	ID     string `flag:"request" value:"ID" help:"only of this request, as errors and the audit name it"`
	Ended  string `flag:"outcome" value:"KIND" help:"only commands that ended so, like ok, denied or failed"`
	Follow bool   `flag:"follow" short:"f" help:"go on with new ones until Ctrl-C"`
	Tail   bool   `flag:"tail" short:"t" help:"the same, as Dokku calls it"`
	JSON   bool   `flag:"json" help:"one JSON object a line"`
}

// Events prints what happened and follows it. Every event is shown once, in order.
func (p *Platform) Events(ctx context.Context, call Call, in EventsInput) (Streamed, error) {
	in.Follow = in.Follow || in.Tail
	q, err := p.eventQuery(in)
	if err != nil {
		return Streamed{}, err
	}
	ctx, stop := untilQuit(ctx, call)
	defer stop()
	news, leave := p.feed.follow()
	defer leave()
	p.carry(ctx)
	for {
		list, err := p.eventsFor(ctx, call.Actor, q)
		if ctx.Err() != nil {
			return Streamed{Exit: 130}, nil
		}
		if err != nil {
			return Streamed{}, err
		}
		if err := printEvents(call.Out, list, in.JSON); err != nil || !in.Follow {
			return Streamed{}, err
		}
		if len(list) > 0 {
			q.After = list[len(list)-1].ID
		}
		q.Last = 0
		select {
		case <-news:
		case <-ctx.Done():
			return Streamed{Exit: 130}, nil
		case <-p.life.Done():
			return Streamed{}, nil
		}
	}
}

// eventsFor are the events that the actor may know of: those of apps that they see. It is asked
// anew each time, since roles change.
func (p *Platform) eventsFor(ctx context.Context, actor Actor, q EventQuery) ([]Event, error) {
	if actor.isAdmin() && (actor.Token == nil || len(actor.Token.Apps) == 0) {
		return p.Store.Events(ctx, q)
	}
	apps, err := p.Store.Apps(ctx)
	if err != nil {
		return nil, err
	}
	if apps, err = p.seen(ctx, actor, apps); err != nil {
		return nil, err
	}
	q.Limited = true
	for _, app := range apps {
		q.Apps = append(q.Apps, app.Name)
	}
	list, err := p.Store.Events(ctx, q)
	for i := range list { // a command may have changed another app, too
		list[i].Changes = slices.DeleteFunc(list[i].Changes, func(c Alteration) bool { return c.App != "" && !slices.Contains(q.Apps, c.App) })
	}
	return list, err
}

func (p *Platform) eventQuery(in EventsInput) (EventQuery, error) {
	q := EventQuery{App: AppName(in.App), Actor: in.Actor, Kind: EventKind(in.Kind), Last: in.Lines}
	if in.Lines < 1 {
		return q, Errorf(Usage, "-n takes a number of events, not %d", in.Lines)
	}
	if in.App != "" && !appName.MatchString(in.App) { // not looked up: a destroyed app has a history
		return q, missing(in.App, nil)
	}
	q.Request, q.Door, q.Outcome = in.ID, Door(in.Door), in.Ended
	if in.Door != "" && !slices.Contains(doors(), q.Door) {
		return q, Errorf(Usage, "--door %s is none: it is one of %v", in.Door, doors())
	}
	if err := isWordOf("--kind", q.Kind, eventKinds()); err != nil {
		return q, err
	}
	if err := isWordOf("--outcome", q.Outcome, outcomes()); err != nil {
		return q, err
	}
	if in.Until != "" && in.Follow {
		return q, Errorf(Usage, "--until and --follow do not go together: what is to come is later")
	}
	var err error
	if q.Since, err = p.pastTime("--since", in.Since); err != nil {
		return q, err
	}
	q.Until, err = p.pastTime("--until", in.Until)
	return q, err
}

// pastTime reads how long ago, or when, something was; "" is zero.
func (p *Platform) pastTime(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return p.Now().Add(-d), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, Errorf(Usage, "%s %s is no time: write 90s, 2h, or 2026-01-31T12:00:00Z", flag, text)
	}
	return at, nil
}

// doors are all that an event may come from.
func doors() []Door { return []Door{DoorSSH, DoorGit, DoorLocal, DoorAPI, DoorPanel, DoorCron} }

func printEvents(w io.Writer, list []Event, json bool) error {
	for _, e := range list {
		err := error(nil)
		if json {
			err = printJSONLine(w, e)
		} else {
			_, err = fmt.Fprintln(w, e.line())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// line is an event for people: when, what, of which app, and in brackets who, by which door and in which request.
func (e Event) line() string {
	subject := strings.Trim(string(e.App)+" "+e.Process, " ")
	text := printable(e.Text)
	for _, c := range e.Changes {
		text += "; " + c.String()
	}
	switch {
	case e.Outcome != "" && e.Outcome != "ok":
		text += ": " + e.Outcome
	case e.Kind == EventCommand && len(e.Changes) == 0:
		text += "; nothing changed"
	}
	var who []string
	for _, s := range []string{e.Actor, strings.TrimSpace(string(e.Door) + " " + e.Remote), e.Request} {
		if s != "" {
			who = append(who, s)
		}
	}
	if len(who) > 0 {
		text += " (" + strings.Join(who, ", ") + ")"
	}
	return fmt.Sprintf("%s %-11s %s: %s", e.At.UTC().Format("2006-01-02T15:04:05.000Z"), e.Kind, subject, text)
}
