package platform

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// changeRules stores rules of an app, has the router follow them, and says so.
func (p *Platform) changeRules(ctx context.Context, call Call, app App, said string, list ...EdgeRule) error {
	err := p.changeRouting(ctx, app.Name, func() error {
		have, err := p.Store.EdgeRules(ctx, app.Name)
		if err != nil {
			return err
		}
		if err := fitRules(have, list); err != nil {
			return err
		}
		return p.Store.ChangeEdgeRules(ctx, app.Name, list)
	})
	if err == nil {
		p.say(Event{Kind: EventRouting, App: app.Name, Actor: call.Actor.Name, Text: said})
	}
	return err
}

// fitRules refuses to remove what is not there and to keep more than can be looked through.
func fitRules(have, change []EdgeRule) error {
	count := map[EdgeKind]int{}
	for _, r := range have {
		count[r.Kind]++
	}
	for _, c := range change {
		there := slices.ContainsFunc(have, func(r EdgeRule) bool { return r.Kind == c.Kind && r.Key == c.Key })
		switch {
		case c.Value == "" && !there:
			return Errorf(NotFound, "there is no %s %q", c.Kind, c.Key)
		case c.Value != "" && !there:
			count[c.Kind]++
		}
		if count[c.Kind] > mostRules {
			return Errorf(Conflict, "an app has at most %d rules of a kind: each is looked at for every request", mostRules)
		}
	}
	return nil
}

// RedirectInput is redirects:add.
type RedirectInput struct {
	App  string `arg:"app"`
	From string `arg:"from" help:"a domain, a path, or both: www.example.com, /old, /old/*"`
	To   string `arg:"to" help:"a domain, a path, or a URL: example.com, /new, /new/*, https://example.com/new"`
	Old  string `arg:"status" optional:"true" help:"301 (for good, the default), 302, 303, 307 or 308"`
	Code string `flag:"code" value:"STATUS" help:"the same"`
}

// RedirectKey is redirects:remove.
type RedirectKey struct {
	App  string `arg:"app"`
	From string `arg:"from"`
}

// RedirectList is an app's redirects.
type RedirectList struct {
	App       AppName        `json:"app"`
	Redirects []RedirectView `json:"redirects"`
}

// RedirectView is one of them.
type RedirectView struct {
	From string `json:"from"`
	To   string `json:"to"`
	Code int    `json:"code"`
}

func newRedirectList(app AppName) RedirectList { return RedirectList{app, []RedirectView{}} }

// Text implements the verbs' output.
func (l RedirectList) Text(w io.Writer) error {
	var rows [][]string
	for _, d := range l.Redirects {
		rows = append(rows, []string{d.From, d.To, strconv.Itoa(d.Code)})
	}
	return table(w, []string{"FROM", "TO", "STATUS"}, rows)
}

func redirectsOf(app AppName, e Edge) RedirectList {
	list := newRedirectList(app)
	for _, d := range e.Redirects {
		list.Redirects = append(list.Redirects, RedirectView{d.from(), d.To.text(d.Rest), d.Code})
	}
	return list
}

func (d Redirection) from() string {
	if d.Rest {
		return d.Host + d.Path + "*"
	}
	return d.Host + d.Path
}

func (l Location) text(rest bool) string {
	text := l.Host + l.Path
	if l.Scheme != "" {
		text = l.Scheme + "://" + text
	}
	if rest && l.Path != "" {
		text += "*"
	}
	return text
}

// AddRedirect answers a domain's or a path's requests with another address.
func (p *Platform) AddRedirect(ctx context.Context, call Call, in RedirectInput) (RedirectList, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return RedirectList{}, err
	}
	code := "301"
	for _, given := range []string{in.Old, in.Code} {
		if given != "" {
			code = given
		}
	}
	d, err := parseRedirect(in.From, in.To, code)
	if err != nil {
		return RedirectList{}, err
	}
	said := fmt.Sprintf("requests for %s are redirected to %s", d.from(), in.To)
	if err := p.changeRules(ctx, call, app, said, EdgeRule{RedirectRule, d.from(), code + " " + in.To}); err != nil {
		return RedirectList{}, err
	}
	return p.Redirects(ctx, call, AppInput{App: in.App})
}

// RemoveRedirect takes one away.
func (p *Platform) RemoveRedirect(ctx context.Context, call Call, in RedirectKey) (RedirectList, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return RedirectList{}, err
	}
	if err := p.changeRules(ctx, call, app, "the redirect of "+in.From+" was removed", EdgeRule{RedirectRule, in.From, ""}); err != nil {
		return RedirectList{}, withHint(err, "see which there are: ssh paas redirects:list %s", app.Name)
	}
	return p.Redirects(ctx, call, AppInput{App: in.App})
}

// Redirects lists an app's.
func (p *Platform) Redirects(ctx context.Context, _ Call, in AppInput) (RedirectList, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return RedirectList{}, err
	}
	_, e, err := p.edge(ctx, app.Name)
	return redirectsOf(app.Name, e), err
}

