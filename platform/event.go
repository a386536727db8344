package platform

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// Event is one thing that happened, said once: it is the log line, the history, the live feed and the
// audit row. What does not apply is empty.
type Event struct {
	ID       int64      `json:"id"` // grows; given by the store
	At       time.Time  `json:"at"`
	Kind     EventKind  `json:"kind"`
	App      AppName    `json:"app,omitempty"`
	Process  string     `json:"process,omitempty"` // "web.1"
	Instance InstanceID `json:"instance,omitempty"`
	Release  int        `json:"release,omitempty"`
	Actor    string     `json:"actor,omitempty"` // who asked for it
	Text     string     `json:"text"`            // one sentence
}

// EventKind is what happened, in a word.
type EventKind string

// The kinds of event.
const (
	EventAppCreated   EventKind = "created"
	EventAppDestroyed EventKind = "destroyed"
	EventAppRenamed   EventKind = "renamed"
	EventAppCloned    EventKind = "cloned"
	EventAppLocked    EventKind = "locked"
	EventAppUnlocked  EventKind = "unlocked"
	EventAppRestored  EventKind = "restored" // from the trash
	EventTrashEmptied EventKind = "trash-emptied"
	EventStorage      EventKind = "storage" // a volume was made, changed, mounted or destroyed

	EventPushed      EventKind = "pushed" // all of it was received; its build begins
	EventDeployed    EventKind = "deployed"
	EventPushFailed  EventKind = "push-failed"
	EventRolledBack  EventKind = "rolled-back"
	EventConfigured  EventKind = "configured"
	EventCommitted   EventKind = "committed"
	EventKept        EventKind = "kept"         // instances of the release before stand still, or do not any more
	EventReleasesSet EventKind = "releases-set" // what is kept of releases was changed
	EventLinked      EventKind = "linked"       // whom it reaches was changed

	EventScaled     EventKind = "scaled"
	EventRestarted  EventKind = "restarted"
	EventAppStopped EventKind = "app-stopped"
	EventAppStarted EventKind = "app-started"
	EventPolicySet  EventKind = "policy-set"
	EventBuildSet   EventKind = "build-set" // how its source is built was changed
	EventLimited    EventKind = "limited"   // what it may use or keeps was changed
	EventOpened     EventKind = "opened"    // an admin opened or closed something
	EventIdleSet    EventKind = "idle-set"  // when it sleeps was changed

	EventSlept     EventKind = "app.slept"
	EventWoke      EventKind = "app.woke"
	EventOverslept EventKind = "app.overslept" // it could not be woken

	EventCanary  EventKind = "canary"  // a second release gets another part of the clients
	EventRouting EventKind = "routing" // what is done with its requests was changed

	EventStackChanged EventKind = "stack-changed" // a base image has a new version
	EventRebased      EventKind = "rebased"       // an app was put on it

	EventDomains     EventKind = "domains"            // apps have names below other domains
	EventCertified   EventKind = "certified"          // an authority signed
	EventCertFailed  EventKind = "certificate-failed" // it did not
	EventCertExpires EventKind = "certificate-expires"
	EventCertAdded   EventKind = "certificate-added" // its owner brought it
	EventCertRemoved EventKind = "certificate-removed"
	EventCertRevoked EventKind = "certificate-revoked"
	EventCertsSet    EventKind = "certificates-set"

	EventStarted     EventKind = "started"   // an instance's command was executed
	EventHealthy     EventKind = "healthy"   // it passed its startup checks
	EventUnhealthy   EventKind = "unhealthy" // it fails a liveness or readiness check
	EventReady       EventKind = "ready"     // it passes its readiness check again
	EventExited      EventKind = "exited"    // it ended by itself
	EventOutOfMemory EventKind = "oom"
	EventDiskFull    EventKind = "disk-full" // it was ended for what it had written
	EventCrashed     EventKind = "crashed"   // it keeps ending
	EventGaveUp      EventKind = "gave-up"   // it ended and its policy says to leave it
	EventPaused      EventKind = "paused"
	EventResumed     EventKind = "resumed"
	EventEntered     EventKind = "entered" // somebody ran a command beside it
	EventCopiedOut   EventKind = "copied-out"
	EventCopiedIn    EventKind = "copied-in"
)

// EventQuery chooses events.
type EventQuery struct {
	App   AppName   // "" for all
	After int64     // only those with a larger id
	Since time.Time // only those as late
	Last  int       // at most so many, the latest; 0 for all
}

// Ledger is the part of a Store that keeps what happened and how endings are to be met.
type Ledger interface {
	// AddEvents numbers and keeps events; the oldest of all may make room.
	AddEvents(ctx context.Context, events []Event) error
	Events(ctx context.Context, q EventQuery) ([]Event, error) // oldest first
	// RestartPolicy is "" when none was set.
	RestartPolicy(ctx context.Context, name AppName) (string, error)
	SetRestartPolicy(ctx context.Context, name AppName, policy string) error
}

// feed carries events from who says them to the store, and wakes up who follows them.
type feed struct {
	mu        sync.Mutex
	queue     []Event
	carrying  bool
	followers map[chan struct{}]bool

	store sync.Mutex // held while a batch is stored: batches keep their order
}

