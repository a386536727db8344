package platform

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
)

// RouterSetInput is router:set.
type RouterSetInput struct {
	Words  []string `arg:"words" rest:"optional" app:"first" help:"the app unless --global, then a key and a value, or key=value …; no value clears"`
	Global bool     `flag:"global" help:"for all apps that have no own, and for what holds before an app is known"`
	App    string   `flag:"app" short:"a" value:"APP" help:"the app, instead of as the first word"`
}

// RouterReportInput is router:report.
type RouterReportInput struct {
	App string `arg:"app" optional:"true"`
}

// RouterReport is what holds for an app's requests, or for all.
type RouterReport struct {
	App       AppName         `json:"app,omitempty"`
	Settings  []RouterSetting `json:"settings"`
	Redirects RedirectList    `json:"redirects"`
	Paths     PathList        `json:"paths"`
	Users     []string        `json:"users"`
	Pages     []PageView      `json:"pages"`
	Canary    *CanaryReport   `json:"canary,omitempty"`
}

// RouterSetting is one setting in force.
type RouterSetting struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Source string `json:"source"` // "app", "global" or "default"
	Help   string `json:"help"`
}

// Text implements the verbs' output.
func (r RouterReport) Text(w io.Writer) error {
	var rows [][]string
	for _, s := range r.Settings {
		rows = append(rows, []string{s.Key, s.Value, s.Source, s.Help})
	}
	for _, d := range r.Redirects.Redirects {
		rows = append(rows, []string{"redirect", d.From + " -> " + d.To, "app", fmt.Sprintf("with status %d", d.Code)})
	}
	for _, rule := range r.Paths.Paths {
		rows = append(rows, []string{"path", rule.Prefix + " -> " + rule.leadsTo(), "app", rule.how()})
	}
	for _, name := range r.Users {
		rows = append(rows, []string{"user", name, "app", "may ask, with a password"})
	}
	for _, page := range r.Pages {
		rows = append(rows, []string{"page", page.Page, "app", Bytes(page.Bytes)})
	}
	if r.Canary != nil {
		rows = append(rows, []string{"canary", showPercent(r.Canary.Percent), "app", sentenceOf(r.Canary)})
	}
	return table(w, []string{"SETTING", "VALUE", "SOURCE", "WHAT"}, rows)
}

// SetRouter changes what holds for an app's requests, from the next one on.
func (p *Platform) SetRouter(ctx context.Context, call Call, in RouterSetInput) (RouterReport, error) {
	words, name := in.Words, in.App
	if !in.Global && name == "" {
		if len(words) == 0 || strings.Contains(words[0], "=") {
			return RouterReport{}, Errorf(Usage, "name the app first, or all of them with --global").
				WithHint("ssh paas router:set blog compression on")
		}
		name, words = words[0], words[1:]
	}
	changes, err := edgeChanges(words, in.Global)
	if err != nil {
		return RouterReport{}, err
	}
	if in.Global {
		return p.setRouterForAll(ctx, call, changes)
	}
	app, err := p.find(ctx, name)
	if err != nil {
		return RouterReport{}, err
	}
	if err := p.mirrorsAnApp(ctx, call, app, changes); err != nil {
		return RouterReport{}, err
	}
	if err := p.changeRouting(ctx, app.Name, func() error {
		return p.Store.ChangeSettings(ctx, app.Name, call.Actor.Name, changes)
	}); err != nil {
		return RouterReport{}, err
	}
	p.sayRouting(app.Name, call, changes)
	return p.ReportRouter(ctx, call, RouterReportInput{App: name})
}

func (p *Platform) sayRouting(app AppName, call Call, changes []Setting) {
	var words []string
	for _, c := range changes {
		words = append(words, c.Key+"="+cmp.Or(c.Value, clearValue))
	}
	p.say(Event{Kind: EventRouting, App: app, Actor: call.Actor.Name, Text: "requests: " + strings.Join(words, " ")})
}

func (p *Platform) mirrorsAnApp(ctx context.Context, call Call, app App, changes []Setting) error {
	for _, c := range changes {
		if c.Key != "mirror" || c.Value == "" {
			continue
		}
		if err := p.Permit(ctx, call.Actor, c.Value, ManageRole, "mirroring to it"); err != nil {
			return err
		}
		if c.Value == string(app.Name) {
			return Errorf(Usage, "%s cannot get copies of its own requests", app.Name)
		}
	}
	return nil
}

// setRouterForAll is for admins: it changes what every app gets.
func (p *Platform) setRouterForAll(ctx context.Context, call Call, changes []Setting) (RouterReport, error) {
	if !call.Actor.Admin {
		return RouterReport{}, Errorf(Denied, "settings of all apps are for admins, and your key %q is not one", call.Actor.Name)
	}
	if err := p.Store.ChangeGlobalSettings(ctx, changes); err != nil {
		return RouterReport{}, err
	}
	p.sayRouting("", call, changes)
	if err := p.configureRouter(ctx); err != nil {
		return RouterReport{}, err
	}
	apps, err := p.Store.Apps(ctx)
	for _, app := range apps {
		p.reroute(ctx, app)
	}
	if err != nil {
		return RouterReport{}, err
	}
	return p.ReportRouter(ctx, call, RouterReportInput{})
}

