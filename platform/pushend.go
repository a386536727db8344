package platform

import (
	"context"
	"errors"
)

// deploying is a change that puts new code live: a push, or an image.
type deploying struct {
	app    App
	actor  Actor
	commit string
	change string // "Deploy 1a2b3c4"
	build  int    // 0: none
	story  *Story
}

// endDeploy tells a pusher why the push did not go live, in the words of `why`, and returns an error with a sentence
// for it, which need not be told again.
func (p *Platform) endDeploy(ctx context.Context, d deploying, r Release, err error) error {
	var because *Error
	if ctx.Err() != nil && errors.As(context.Cause(ctx), &because) {
		return because.Because(err)
	}
	if ctx.Err() != nil {
		return Errorf(Interrupted, "the push was cancelled; nothing changed").Because(err)
	}
	e := p.Human(err)
	t := p.noteDeploy(d, r, e)
	p.tellTrouble(context.WithoutCancel(ctx), d, t, e.Table)
	told := *e
	told.Told = true
	return &told
}

// tellTrouble writes the end of a failed push. What a build printed stands right above, so of output only what
// processes said is shown.
func (p *Platform) tellTrouble(ctx context.Context, d deploying, t Trouble, table []string) {
	story := d.story
	story.End()
	for _, line := range table {
		story.Line("%s", line)
	}
	shown := t
	shown.Check = nil // each attempt was told
	if t.Code == TroubleBuild || t.Code == TroublePhase {
		shown.Output = nil
	}
	for _, line := range shown.evidence(lastWords) {
		story.Line("%s", line)
	}
	story.Warn("%s", t.Text)
	if t.Fix != "" {
		story.Line("%s", t.Fix)
	}
	if look, err := p.lookAt(ctx, d.app); err == nil {
		look.change = &t
		p.tellAround(ctx, story, look)
		p.tellWhatStays(ctx, story, look)
	}
	story.Line("See this again: ssh paas why %s", d.app.Name)
	if d.build > 0 {
		story.Line("See the whole build: ssh paas builds:output %s %d", d.app.Name, d.build)
	}
}

// tellAround says what stands in the app's way beside: it may be the cause.
func (p *Platform) tellAround(ctx context.Context, story *Story, look look) {
	list, _, err := p.around(ctx, look)
	if err != nil {
		p.Log.Error("look around an app", "app", look.app.Name, "err", err)
		return
	}
	for _, t := range list {
		if t.Over || t.Code == TroubleRequests || t.Text == look.change.Text {
			continue
		}
		story.Warn("%s", t.Text)
		if t.Fix != "" {
			story.Line("%s", t.Fix)
		}
	}
}

func (p *Platform) tellWhatStays(ctx context.Context, story *Story, look look) {
	changes, err := p.changesSince(ctx, look)
	if err == nil && changes != nil && changes.text() != "" {
		story.Line("Since v%d: %s", changes.From, changes.text())
	}
	if look.app.Release > 0 {
		story.Line("Nothing changed: v%d goes on.", look.app.Release)
	}
}
