package platform

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"
)

// Audit is what an event tells about who did it, beside the name.
type Audit struct {
	Class   EventClass   `json:"class"`
	Key     string       `json:"key,omitempty"`     // the fingerprint of the key, or "token NAME"
	Door    Door         `json:"door,omitempty"`    // by which it was asked for
	Remote  string       `json:"remote,omitempty"`  // the address that it was asked from
	Request string       `json:"request,omitempty"` // of that one call
	Outcome string       `json:"outcome,omitempty"` // of a command: ok, or the kind of its error
	Changes []Alteration `json:"changes,omitempty"` // by a command
}

// EventClass says how long an event is kept: each class makes room by itself.
type EventClass int

// The classes.
const (
	ByItself EventClass = iota // by itself: instances, certificates
	Deed                       // by somebody
	Refusal                    // wanted by somebody who may not, or it failed
)

// MarshalText writes it for people.
func (c EventClass) MarshalText() ([]byte, error) {
	return []byte([...]string{"happened", "done", "refused"}[c]), nil
}

// UnmarshalText reads that again.
func (c *EventClass) UnmarshalText(text []byte) error {
	*c = map[string]EventClass{"done": Deed, "refused": Refusal}[string(text)]
	return nil
}

// EventCommand is one call of a verb that changes something, or a push: the audit. The things that it did say events of
// their own beside it.
const EventCommand EventKind = "command"

// Journal is the part of a Store that knows which commands are under way, so that the end of the daemon hides none.
type Journal interface {
	// BeginCommand notes a command; AddEvents with its request forgets it in the same transaction. Until then each
	// method notes with the command of its ctx what it changes (see Within), and the event has it beside its own changes.
	BeginCommand(ctx context.Context, e Event) error
	// CutCommands makes events, of outcome "cut off", of all that are noted, and returns them.
	CutCommands(ctx context.Context) ([]Event, error)
}

// Entry is one call under way, as the audit has it. Its methods are safe for concurrent use, also on nil, where they do nothing.
type Entry struct {
	p     *Platform
	mu    sync.Mutex
	event Event
}

// Begin notes that an actor does something that changes the platform. app is what it is about, "" for none. End must be
// called, when it is over.
func (p *Platform) Begin(ctx context.Context, actor Actor, app AppName, text string) (*Entry, error) {
	c := &Entry{p: p, event: commandEvent(p, actor, app, text)}
	if err := p.Store.BeginCommand(ctx, c.event); err != nil {
		return nil, fmt.Errorf("note command of %s: %w", actor.Name, err)
	}
	return c, nil
}

func commandEvent(p *Platform, actor Actor, app AppName, text string) Event {
	if actor.Request == "" { // not of a door: nothing else is called so
		actor.Request = NewRequest()
	}
	return Event{
		At: p.Now(), Kind: EventCommand, App: app, Actor: actor.Name, Text: clip(text, mostText),
		Audit: Audit{Key: actor.credential(), Door: actor.Door, Remote: actor.Remote, Request: actor.Request},
	}
}

// credential is by what the actor came in.
func (a Actor) credential() string {
	if a.Token != nil {
		return "token " + a.Token.Name
	}
	return a.Fingerprint
}

// Changed adds to what the command is known to have changed: what no Store sees, such as what was done to processes.
func (c *Entry) Changed(what, before, after string) {
	if c == nil || before == after {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.event.Changes = Altered(c.event.Changes, Alteration{What: what, Old: before, New: after})
}

// About sets the app that the command turned out to be about.
func (c *Entry) About(app AppName) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.event.App = app
}

// End says the event, with how it ended. It blocks until the event is durable.
func (c *Entry) End(err error) {
	if c == nil {
		return
	}
	c.mu.Lock()
	c.event.At = c.p.Now()
	c.event.Class, c.event.Outcome = Deed, "ok"
	if err != nil {
		c.event.Class, c.event.Outcome = Refusal, outcome(err)
	}
	e := c.event
	c.mu.Unlock()
	c.p.say(e)
	c.p.carry(context.WithoutCancel(c.p.life))
}

func outcome(err error) string {
	if err == context.Canceled { //nolint:errorlint // what doors pass on as it is
		return Interrupted.String()
	}
	return KindOf(err).String()
}

// Refuse says that an actor was not let do something.
func (p *Platform) Refuse(actor Actor, app AppName, text string, err error) {
	e := commandEvent(p, actor, app, text)
	e.Class, e.Outcome = Refusal, outcome(err)
	p.say(e)
}

// clip keeps the first n bytes of a printable line.
func clip(s string, n int) string {
	s = strings.ReplaceAll(printable(strings.ToValidUTF8(s, "?")), "\x1b", "")
	if len(s) <= n {
		return s
	}
	for s = s[:n]; !utf8.ValidString(s); s = s[:len(s)-1] {
		continue
	}
	return s + "…"
}

// String is the kind in a word, as audits and problem documents have it.
func (k Kind) String() string {
	return [...]string{
		"internal", "failed", "usage", "not-found", "denied", "conflict", "timeout", "unhealthy", "unknown", "interrupted", "unauthorized",
	}[k]
}
