package platform

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// maxLockMessage is how many bytes the reason of a lock may have.
const maxLockMessage = 200

// LockInput is apps:lock.
type LockInput struct {
	App     string   `arg:"app"`
	Message string   `flag:"message" short:"m" value:"WHY" help:"shown to those who deploy meanwhile"`
	Words   []string `arg:"why" rest:"optional" help:"the same, or the rest of it: ssh takes quotes away"`
}

// LockView is a lock as people see it.
type LockView struct {
	App     AppName    `json:"app"`
	Locked  bool       `json:"locked"`
	Message string     `json:"message,omitempty"`
	By      string     `json:"by,omitempty"`
	At      *time.Time `json:"at,omitempty"`
	asked   bool       // by apps:locked: the exit status answers
}

// Text implements the verbs' output.
func (v LockView) Text(w io.Writer) error {
	text := fmt.Sprintf("%s is not locked.", v.App)
	if v.Locked {
		text = v.sentence() + "."
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

// ExitStatus answers apps:locked as Dokku does.
func (v LockView) ExitStatus() int {
	if v.asked && !v.Locked {
		return 1
	}
	return 0
}

func (v LockView) sentence() string {
	text := fmt.Sprintf("%s is locked since %s by %s", v.App, v.At.UTC().Format(time.RFC3339), v.By)
	if v.Message != "" {
		text += ": " + v.Message
	}
	return text
}

func (l Lock) view(app AppName) LockView {
	v := LockView{App: app, Locked: l.Locked(), Message: l.Message, By: l.Actor}
	if l.Locked() {
		v.At = &l.At
	}
	return v
}

// LockApp keeps an app from being deployed. What is under way finishes.
func (p *Platform) LockApp(ctx context.Context, call Call, in LockInput) (LockView, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return LockView{}, err
	}
	in.Message = strings.TrimSpace(in.Message + " " + strings.Join(in.Words, " "))
	if len(in.Message) > maxLockMessage || !utf8.ValidString(in.Message) || printable(in.Message) != in.Message {
		return LockView{}, Errorf(Usage, "a message is one line of at most %d bytes", maxLockMessage)
	}
	if held, err := p.Store.Lock(ctx, app.Name); err != nil || held.Locked() && held.Message == in.Message {
		return held.view(app.Name), err
	}
	l := Lock{Message: in.Message, Actor: call.Actor.Name, At: p.Now().UTC()}
	if err := p.Store.SetLock(ctx, app.Name, l); err != nil {
		return LockView{}, err
	}
	p.say(Event{Kind: EventAppLocked, App: app.Name, Actor: call.Actor.Name, Text: l.view(app.Name).sentence()})
	return l.view(app.Name), nil
}

// UnlockApp lets it be deployed again.
func (p *Platform) UnlockApp(ctx context.Context, call Call, in AppInput) (LockView, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return LockView{}, err
	}
	held, err := p.Store.Lock(ctx, app.Name)
	if err != nil || !held.Locked() {
		return LockView{App: app.Name}, err
	}
	if err := p.Store.SetLock(ctx, app.Name, Lock{}); err != nil {
		return LockView{}, err
	}
	p.say(Event{Kind: EventAppUnlocked, App: app.Name, Actor: call.Actor.Name, Text: "the app may be deployed again"})
	return LockView{App: app.Name}, nil
}

// LockedApp tells whether an app is locked; the exit status is 1 if it is not.
func (p *Platform) LockedApp(ctx context.Context, _ Call, in AppInput) (LockView, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return LockView{}, err
	}
	held, err := p.Store.Lock(ctx, app.Name)
	v := held.view(app.Name)
	v.asked = true
	return v, err
}

// mayRelease is asked before every release that is made, whatever asks for it. What was begun before somebody locked
// the app finishes.
func (p *Platform) mayRelease(ctx context.Context, r Release) error {
	if r.unlocked {
		return nil
	}
	return p.unlocked(ctx, r.App)
}

// unlocked fails with kind Conflict for an app that is locked. What takes long before there is a release asks by itself,
// once the lane is its own, and so does what puts another release live without making one.
func (p *Platform) unlocked(ctx context.Context, name AppName) error {
	l, err := p.Store.Lock(ctx, name)
	if err != nil || !l.Locked() {
		return err
	}
	return Errorf(Conflict, "%s", l.view(name).sentence()).WithHint("let it be deployed again: ssh paas apps:unlock %s", name)
}
