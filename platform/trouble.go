package platform

import (
	"context"
	"errors"
	"time"
)

// Trouble is one thing that is wrong with an app, or was when it was last changed, with what is known of it.
type Trouble struct {
	Code    TroubleCode `json:"code"`
	At      time.Time   `json:"at,omitzero"`
	Process string      `json:"process,omitempty"` // "web.1"
	Release int         `json:"release,omitempty"` // that it happened to
	Build   int         `json:"build,omitempty"`
	Commit  string      `json:"commit,omitempty"`
	Actor   string      `json:"actor,omitempty"` // whose change it was
	Change  string      `json:"change,omitempty"`
	Command string      `json:"command,omitempty"` // the verb of a change that makes no release, "ps:restart"
	Text    string      `json:"text"`              // one sentence
	Fix     string      `json:"fix,omitempty"`     // what to do or type

	Exit      *ExitView  `json:"exit,omitempty"`
	Port      int        `json:"port,omitempty"`      // where it was expected to listen
	Listening []string   `json:"listening,omitempty"` // where it listens instead
	Check     []string   `json:"check,omitempty"`     // the failed check's transcript
	Output    []string   `json:"output,omitempty"`    // the last lines, oldest first
	Times     int        `json:"times,omitempty"`     // in a row
	Next      *time.Time `json:"next_try_at,omitempty"`
	Over      bool       `json:"over,omitempty"` // it is past: what it happened to runs again

	Instance InstanceID `json:"instance,omitempty"`
}

// TroubleCode says what sort of trouble it is, for programs.
type TroubleCode string

// The codes. They do not change their meaning.
const (
	TroubleMemory      TroubleCode = "out-of-memory"
	TroubleCommand     TroubleCode = "command-not-found"
	TroubleFormat      TroubleCode = "exec-format" // another architecture's program, or none at all
	TroubleRights      TroubleCode = "not-executable"
	TroubleFinished    TroubleCode = "exited-at-once" // with status 0, but a process shall go on
	TroubleSignal      TroubleCode = "signal"
	TroubleExit        TroubleCode = "exit"
	TroubleDisk        TroubleCode = "disk-full"
	TroubleAddress     TroubleCode = "address-in-use"
	TroubleLoopback    TroubleCode = "listens-on-loopback"
	TroublePort        TroubleCode = "listens-elsewhere"
	TroubleDeaf        TroubleCode = "not-listening"
	TroubleCheck       TroubleCode = "check-failed"
	TroubleConfig      TroubleCode = "config-missing"
	TroubleBuild       TroubleCode = "build-failed"
	TroublePhase       TroubleCode = "release-phase-failed"
	TroubleStart       TroubleCode = "start-failed"
	TroubleChange      TroubleCode = "change-failed"
	TroubleCertificate TroubleCode = "certificate"
	TroubleRequests    TroubleCode = "requests"
	TroubleLink        TroubleCode = "link"
	TroubleHost        TroubleCode = "host"
	TroubleFirewall    TroubleCode = "firewall"
	TroubleCron        TroubleCode = "cron" // the last run of a job
)

// ExitView is how a process ended, as people and programs read it.
type ExitView struct {
	Code        int       `json:"code"`
	Signal      string    `json:"signal,omitempty"`
	OutOfMemory bool      `json:"out_of_memory,omitempty"`
	MemoryPeak  int64     `json:"memory_peak_bytes,omitempty"`
	MemoryLimit int64     `json:"memory_limit_bytes,omitempty"`
	At          time.Time `json:"at,omitzero"`
}

func exitView(e *Exit) *ExitView {
	if e == nil {
		return nil
	}
	return &ExitView{Code: e.Code, Signal: e.Signal, OutOfMemory: e.OOM, MemoryPeak: e.MemoryPeak, MemoryLimit: e.MemoryLimit, At: e.At}
}

// troubled is an error's cause that knows more than its sentence.
type troubled struct {
	Trouble
	cause error
}

func (t *troubled) Error() string { return t.cause.Error() }
func (t *troubled) Unwrap() error { return t.cause }

// because gives an error of one sentence what else is known. The sentence stays the error's.
func (e *Error) because(t Trouble, cause error) *Error {
	if cause == nil {
		cause = errors.New(string(t.Code))
	}
	return e.Because(&troubled{t, cause})
}

// troubleOf is what an error tells of what went wrong; p logs one that has no sentence.
func (p *Platform) troubleOf(err error) Trouble {
	e := p.Human(err)
	t := Trouble{Code: TroubleChange}
	var known *troubled
	switch {
	case errors.As(err, &known):
		t = known.Trouble
	case errors.Is(err, errRoom):
		t.Code = TroubleDisk
	}
	t.Text, t.Fix = e.Message, e.Hint
	if len(t.Output) == 0 {
		t.Output = e.Output
	}
	return t
}

// errRoom marks refusals for want of room on the disk.
var errRoom = errors.New("no room on the disk")

// Troubles is the part of a Store that remembers what went wrong, until it is over.
type Troubles interface {
	// SetTrouble keeps what went wrong with a place of the formation ("web.1"), or with the last change
	// (LastChange), instead of what was known of it.
	SetTrouble(ctx context.Context, name AppName, place string, t Trouble) error
	// Troubles lists what is kept, by place.
	Troubles(ctx context.Context, name AppName) (map[string]Trouble, error)
	// EndTroubles forgets what went wrong up to then with any place; with whole, with the last change too.
	EndTroubles(ctx context.Context, name AppName, until time.Time, whole bool) error
}

// LastChange is the place of what went wrong with a push or another change.
const LastChange = "change"

// LastCommand is the place of what went wrong with a command that makes no release, like ps:restart. What comes about
// after it ends it, as with a place of the formation.
const LastCommand = "command"

// noteTrouble remembers what went wrong with a place. Who calls has more important things to do than to fail.
func (p *Platform) noteTrouble(name AppName, place string, t Trouble) {
	if t.At.IsZero() {
		t.At = p.Now()
	}
	err := p.Store.SetTrouble(context.WithoutCancel(p.life), name, place, t)
	if err != nil && KindOf(err) != NotFound { // its app was destroyed
		p.Log.Error("note what went wrong", "app", name, "place", place, "err", err)
	}
}

// endTroubles forgets what is over, in the background: nobody waits for it.
func (p *Platform) endTroubles(name AppName, whole bool) {
	until := p.Now()
	p.spawn(func(ctx context.Context) {
		ctx = context.WithoutCancel(ctx)
		known, err := p.Store.Troubles(ctx, name)
		if err == nil && len(known) > 0 {
			err = p.Store.EndTroubles(ctx, name, until, whole)
		}
		if err != nil && KindOf(err) != NotFound {
			p.Log.Error("forget what went wrong", "app", name, "err", err)
		}
	})
}
