package platform

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// Walls carries out who may talk to whom.
type Walls interface {
	// SetPolicies replaces all policies in one step: for what runs now and for what starts later. An app
	// without one reaches the internet and no other app. It blocks for some milliseconds.
	SetPolicies(all []Policy) error
	// Barred tells what of the host keeps apps from the internet, as a sentence, and what to type on the server; ""
	// for nothing. It blocks for some milliseconds.
	Barred() (text, fix string)
	Doorbell
}

type noWalls struct{ noBell }

func (noWalls) SetPolicies([]Policy) error { return nil }
func (noWalls) Barred() (text, fix string) { return "", "" }

// Policies reads what is wanted of the walls.
func Policies(ctx context.Context, s Store) ([]Policy, error) {
	apps, err := s.Apps(ctx)
	if err != nil {
		return nil, fmt.Errorf("read policies: %w", err)
	}
	links, err := s.Links(ctx)
	if err != nil {
		return nil, fmt.Errorf("read policies: %w", err)
	}
	var all []Policy
	for _, app := range apps {
		p := Policy{App: app.Name}
		if p.Allow, p.Limited, err = s.EgressList(ctx, app.Name); err != nil {
			return nil, fmt.Errorf("read policy of %s: %w", app.Name, err)
		}
		for _, l := range links {
			if l.App == app.Name {
				p.Links = append(p.Links, l)
			}
		}
		all = append(all, p)
	}
	return all, nil
}

// setWalls makes the walls what the store says. One at a time: the last one to read is the last to write.
func (p *Platform) setWalls(ctx context.Context) error {
	p.wallsMu.Lock()
	defer p.wallsMu.Unlock()
	all, err := Policies(ctx, p.Store)
	if err != nil {
		return err
	}
	return p.Walls.SetPolicies(p.twin.policies(all))
}

// LinkInput is links:add and links:remove.
type LinkInput struct {
	App  string `arg:"app"`
	To   string `arg:"other" app:"manage"`
	Type string `flag:"type" help:"open only this process type of the other app"`
	Port int    `flag:"port" help:"open only this port (80 leads to the port that an instance listens on)"`
}

// LinkList is the links of an app, both ways.
type LinkList []Link

// Text implements the verbs' output.
func (l LinkList) Text(w io.Writer) error {
	var rows [][]string
	for _, link := range l {
		kind, port := "all", "all"
		if link.Type != "" {
			kind = string(link.Type)
		}
		if link.Port != 0 {
			port = strconv.Itoa(link.Port)
		}
		rows = append(rows, []string{string(link.App), string(link.To), kind, port})
	}
	return table(w, []string{"APP", "REACHES", "TYPE", "PORT"}, rows)
}

// AddLink lets an app's instances reach another app's. Saying it twice is no error.
func (p *Platform) AddLink(ctx context.Context, call Call, in LinkInput) (LinkList, error) {
	return p.changeLinks(ctx, call, in, func(r *Release, l Link) error {
		r.Description = "Link to " + l.words()
		r.Spec.Links = append(r.Spec.Links, l)
		return nil
	})
}

// RemoveLink takes that back, and ends the connections over it.
func (p *Platform) RemoveLink(ctx context.Context, call Call, in LinkInput) (LinkList, error) {
	return p.changeLinks(ctx, call, in, func(r *Release, l Link) error {
		n := slices.Index(r.Spec.Links, l)
		if n < 0 {
			return Errorf(NotFound, "there is no such link from %s to %s", l.App, l.To)
		}
		r.Description = "Remove the link to " + l.words()
		r.Spec.Links = slices.Delete(r.Spec.Links, n, n+1)
		return nil
	})
}

// words is whom a link leads to: "payments", "payments web:80".
func (l Link) words() string {
	text := string(l.To)
	if l.Type != "" {
		text += " " + string(l.Type)
	}
	if l.Port != 0 {
		text += ":" + strconv.Itoa(l.Port)
	}
	return text
}