// reroute publishes the same instances under changed rules.
func (p *Platform) reroute(ctx context.Context, app App) {
	p.drainLater(p.republish(ctx, app, func(list []Instance) []Instance { return list }))
}

// changeRouting writes what is wanted of an app's requests and has the router do it, also while a deploy runs.
func (p *Platform) changeRouting(ctx context.Context, name AppName, write func() error) error {
	if err := write(); err != nil {
		return err
	}
	app, err := p.Store.App(ctx, name)
	if err != nil {
		return err
	}
	p.reroute(ctx, app)
	return nil
}

// edgeChanges reads "key value", "key" to clear it, or pairs, and checks each before anything is stored.
func edgeChanges(words []string, global bool) (changes []Setting, err error) {
	if len(words) == 0 {
		return nil, Errorf(Usage, "what shall be set is missing").WithHint("see what there is: ssh paas router:report")
	}
	keys, values := []string{words[0]}, map[string]string{}
	if strings.Contains(words[0], "=") {
		keys, values, err = parsePairs(words)
	} else if values[words[0]] = strings.Join(words[1:], ","); len(words) > 2 && words[0] != "allow" && words[0] != "deny" && words[0] != "trusted-proxies" {
		err = Errorf(Usage, "%q is too much", words[2])
	}
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		c, err := edgeChange(key, values[key], global)
		if err != nil {
			return nil, err
		}
		changes = append(changes, c)
	}
	return changes, nil
}

func edgeChange(key, value string, global bool) (Setting, error) {
	k, err := findEdgeKnob(key)
	if err != nil {
		return Setting{}, err
	}
	s := Setting{Topic: RouterTopic, Key: k.key}
	if k.global && !global {
		return s, Errorf(Usage, "%s holds for the host: it is needed before it is known which app a request is for", k.key).
			WithHint("ssh paas router:set --global %s %s", k.key, value)
	}
	if value == clearValue || value == "" {
		return s, nil
	}
	s.Value = value
	if err := k.set(&edgeSettings{}, value); err != nil {
		return s, fmt.Errorf("set %s: %w", k.key, err)
	}
	return s, nil
}

func findEdgeKnob(key string) (edgeKnob, error) {
	var known []string
	for _, k := range edgeKnobs() {
		if k.key == key {
			return k, nil
		}
		known = append(known, k.key)
	}
	e := Errorf(Usage, "%q cannot be set for requests", key)
	for _, name := range known {
		if Near(key, name) {
			return edgeKnob{}, e.WithHint("did you mean %s?", name)
		}
	}
	return edgeKnob{}, e.WithHint("known are %s", strings.Join(known, ", "))
}

// ReportRouter shows what holds for an app's requests, and where that comes from.
func (p *Platform) ReportRouter(ctx context.Context, call Call, in RouterReportInput) (RouterReport, error) {
	r := RouterReport{Redirects: newRedirectList(""), Paths: newPathList(""), Users: []string{}, Pages: []PageView{}}
	if in.App != "" {
		app, err := p.find(ctx, in.App)
		if err != nil {
			return r, err
		}
		r.App = app.Name
	}
	s, sources, err := p.edgeSettings(ctx, r.App)
	if err != nil {
		return r, err
	}
	for _, k := range edgeKnobs() {
		if k.global && r.App != "" {
			continue
		}
		r.Settings = append(r.Settings, RouterSetting{k.key, k.show(s), cmp.Or(sources[k.key], "default"), k.help})
	}
	slices.SortStableFunc(r.Settings, func(a, b RouterSetting) int { return cmp.Compare(a.Key, b.Key) })
	if r.App == "" {
		return r, nil
	}
	return r, p.addRules(ctx, call, &r)
}

func (p *Platform) addRules(ctx context.Context, call Call, r *RouterReport) error {
	app, err := p.Store.App(ctx, r.App)
	if err != nil {
		return err
	}
	_, e, err := p.edge(ctx, r.App)
	if err != nil {
		return err
	}
	r.Redirects = redirectsOf(r.App, e)
	if r.Paths, err = p.pathsFor(ctx, call, r.App, e); err != nil {
		return err
	}
	for _, u := range e.Users {
		r.Users = append(r.Users, u.Name)
	}
	r.Pages = pagesOf(r.App, e).Pages
	if e.Canary.Percent > 0 && e.Canary.Release != app.Release {
		r.Canary = &CanaryReport{r.App, app.Release, e.Canary.Release, e.Canary.Percent}
	}
	return nil
}
