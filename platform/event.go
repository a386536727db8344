package platform

import (
	"context"
	"fmt"
	"log/slog"
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
	Audit
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

	EventLogsSet      EventKind = "logs-set" // what is kept of its log was changed
	EventDrainAdded   EventKind = "drain-added"
	EventDrainRemoved EventKind = "drain-removed"

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

	EventRan        EventKind = "ran"          // a one-off command was started
	EventRunEnded   EventKind = "run-ended"    // it has ended
	EventRunStopped EventKind = "run-stopped"  // somebody ended it
	EventRunRetired EventKind = "run-retired"  // what was known of those that ended was forgotten
	EventRunSet     EventKind = "run-set"      // how many may run was changed
	EventCronSet    EventKind = "cron-set"     // when jobs run was changed, or whether
	EventCronMissed EventKind = "cron-missed"  // a job was due while nobody was there
	EventCronSkip   EventKind = "cron-skipped" // a job was due and was not run

	EventStarted     EventKind = "started"   // an instance's command was executed
	EventHealthy     EventKind = "healthy"   // it passed its startup checks
	EventUnhealthy   EventKind = "unhealthy" // it fails a liveness or readiness check
	EventReady       EventKind = "ready"     // it passes its readiness check again
	EventExited      EventKind = "exited"    // it ended by itself
	EventOutOfMemory EventKind = "oom"
	EventDiskFull    EventKind = "disk-full"    // it was ended for what it had written
	EventCrashed     EventKind = "crashed"      // it keeps ending
	EventGaveUp      EventKind = "gave-up"      // it ended and its policy says to leave it
	EventStartFailed EventKind = "start-failed" // it could not even be started
	EventPaused      EventKind = "paused"
	EventResumed     EventKind = "resumed"
	EventEntered     EventKind = "entered" // somebody ran a command beside it
	EventCopiedOut   EventKind = "copied-out"
	EventCopiedIn    EventKind = "copied-in"
)

// EventQuery chooses events.
type EventQuery struct {
	App     AppName   // "" for all
	Actor   string    // "" for all
	Kind    EventKind // "" for all
	After   int64     // only those with a larger id
	Since   time.Time // only those as late
	Until   time.Time // only those before; zero for all
	Door    Door      // only what was asked for there; "" for all
	Outcome string    // only commands that ended so; "" for all
	Request string    // only those of this one; "" for all
	Last    int       // at most so many, the latest; 0 for all

	Apps    []AppName // with Limited, only events of these, as they are now: not of others that had their names before
	Limited bool
}

// Ledger is the part of a Store that keeps what happened and how endings are to be met.
type Ledger interface {
	Journal
	// AddEvents numbers and keeps events; the oldest of their class may make room.
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
		"instance", e.Instance, "actor", e.Actor, "request", e.Request)
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
	case EventStartFailed, EventExited, EventOutOfMemory, EventDiskFull, EventCrashed, EventGaveUp, EventUnhealthy, EventPushFailed, EventCertFailed, EventCertExpires, EventOverslept, EventCronMissed, EventCronSkip:
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
	p.logEvents(ctx, batch)
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
