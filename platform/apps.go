package platform

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// AppInput names an app.
type AppInput struct {
	App string `arg:"app"`
}

// CreateInput is apps:create.
type CreateInput struct {
	App       string `arg:"app" app:"new"`
	IfMissing bool   `flag:"if-missing" help:"succeed when the app is there already"`
}

// AppView is an app as people see it.
type AppView struct {
	Name         AppName   `json:"name"`
	URL          string    `json:"url"`
	Domains      []string  `json:"domains"`
	Release      int       `json:"release"`
	Commit       string    `json:"commit"`
	Builder      string    `json:"builder"`
	DeployBranch string    `json:"deploy_branch"`
	Status       string    `json:"status"`
	Formation    Formation `json:"formation"`
	CreatedAt    time.Time `json:"created_at"`
}

// Text implements the verbs' output.
func (v AppView) Text(w io.Writer) error {
	return table(w, nil, [][]string{
		{"name", string(v.Name)}, {"url", v.URL}, {"domains", strings.Join(v.Domains, " ")},
		{"status", v.Status}, {"release", releaseName(v.Release)}, {"commit", v.Commit},
		{"builder", v.Builder}, {"deploy branch", v.DeployBranch}, {"formation", v.Formation.String()},
		{"created", v.CreatedAt.Format(time.RFC3339)},
	})
}

func releaseName(n int) string {
	if n == 0 {
		return ""
	}
	return "v" + strconv.Itoa(n)
}

// Create makes an app, which is then the caller's. It is for those who may make apps: an app takes a name and a
// hostname from everybody. They are told of a name that is taken, and nothing more of an app that they may not see.
func (p *Platform) Create(ctx context.Context, call Call, in CreateInput) (AppView, error) {
	name, err := ParseAppName(in.App)
	if err != nil {
		return AppView{}, err
	}
	if err := p.MayCreate(call.Actor); err != nil {
		return AppView{}, err
	}
	_, err = p.createFor(ctx, call.Actor, name)
	if err == nil {
		p.say(Event{Kind: EventAppCreated, App: name, Actor: call.Actor.Name, Text: "the app was created"})
	}
	if KindOf(err) == Conflict {
		_, missing := p.Store.App(ctx, name)
		if role, roleErr := p.Role(ctx, call.Actor, name); roleErr != nil || role == NoRole && missing == nil {
			return AppView{}, errorOr(roleErr, Errorf(Conflict, "the name %s is taken", name).WithHint("choose another name"))
		}
	}
	if KindOf(err) == Conflict && in.IfMissing {
		err = nil
	}
	if err != nil {
		return AppView{}, withHint(err, "see what is there: ssh paas apps:list")
	}
	return p.view(ctx, name)
}

// MayCreate is nil for those who may make apps.
func (p *Platform) MayCreate(actor Actor) error {
	if actor.Creates || actor.Admin {
		return nil
	}
	return Errorf(Denied, "making apps is for admins and those whom they let, and %s is not one", actor.said()).
		WithHint("ask an admin: ssh paas users:set %s creates-apps=on", actor.Name)
}

// createFor makes an app, whose owner is the actor, unless another one has its hostname as a domain of its own.
func (p *Platform) createFor(ctx context.Context, actor Actor, name AppName) (App, error) {
	if err := p.hostsFree(ctx, name); err != nil {
		return App{}, err
	}
	app, err := p.Store.CreateAppFor(ctx, name, actor.Name)
	if err != nil {
		return app, err
	}
	return app, p.wish(ctx, app)
}

// hostsFree fails with kind Conflict when the hostnames that an app of the name gets are not to be had.
func (p *Platform) hostsFree(ctx context.Context, name AppName) error {
	apps, err := p.Store.Apps(ctx)
	if err != nil {
		return err
	}
	if err := p.free(p.defaultHost(name)); err != nil {
		return err
	}
	hosts, err := p.defaultHosts(ctx, name)
	if err != nil {
		return err
	}
	for _, other := range apps {
		for _, host := range hosts {
			if p.owns(ctx, other.Name, host) {
				return Errorf(Conflict, "the domain %s, which the app would get, is taken", host).WithHint("choose another name")
			}
		}
	}
	return nil
}

// withHint adds a hint to an error that has a sentence.
func withHint(err error, format string, args ...any) error {
	var e *Error
	if errors.As(err, &e) && e.Hint == "" {
		return e.WithHint(format, args...)
	}
	return err
}

// Info shows one app.
func (p *Platform) Info(ctx context.Context, _ Call, in AppInput) (AppView, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return AppView{}, err
	}
	return p.view(ctx, app.Name)
}

// find looks up an app that a person named.
func (p *Platform) find(ctx context.Context, name string) (App, error) {
	app, err := p.Store.App(ctx, AppName(name))
	if KindOf(err) != NotFound {
		return app, err
	}
	apps, listErr := p.Store.Apps(ctx)
	if listErr != nil {
		return app, listErr
	}
	return app, missing(name, apps)
}

func (p *Platform) view(ctx context.Context, name AppName) (AppView, error) {
	app, err := p.Store.App(ctx, name)
	if err != nil {
		return AppView{}, err
	}
	v := AppView{
		Name: name, URL: p.URL(name), Release: app.Release, DeployBranch: app.DeployBranch,
		CreatedAt: app.CreatedAt, Domains: []string{},
	}
	if v.Domains, err = p.hosts(ctx, name); err != nil {
		return v, err
	}
	if v.Formation, err = p.Store.Formation(ctx, name); err != nil {
		return v, err
	}
	if app.Release > 0 {
		release, err := p.Store.Release(ctx, name, app.Release)
		if err != nil {
			return v, err
		}
		v.Commit, v.Builder = release.Commit, release.Image.Builder
	}
	v.Status = p.status(app)
	return v, nil
}

// status says in a word how the app is.
func (p *Platform) status(app App) string {
	switch {
	case app.Release == 0:
		return "not deployed"
	case app.Stopped:
		return "stopped"
	}
	l := p.lane(app.Name)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.nap.Depth != Awake:
		return "sleeping"
	case len(l.routed) > 0:
		return "running"
	case l.paused:
		return "paused"
	default:
		return "no web instance"
	}
}

// AppList is apps:list.
type AppList []AppView

// Text implements the verbs' output.
func (l AppList) Text(w io.Writer) error {
	var rows [][]string
	for _, v := range l {
		rows = append(rows, []string{string(v.Name), v.Status, releaseName(v.Release), v.URL})
	}
	return table(w, []string{"NAME", "STATUS", "RELEASE", "URL"}, rows)
}

// List shows every app that the caller sees.
func (p *Platform) List(ctx context.Context, call Call, _ struct{}) (AppList, error) {
	apps, err := p.Store.Apps(ctx)
	if err != nil {
		return nil, err
	}
	if apps, err = p.seen(ctx, call.Actor, apps); err != nil {
		return nil, err
	}
	list := AppList{}
	for _, app := range apps {
		v, err := p.view(ctx, app.Name)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// enter takes the app's lane for a verb.
func (p *Platform) enter(ctx context.Context, name AppName, call Call) (leave func(), err error) {
	return p.lane(name).enter(ctx, call.Actor.Name+"'s command", func(holder string) {
		_, _ = fmt.Fprintf(call.Err, "Waiting for %s to finish…\n", holder)
	})
}
