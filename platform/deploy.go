package platform

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Push is one push of a branch: the same for git, an uploaded archive and git:sync.
type Push struct {
	Actor  Actor
	App    App
	Branch string // "main"
	Commit string // hex id
	Source Tree
	Out    io.Writer // the pusher's screen; plain lines, no escape codes

	// Detached ends with the door, not with the pusher: what a build goes on with when it shall outlive
	// the pusher's connection. nil: it cannot.
	Detached context.Context
}

// Push builds the tree and puts it live. It blocks until the new release serves or has failed; a failure
// leaves the running release as it was. The end of ctx cancels it until requests move over.
func (p *Platform) Push(ctx context.Context, push Push) (Release, error) {
	story := NewStory(push.Out, p.Now)
	start := p.Now()
	name := push.App.Name
	p.say(Event{Kind: EventPushed, App: name, Actor: push.Actor.Name, Text: "commit " + shortCommit(push.Commit) + " was pushed"})
	leave, err := p.lane(name).enter(ctx, push.Actor.Name+"'s push", func(holder string) {
		story.Line("Waiting for %s to finish", holder)
	})
	if err != nil {
		return Release{}, Errorf(Interrupted, "the push was cancelled while it waited").Because(err)
	}
	defer leave()
	if err := p.unlocked(ctx, name); err != nil {
		return Release{}, err
	}
	ctx, build, err := p.beginBuild(ctx, push.App, push, story)
	if err != nil {
		return Release{}, err
	}
	release, err := p.buildAndRelease(ctx, push, build)
	if err != nil {
		err = p.endDeploy(ctx, deploying{
			app: push.App, actor: push.Actor, commit: push.Commit, change: "Deploy " + shortCommit(push.Commit),
			build: build.record.Number, story: story,
		}, release, err)
	}
	build.end(ctx, release, err)
	if err != nil {
		p.say(Event{Kind: EventPushFailed, App: name, Release: release.Number, Actor: push.Actor.Name, Text: sentence(err)})
		return release, err
	}
	what := "live"
	if release.Status == Pending {
		what = "a canary for a part of the clients"
	}
	p.say(Event{
		Kind: EventDeployed, App: name, Release: release.Number, Actor: push.Actor.Name,
		Text: fmt.Sprintf("v%d of commit %s is %s", release.Number, shortCommit(push.Commit), what),
	})
	story.Result("%s v%d is %s in %s  %s", name, release.Number, what, Seconds(p.Now().Sub(start)), p.URL(name))
	return release, nil
}

func (p *Platform) buildAndRelease(ctx context.Context, push Push, b *building) (Release, error) {
	story := b.story
	app, err := p.Store.App(ctx, push.App.Name) // as it is now that the lane is ours
	if err != nil {
		return Release{}, err
	}
	if err := p.noCanary(ctx, app.Name); err != nil {
		return Release{}, err
	}
	req, err := p.buildRequest(ctx, app, Source{Commit: push.Commit, Tree: push.Source})
	if err != nil {
		return Release{}, err
	}
	config := req.Config
	story.Hide(config)
	req.Story, req.Limits, req.Report, req.Alone = story, b.rules.BuildLimits, b.report, b.rules.Alone
	image, drop, err := p.build(ctx, b, req)
	if err != nil {
		return Release{}, story.clean(err)
	}
	defer drop()
	story.Line("%s", b.layers())
	if config, err = p.firstConfig(app, image, config, story); err != nil {
		return Release{}, err
	}
	spec, err := p.Store.Spec(ctx, app.Name)
	if err != nil {
		return Release{}, err
	}
	r := Release{
		App: app.Name, Image: image, Config: config, Spec: spec, Actor: push.Actor.Name, Commit: push.Commit,
		Description: "Deploy " + shortCommit(push.Commit), Deployed: true, unlocked: true,
	}
	if share, armed, err := p.armed(ctx, app); err != nil || armed {
		if err != nil {
			return r, err
		}
		return p.releaseBesides(ctx, r, share, story)
	}
	return p.release(ctx, r, story)
}

func shortCommit(id string) string { return id[:min(len(id), 8)] }

// firstConfig applies app.json's env to an app that has no release yet: defaults, generated secrets,
// and a complaint about required keys that are missing.
func (p *Platform) firstConfig(app App, image Image, config Config, story *Story) (Config, error) {
	if app.Release != 0 {
		return config, nil
	}
	global, err := p.Store.GlobalConfig(p.life)
	if err != nil {
		return nil, err
	}
	config = maps.Clone(config)
	for _, key := range slices.Sorted(maps.Keys(image.Declared)) {
		declared := image.Declared[key]
		if _, have := config[key]; have {
			continue
		}
		switch {
		case declared.Generator == "secret":
			config[key] = secret()
			story.Line("Generated the config var %s", key)
		case declared.Value != "":
			config[key] = declared.Value
		}
	}
	if missing := image.lacks(config, global); len(missing) > 0 {
		m := configMissing(app.Name, missing)
		return nil, Errorf(Failed, "%s", m.text).because(m.trouble(), nil).WithHint("%s", m.fix)
	}
	return config, nil
}

// secret is 64 hex digits, as app.json's generator promises.
func secret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// formation is how many instances of r are wanted. Of an app that had no release yet it is what app.json says, or one
// web, beneath what a person has set already; first tells that it is to be stored when the release is live.
func (p *Platform) formation(ctx context.Context, app App, r Release, story *Story) (f Formation, first bool, err error) {
	have, err := p.Store.Formation(ctx, app.Name)
	if err != nil {
		return nil, false, err
	}
	if app.Release != 0 {
		tellFormation(have, r, story)
		return have, false, nil
	}
	f = maps.Clone(Formation(r.Image.Formation))
	if len(f) == 0 {
		f = Formation{Web: 1}
	}
	maps.Copy(f, have)
	return f, true, nil
}