func (p *Platform) changeLinks(ctx context.Context, call Call, in LinkInput, change func(*Release, Link) error) (LinkList, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return nil, err
	}
	to, err := p.find(ctx, in.To)
	if err != nil {
		return nil, err
	}
	if app.Name == to.Name {
		return nil, Errorf(Usage, "the instances of one app reach each other without a link")
	}
	if in.Port < 0 || in.Port > 65535 {
		return nil, Errorf(Usage, "%d is not a port", in.Port)
	}
	link := Link{App: app.Name, To: to.Name, Type: ProcessType(in.Type), Port: in.Port}
	var what string
	made, err := p.amend(ctx, call, app.Name, "", func(r *Release) error {
		err := change(r, link)
		what = r.Description
		return err
	})
	if err != nil {
		return nil, withHint(err, "see what is there: ssh paas links:list %s", app.Name)
	}
	if made.Changed {
		p.say(Event{Kind: EventLinked, App: app.Name, Release: made.Release, Actor: call.Actor.Name, Text: what})
	}
	return p.Links(ctx, call, AppInput{App: in.App})
}

// Links lists whom the app reaches and who reaches it, as far as the caller sees those.
func (p *Platform) Links(ctx context.Context, call Call, in AppInput) (LinkList, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return nil, err
	}
	all, err := p.Store.Links(ctx)
	if err != nil {
		return nil, err
	}
	sees, err := p.Sees(ctx, call.Actor)
	if err != nil {
		return nil, err
	}
	list := LinkList{}
	for _, l := range all {
		if (l.App == app.Name || l.To == app.Name) && sees(l.App) && sees(l.To) {
			list = append(list, l)
		}
	}
	return list, nil
}

// EgressInput is network:egress.
type EgressInput struct {
	App   string   `arg:"app"`
	Words []string `arg:"change" rest:"optional"`
}

// EgressReport is what of the internet an app may reach.
type EgressReport struct {
	App     AppName  `json:"app"`
	Limited bool     `json:"limited"`
	Allow   []Egress `json:"allow"`
}

// Text implements the verbs' output.
func (r EgressReport) Text(w io.Writer) error {
	if !r.Limited {
		_, err := fmt.Fprintf(w, "%s may reach all of the internet\n", r.App)
		return err
	}
	var rows [][]string
	for _, e := range r.Allow {
		rows = append(rows, []string{e.String()})
	}
	if len(rows) == 0 {
		rows = [][]string{{"nothing"}}
	}
	return table(w, []string{fmt.Sprintf("%s MAY REACH", r.App)}, rows)
}

// mostAllowed bounds an app's list: every entry is a rule in the kernel.
const mostAllowed = 200

// Egress shows or changes what of the internet an app may reach. The first "allow" closes all the rest,
// "open" opens it again, "deny" takes destinations off the list.
func (p *Platform) Egress(ctx context.Context, _ Call, in EgressInput) (EgressReport, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return EgressReport{}, err
	}
	report := EgressReport{App: app.Name, Allow: []Egress{}}
	list, limited, err := p.Store.EgressList(ctx, app.Name)
	if err != nil {
		return report, err
	}
	report.Allow, report.Limited = append(report.Allow, list...), limited
	if len(in.Words) == 0 {
		return report, nil
	}
	if err := report.change(in.Words[0], in.Words[1:]); err != nil {
		return report, err
	}
	if err := p.Store.SetEgressList(ctx, app.Name, report.Allow, report.Limited); err != nil {
		return report, err
	}
	return report, p.setWalls(context.WithoutCancel(ctx))
}

func (r *EgressReport) change(word string, destinations []string) error {
	var list []Egress
	for _, d := range destinations {
		e, err := ParseEgress(d)
		if err != nil {
			return err
		}
		list = append(list, e)
	}
	switch {
	case word == "open" && len(list) == 0:
		r.Limited, r.Allow = false, []Egress{}
	case word == "allow":
		r.Limited = true
		for _, e := range list {
			if !slices.Contains(r.Allow, e) {
				r.Allow = append(r.Allow, e)
			}
		}
	case word == "deny" && len(list) > 0:
		for _, e := range list {
			i := slices.Index(r.Allow, e)
			if i < 0 {
				return Errorf(NotFound, "%s is not on the list of %s", e, r.App).WithHint("see the list: ssh paas network:egress %s", r.App)
			}
			r.Allow = slices.Delete(r.Allow, i, i+1)
		}
	default:
		return Errorf(Usage, "say \"allow\" or \"deny\" with destinations, or \"open\"").
			WithHint("for example: ssh paas network:egress %s allow 203.0.113.0/24:443 api.example.com", r.App)
	}
	if len(r.Allow) > mostAllowed {
		return Errorf(Usage, "a list holds at most %d destinations", mostAllowed)
	}
	return nil
}
