package platform

import (
	"context"
	"fmt"
)

// noteEnd remembers how an instance ended by itself, with its last words: its successor may say nothing.
func (p *Platform) noteEnd(ctx context.Context, i Instance, c crash) {
	p.spawn(func(context.Context) {
		w, _, err := p.wanted(ctx, i.App)
		if err != nil {
			return // destroyed meanwhile
		}
		w = w.at(slot{i.Type, i.Number})
		t := w.ending(i, p.lastLines(ctx, i, newMask(w.release.Config))).trouble()
		t.Release, t.Instance, t.Times = i.Release, i.ID, c.count
		if i.Exit != nil {
			t.At = i.Exit.At
		}
		p.noteTrouble(i.App, i.Name(), t)
	})
}

// noteUnhealthy remembers why a place of the formation could not be filled again.
func (p *Platform) noteUnhealthy(w want, s slot, err error) {
	t := p.troubleOf(err)
	t.Process, t.Release = fmt.Sprintf("%s.%d", s.Type, s.Number), w.at(s).release.Number
	p.noteTrouble(w.app.Name, t.Process, t)
}

// noteProbe remembers why an instance was replaced.
func (p *Platform) noteProbe(ctx context.Context, w want, i Instance, failure error) {
	t := p.diagnose(ctx, w, i, failure)
	p.noteTrouble(i.App, i.Name(), t)
}

// noteWriter remembers that an instance was ended for what it had written.
func (p *Platform) noteWriter(ctx context.Context, i Instance, text, fix string) {
	p.noteTrouble(i.App, i.Name(), Trouble{
		Code: TroubleDisk, Process: i.Name(), Release: i.Release, Instance: i.ID, Text: text, Fix: fix,
		Output: p.lastLines(ctx, i, mask{}),
	})
}

// noteChange remembers why a release did not go live. A push tells more of it afterwards. One that a person
// cancelled is no trouble.
func (p *Platform) noteChange(ctx context.Context, r Release, err error) {
	if ctx.Err() != nil || KindOf(err) == Interrupted {
		return
	}
	t := p.troubleOf(err)
	t.Release, t.Commit, t.Actor, t.Change = r.Number, r.Commit, r.Actor, r.Description
	p.noteTrouble(r.App, LastChange, t)
}

// noteDeploy remembers why new code did not go live, and returns it.
func (p *Platform) noteDeploy(d deploying, r Release, err error) Trouble {
	t := p.troubleOf(err)
	if t.Code == TroubleChange && r.Number == 0 {
		t.Code = TroubleBuild
	}
	if t.Code == TroubleBuild || t.Code == TroublePhase {
		tail := d.story.Tail()
		t.Output = tail[max(0, len(tail)-lastWords):]
	}
	t.Release, t.Build, t.Commit, t.Actor = r.Number, d.build, d.commit, d.actor.Name
	t.Change, t.At = d.change, p.Now()
	p.noteTrouble(d.app.Name, LastChange, t)
	return t
}

// noteRefusal remembers that there was no room for a push.
func (p *Platform) noteRefusal(app App, err error) {
	if app.Name == "" {
		return
	}
	t := p.troubleOf(err)
	t.Change = "A push"
	p.noteTrouble(app.Name, LastChange, t)
}