// tellFormation says where app.json and what was set later disagree.
func tellFormation(have Formation, r Release, story *Story) {
	if !r.Deployed {
		return
	}
	for _, typ := range slices.Sorted(maps.Keys(r.Image.Formation)) {
		if n := r.Image.Formation[typ]; n != have[typ] {
			story.Line("app.json has %d of %s: that held for the first deploy, and it is scaled to %d. To change it: ssh paas ps:scale %s %s=%d",
				n, typ, have[typ], r.App, typ, n)
		}
	}
}

// release numbers r and puts it live, unless a canary runs. The caller holds the app's lane.
func (p *Platform) release(ctx context.Context, r Release, story *Story) (Release, error) {
	if err := p.noCanary(ctx, r.App); err != nil {
		return r, err
	}
	return p.putLive(ctx, r, story)
}

// putLive is release without looking for a canary: what runs of it ends with the current release.
func (p *Platform) putLive(ctx context.Context, r Release, story *Story) (Release, error) {
	if err := p.mayRelease(ctx, r); err != nil {
		return r, err
	}
	r, drop, err := p.predeploy(ctx, r, story)
	if err != nil {
		return r, err
	}
	defer drop()
	r, relinked, err := p.addRelease(ctx, r)
	if err != nil {
		return r, err
	}
	if err = p.goLive(ctx, r, story); err == nil {
		r.Status = Live
	} else if failed := p.Store.FailRelease(context.WithoutCancel(ctx), r.App, r.Number); failed != nil {
		p.Log.Error("mark failed", "app", r.App, "release", r.Number, "err", failed)
	}
	if err != nil {
		p.noteChange(ctx, r, err)
	}
	if relinked {
		p.closeWalls(ctx, r)
	}
	return r, err
}

// addRelease numbers and stores r. relinked tells that its links are others than those before: they hold now, too.
func (p *Platform) addRelease(ctx context.Context, r Release) (_ Release, relinked bool, err error) {
	before, err := p.Store.Spec(ctx, r.App)
	if err != nil {
		return r, false, err
	}
	if r, err = p.Store.AddRelease(ctx, r); err != nil {
		return r, false, fmt.Errorf("record release of %s: %w", r.App, err)
	}
	relinked = !slices.Equal(before.Links, r.Spec.Sorted().Links)
	if !relinked {
		return r, false, nil
	}
	if err := p.setWalls(context.WithoutCancel(ctx)); err != nil {
		return r, true, errors.Join(err, p.Store.FailRelease(context.WithoutCancel(ctx), r.App, r.Number))
	}
	return r, true, nil
}

// closeWalls is when it is decided which release's links hold. The release is what it is then, so a failure is not
// its maker's: the walls are set anew by the next change of any app's, and when the daemon starts.
func (p *Platform) closeWalls(ctx context.Context, r Release) {
	if err := p.setWalls(context.WithoutCancel(ctx)); err != nil {
		p.Log.Error("set the links of a release", "app", r.App, "release", r.Number, "err", err)
	}
}

func (p *Platform) goLive(ctx context.Context, r Release, story *Story) error {
	app, err := p.Store.App(ctx, r.App)
	if err != nil {
		return err
	}
	formation, first, err := p.formation(ctx, app, r, story)
	if err != nil {
		return err
	}
	w := want{app: app, release: r, formation: formation, recall: r.recall}
	w.then = func(ctx context.Context) error { return p.finishDeploy(ctx, w, first, story) }
	if err := p.equip(ctx, &w); err != nil {
		return err
	}
	if err := w.places[r.Number].lost(); err != nil { // instances that were kept have it still
		return err
	}
	if err := p.releasePhase(ctx, w, story); err != nil {
		return err
	}
	story.Phase("Launching v%d", r.Number)
	if app.Stopped {
		story.Line("%s is stopped; start it: ssh paas ps:start %s", r.App, r.App)
	} else if len(w.slots()) == 0 {
		story.Line("No process is scaled up: %s", declared(r.Image))
	}
	if err := p.switchTo(ctx, w, story); err != nil {
		return err
	}
	if len(w.slots()) > 0 {
		story.Line("Switched over to v%d", r.Number)
	}
	story.End()
	return nil
}

func declared(image Image) string {
	types := slices.Sorted(maps.Keys(image.Processes))
	if len(types) == 0 {
		return "the app declares none (add a Procfile)"
	}
	return fmt.Sprintf("the app declares %v", types)
}

// releasePhase runs the Procfile's release command, once, before anything of the release starts.
func (p *Platform) releasePhase(ctx context.Context, w want, story *Story) error {
	image := w.release.Image
	line, ok := image.Processes[ReleasePhase]
	if !ok {
		return nil
	}
	if due, err := p.releaseRuns(ctx, w, story); err != nil || !due {
		return err
	}
	return p.runPhase(ctx, w, phase{ReleasePhase, "release command", line, image.argv(ReleasePhase)}, story)
}

func releaseFailed(app AppName, line string, exit Exit) *Error {
	end := ending{app: app, typ: ReleasePhase, name: "the release command", command: line, exit: &exit}
	t := end.trouble()
	t.Code = TroublePhase
	e := Errorf(Failed, "release phase failed: `%s` %s", line, strings.TrimPrefix(t.Text, end.name+" ")).because(t, nil)
	if exit.OOM {
		return e.WithHint("%s", t.Fix)
	}
	return e
}
