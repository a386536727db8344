package platform

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// WhyInput is why.
type WhyInput struct {
	App string `arg:"app" optional:"true" help:"without it: the platform, and which apps are not well"`
}

// Why explains how an app is, or without one how the platform is. Of Apps and Host nothing is there when an app
// was named, of App nothing when none was.
type Why struct {
	*AppWhy
	Apps []AppNote `json:"apps,omitempty"` // that are not well
	Host []Finding `json:"host,omitempty"` // what is wrong with it

	platform bool
	now      time.Time
}

// AppWhy explains how an app is.
type AppWhy struct {
	App      AppName   `json:"app"`
	State    AppState  `json:"state"`
	Well     bool      `json:"well"`
	Summary  string    `json:"summary"` // the state in one sentence
	URL      string    `json:"url"`
	Release  int       `json:"release,omitempty"` // that serves, or would
	Serving  int       `json:"serving"`           // processes that are up
	Wanted   int       `json:"wanted"`            // by the formation
	Troubles []Trouble `json:"troubles"`          // the worst first

	Changes      *Difference         `json:"changes,omitempty"`      // since it was well last
	Certificates []CertificateStatus `json:"certificates,omitempty"` // that lack something
	Requests     RequestsNow         `json:"requests"`
	Sockets      []Socket            `json:"sockets,omitempty"` // where its processes listen
	Notes        []string            `json:"notes,omitempty"`
}

// RequestsNow is how the router sees an app.
type RequestsNow struct {
	Answered uint64   `json:"answered"` // since the daemon started
	Failed   uint64   `json:"failed"`   // of these, with 5xx
	InFlight int      `json:"in_flight"`
	Waiting  int      `json:"waiting"`           // for an instance
	Resting  []string `json:"resting,omitempty"` // instances that get none for a moment, since they did not answer
}

// Socket is where a process accepts connections.
type Socket struct {
	Process string `json:"process"`
	Address string `json:"address"`
}

// AppNote is an app that is not well, in one line.
type AppNote struct {
	App     AppName  `json:"app"`
	State   AppState `json:"state"`
	Summary string   `json:"summary"`
}

// Why explains the present state of an app: what is wrong, the evidence, and what to type.
func (p *Platform) Why(ctx context.Context, call Call, in WhyInput) (Why, error) {
	if in.App == "" {
		return p.whyPlatform(ctx, call)
	}
	app, err := p.find(ctx, in.App)
	if err != nil {
		return Why{}, err
	}
	about, err := p.whyApp(ctx, app)
	return Why{AppWhy: about, now: p.Now()}, err
}

// whyPlatform is for everybody, but what is wrong with the host is for admins.
func (p *Platform) whyPlatform(ctx context.Context, call Call) (Why, error) {
	w := Why{platform: true, now: p.Now(), Apps: []AppNote{}}
	apps, err := p.List(ctx, call, struct{}{}) // as far as the actor may see them
	if err != nil {
		return w, err
	}
	for _, v := range apps {
		app, err := p.Store.App(ctx, v.Name)
		if KindOf(err) == NotFound {
			continue // destroyed meanwhile
		}
		if err != nil {
			return w, err
		}
		about, err := p.whyApp(ctx, app)
		if err != nil {
			return w, err
		}
		if !about.Well {
			w.Apps = append(w.Apps, AppNote{App: app.Name, State: about.State, Summary: about.Summary})
		}
	}
	if call.Actor.Admin {
		w.Host = slices.DeleteFunc(p.Diagnose(ctx).Findings, func(f Finding) bool { return f.Grade == Fine })
	}
	return w, nil
}

// whyApp looks at everything that is known of an app.
func (p *Platform) whyApp(ctx context.Context, app App) (*AppWhy, error) {
	look, err := p.lookAt(ctx, app)
	if err != nil {
		return nil, err
	}
	a := &AppWhy{App: app.Name, URL: p.URL(app.Name), Release: app.Release, Serving: len(look.up), Wanted: len(look.want.slots()), Troubles: []Trouble{}}
	a.State, a.Summary = look.state(p)
	a.Troubles = append(a.Troubles, look.troubles...)
	a.Requests = p.requestsNow(look)
	a.Sockets = p.sockets(look)
	hostSide, notes, err := p.around(ctx, look)
	if err != nil {
		return nil, err
	}
	arranged, more, err := p.held(ctx, look)
	if err != nil {
		return nil, err
	}
	a.Troubles, a.Notes = slices.Concat(a.Troubles, hostSide, arranged), slices.Concat(p.atWork(look), notes, more)
	a.Certificates = p.lackingCertificates(look)
	a.Troubles = append(a.Troubles, certificateTroubles(app.Name, a.Certificates)...)
	a.Well = a.State.well() && !slices.ContainsFunc(a.Troubles, func(t Trouble) bool { return !t.Over })
	if len(a.Troubles) > 0 {
		a.Changes, err = p.changesSince(ctx, look)
	}
	return a, err
}

// requestsNow is the router's view.
func (p *Platform) requestsNow(look look) RequestsNow {
	stats := p.Router.Stats(look.app.Name)
	r := RequestsNow{Answered: stats.Requests, Failed: stats.Status[5], InFlight: stats.InFlight, Waiting: stats.Waiting}
	for _, i := range look.have {
		if slices.Contains(stats.Resting, i.ID) {
			r.Resting = append(r.Resting, i.Name())
		}
	}
	return r
}

// mostSockets bounds what is shown of them.
const mostSockets = 20

func (p *Platform) sockets(look look) (list []Socket) {
	for _, i := range look.have {
		if i.Exit != nil || len(list) >= mostSockets {
			continue
		}
		addrs, err := p.Runner.Listening(i.ID)
		if err != nil {
			continue // it ended just now
		}
		for _, a := range addrs[:min(len(addrs), mostSockets-len(list))] {
			list = append(list, Socket{Process: i.Name(), Address: a.String()})
		}
	}
	return list
}

// lackingCertificates are those of the app's hostnames that are not served as they should be.
func (p *Platform) lackingCertificates(look look) (list []CertificateStatus) {
	if p.Certificates == nil || p.Settings.HTTPSPort == 0 {
		return nil
	}
	for _, s := range p.Certificates.Status(look.hosts) {
		if s.State == "failing" || s.State == "expired" || s.Error != "" {
			list = append(list, s)
		}
	}
	return list
}

func certificateTroubles(app AppName, lacking []CertificateStatus) (list []Trouble) {
	for _, s := range lacking {
		t := Trouble{Code: TroubleCertificate, Next: s.Next, Times: s.Failures, Text: fmt.Sprintf("the certificate of %s is %s", s.Host, s.State)}
		if s.Error != "" {
			t.Text += ": " + s.Error
		}
		t.Fix = fmt.Sprintf("try at once: ssh paas certs:renew %s %s", app, s.Host)
		if s.State == "waiting" { // for DNS, or for an admin: docs/tls.md
			t.Fix = fmt.Sprintf("see what it waits for: ssh paas certs:report %s", app)
			t.Over = true
		}
		list = append(list, t)
	}
	return list
}
