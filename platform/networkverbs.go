package platform

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Networks that people make and attach apps to, as Dokku has them, are not there: every app has its own, and links
// open ways between them. These verbs say so in Dokku's words.

// ListNetworks lists the links of every app that the caller may know of.
func (p *Platform) ListNetworks(ctx context.Context, call Call, _ struct{}) (LinkList, error) {
	sees, err := p.Sees(ctx, call.Actor)
	if err != nil {
		return nil, err
	}
	all, err := p.Store.Links(ctx)
	list := LinkList{}
	for _, l := range all {
		if sees(l.App) && sees(l.To) {
			list = append(list, l)
		}
	}
	return list, err
}

// NetworkReport is how an app is connected.
type NetworkReport struct {
	App     AppName  `json:"app"`
	Names   []string `json:"names"`   // that lead to it inside
	Reaches []Link   `json:"reaches"` // other apps
	Reached []Link   `json:"reached_by"`
	Limited bool     `json:"internet_limited"`
	Allow   []Egress `json:"internet_allowed"`
	Ports   []string `json:"ports"` // of the host that lead to it
}

// Text implements the verbs' output.
func (r NetworkReport) Text(w io.Writer) error {
	internet := "all"
	if r.Limited {
		var allowed []string
		for _, e := range r.Allow {
			allowed = append(allowed, e.String())
		}
		internet = "only " + strings.Join(allowed, " ")
	}
	var reaches, reached []string
	for _, l := range r.Reaches {
		reaches = append(reaches, l.words())
	}
	for _, l := range r.Reached {
		l.To = l.App
		reached = append(reached, l.words())
	}
	return table(w, nil, [][]string{
		{"app", string(r.App)}, {"names inside", strings.Join(r.Names, " ")}, {"reaches", strings.Join(reaches, ", ")},
		{"reached by", strings.Join(reached, ", ")}, {"internet", internet}, {"ports of the host", strings.Join(r.Ports, " ")},
	})
}

// ReportNetwork shows how an app is connected.
func (p *Platform) ReportNetwork(ctx context.Context, call Call, in AppInput) (NetworkReport, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return NetworkReport{}, err
	}
	r := NetworkReport{App: app.Name, Names: []string{string(app.Name) + ".internal"}, Reaches: []Link{}, Reached: []Link{}, Allow: []Egress{}, Ports: []string{}}
	formation, err := p.Store.Formation(ctx, app.Name)
	if err != nil {
		return r, err
	}
	for typ := range formation {
		r.Names = append(r.Names, fmt.Sprintf("%s.%s.internal", typ, app.Name))
	}
	slices.Sort(r.Names[1:])
	all, err := p.ListNetworks(ctx, call, struct{}{})
	if err != nil {
		return r, err
	}
	for _, l := range all {
		if l.App == app.Name {
			r.Reaches = append(r.Reaches, l)
		}
		if l.To == app.Name {
			r.Reached = append(r.Reached, l)
		}
	}
	allow, limited, err := p.Store.EgressList(ctx, app.Name)
	if err != nil {
		return r, err
	}
	r.Allow, r.Limited = append(r.Allow, allow...), limited
	mappings, err := p.Store.Mappings(ctx, app.Name)
	for _, m := range mappings {
		r.Ports = append(r.Ports, m.String())
	}
	return r, err
}