// say tells that something happened. It does not block: the event is stored a moment later, in order.
func (p *Platform) say(e Event) {
	if e.At.IsZero() {
		e.At = p.Now()
	}
	p.Log.Log(context.Background(), level(e.Kind), e.Text, "event", string(e.Kind), "app", e.App, "process", e.Process,
		"instance", e.Instance, "actor", e.Actor)
	p.feed.mu.Lock()
	p.feed.queue = append(p.feed.queue, e)
	begin := !p.feed.carrying
	p.feed.carrying = true
	p.feed.mu.Unlock()
	if begin {
		p.spawn(func(ctx context.Context) {
			for p.carry(context.WithoutCancel(ctx)) {
				continue
			}
		})
	}
}

func level(k EventKind) slog.Level {
	switch k {
	case EventExited, EventOutOfMemory, EventDiskFull, EventCrashed, EventGaveUp, EventUnhealthy, EventPushFailed, EventCertFailed, EventCertExpires, EventOverslept:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// sayOf tells about an instance.
func (p *Platform) sayOf(kind EventKind, i Instance, actor, format string, args ...any) {
	p.say(Event{
		Kind: kind, App: i.App, Process: i.Name(), Instance: i.ID, Release: i.Release, Actor: actor,
		Text: fmt.Sprintf(format, args...),
	})
}

// carry stores what was said so far. It is false when there was nothing.
func (p *Platform) carry(ctx context.Context) bool {
	p.feed.store.Lock()
	defer p.feed.store.Unlock()
	p.feed.mu.Lock()
	batch := p.feed.queue
	p.feed.queue = nil
	if len(batch) == 0 {
		p.feed.carrying = false
	}
	p.feed.mu.Unlock()
	if len(batch) == 0 {
		return false
	}
	if err := p.Store.AddEvents(ctx, batch); err != nil {
		p.Log.Error("store events", "count", len(batch), "err", err)
	}
	p.feed.wake()
	return true
}

func (f *feed) wake() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.followers {
		select {
		case c <- struct{}{}:
		default: // it has not looked since the last time
		}
	}
}

// follow gives a channel that says when there may be something new.
func (f *feed) follow() (news <-chan struct{}, leave func()) {
	c := make(chan struct{}, 1)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.followers == nil {
		f.followers = map[chan struct{}]bool{}
	}
	f.followers[c] = true
	return c, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.followers, c)
	}
}

// EventsInput is events.
type EventsInput struct {
	App    string `flag:"app" short:"a" value:"APP" help:"only this app's"`
	Lines  int    `flag:"lines" short:"n" default:"50" help:"how many at most, from the end"`
	Since  string `flag:"since" value:"TIME" help:"only later ones: 2h, or 2026-01-31T12:00:00Z"`
	Follow bool   `flag:"follow" short:"f" help:"go on with new ones until Ctrl-C"`
	JSON   bool   `flag:"json" help:"one JSON object a line"`
}

// Events prints what happened and follows it. Every event is shown once, in order.
func (p *Platform) Events(ctx context.Context, call Call, in EventsInput) (Streamed, error) {
	q, err := p.eventQuery(ctx, in)
	if err != nil {
		return Streamed{}, err
	}
	ctx, stop := untilQuit(ctx, call)
	defer stop()
	news, leave := p.feed.follow()
	defer leave()
	p.carry(ctx)
	for {
		list, err := p.Store.Events(ctx, q)
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

func (p *Platform) eventQuery(ctx context.Context, in EventsInput) (EventQuery, error) {
	q := EventQuery{App: AppName(in.App), Last: in.Lines}
	if in.Lines < 1 {
		return q, Errorf(Usage, "-n takes a number of events, not %d", in.Lines)
	}
	if in.App != "" && !appName.MatchString(in.App) { // not looked up: a destroyed app has a history
		_, err := p.find(ctx, in.App)
		return q, err
	}
	if in.Since == "" {
		return q, nil
	}
	if d, err := time.ParseDuration(in.Since); err == nil && d >= 0 {
		q.Since = p.Now().Add(-d)
		return q, nil
	}
	at, err := time.Parse(time.RFC3339, in.Since)
	if err != nil {
		return q, Errorf(Usage, "--since %s is no time: write 90s, 2h, or 2026-01-31T12:00:00Z", in.Since)
	}
	q.Since = at
	return q, nil
}

func printEvents(w io.Writer, list []Event, json bool) error {
	for _, e := range list {
		if json {
			if err := printJSONLine(w, e); err != nil {
				return err
			}
			continue
		}
		subject := strings.Trim(string(e.App)+" "+e.Process, " ")
		by := ""
		if e.Actor != "" {
			by = " (" + e.Actor + ")"
		}
		_, err := fmt.Fprintf(w, "%s %-11s %s: %s%s\n", e.At.UTC().Format("2006-01-02T15:04:05.000Z"), e.Kind, subject, printable(e.Text), by)
		if err != nil {
			return err
		}
	}
	return nil
}