// PathInput is paths:add.
type PathInput struct {
	App     string `arg:"app" help:"whose domains they are"`
	Prefix  string `arg:"path" help:"like /api, for itself and everything below"`
	To      string `arg:"to" optional:"true" app:"manage" help:"the app that gets the requests"`
	Process string `flag:"process" short:"p" value:"TYPE" help:"instead, a process type of the same app that listens on PORT"`
	Strip   bool   `flag:"strip" help:"it does not see the prefix, but X-Forwarded-Prefix"`
}

// PathKey is paths:remove.
type PathKey struct {
	App    string `arg:"app"`
	Prefix string `arg:"path"`
}

// PathList is where an app's paths lead.
type PathList struct {
	App   AppName    `json:"app"`
	Paths []PathView `json:"paths"`
}

// PathView is one path.
type PathView struct {
	Prefix  string      `json:"path"`
	App     AppName     `json:"app,omitempty"`
	Process ProcessType `json:"process,omitempty"`
	Strip   bool        `json:"strip"`
}

func (v PathView) leadsTo() string {
	if v.App != "" {
		return string(v.App)
	}
	return "process " + string(v.Process)
}

func (v PathView) how() string { return map[bool]string{true: "strip", false: "keep"}[v.Strip] }

func newPathList(app AppName) PathList { return PathList{app, []PathView{}} }

// Text implements the verbs' output.
func (l PathList) Text(w io.Writer) error {
	var rows [][]string
	for _, v := range l.Paths {
		rows = append(rows, []string{v.Prefix, v.leadsTo(), v.how()})
	}
	return table(w, []string{"PATH", "TO", "PREFIX"}, rows)
}

func pathsOf(app AppName, e Edge) PathList {
	list := newPathList(app)
	for _, r := range e.Paths {
		list.Paths = append(list.Paths, PathView(r))
	}
	return list
}

// AddPath leads requests below a path to another app, or to another process type.
func (p *Platform) AddPath(ctx context.Context, call Call, in PathInput) (PathList, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return PathList{}, err
	}
	words, err := p.pathTarget(ctx, app, in)
	if err != nil {
		return PathList{}, err
	}
	rule, err := parsePath(in.Prefix, words)
	if err != nil {
		return PathList{}, err
	}
	said := fmt.Sprintf("requests below %s go to %s", rule.Prefix, PathView(rule).leadsTo())
	if err := p.changeRules(ctx, call, app, said, EdgeRule{PathKind, rule.Prefix, rule.words()}); err != nil {
		return PathList{}, err
	}
	return p.Paths(ctx, call, AppInput{App: in.App})
}

func (p *Platform) pathTarget(ctx context.Context, app App, in PathInput) (words []string, err error) {
	switch {
	case (in.To == "") == (in.Process == ""):
		return nil, Errorf(Usage, "name the app that gets the requests, or with --process a process type of %s", app.Name)
	case in.To == string(app.Name):
		return nil, Errorf(Usage, "%s gets the requests below %s anyhow", app.Name, in.Prefix)
	case in.To != "":
		if _, err := p.find(ctx, in.To); err != nil {
			return nil, err
		}
		words = []string{"app", in.To}
	default:
		if err := p.declares(ctx, app, ProcessType(in.Process)); err != nil {
			return nil, err
		}
		words = []string{"process", in.Process}
	}
	if in.Strip {
		words = append(words, "strip")
	}
	return words, nil
}

func (p *Platform) declares(ctx context.Context, app App, typ ProcessType) error {
	w, released, err := p.wanted(ctx, app.Name)
	if _, declares := w.release.Image.Processes[typ]; err != nil || declares && typ != ReleasePhase || !released && plainPath(string(typ)) {
		return err
	}
	return Errorf(Usage, "%s has no process type %q: %s", app.Name, typ, declared(w.release.Image))
}

// RemovePath takes one away: the app gets those requests itself.
func (p *Platform) RemovePath(ctx context.Context, call Call, in PathKey) (PathList, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return PathList{}, err
	}
	prefix := in.Prefix
	if len(prefix) > 1 {
		prefix = strings.TrimSuffix(prefix, "/")
	}
	if err := p.changeRules(ctx, call, app, "the path "+prefix+" was removed", EdgeRule{PathKind, prefix, ""}); err != nil {
		return PathList{}, withHint(err, "see which there are: ssh paas paths:list %s", app.Name)
	}
	return p.Paths(ctx, call, AppInput{App: in.App})
}

// Paths lists where an app's paths lead.
func (p *Platform) Paths(ctx context.Context, call Call, in AppInput) (PathList, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return PathList{}, err
	}
	_, e, err := p.edge(ctx, app.Name)
	if err != nil {
		return PathList{}, err
	}
	return p.pathsFor(ctx, call, app.Name, e)
}

// pathsFor keeps the names of apps from who may not see them.
func (p *Platform) pathsFor(ctx context.Context, call Call, app AppName, e Edge) (PathList, error) {
	sees, err := p.Sees(ctx, call.Actor)
	list := pathsOf(app, e)
	for i, v := range list.Paths {
		if err == nil && v.App != "" && !sees(v.App) {
			list.Paths[i].App = "another-app"
		}
	}
	return list, err
}
