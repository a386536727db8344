package platform

import (
	"context"
	"io"
	"regexp"
	"slices"
	"strings"
)

// DomainInput is domains:add and domains:remove.
type DomainInput struct {
	App  string   `arg:"app"`
	Host []string `arg:"domain" rest:"required"`
}

// DomainReport is the app's hostnames.
type DomainReport struct {
	App     AppName  `json:"app"`
	Domains []string `json:"domains"` // the default one first
}

// Text implements the verbs' output.
func (r DomainReport) Text(w io.Writer) error {
	var rows [][]string
	for _, d := range r.Domains {
		rows = append(rows, []string{d})
	}
	return table(w, nil, rows)
}

var hostname = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// parseHost accepts a fully qualified DNS name (RFC 1123), in lower case or not.
func parseHost(s string) (string, error) {
	host := strings.TrimSuffix(strings.ToLower(s), ".")
	if len(host) > 253 || !hostname.MatchString(host) {
		return "", Errorf(Usage, "%q is not a domain: write a full name like www.example.com, without http:// and port", s)
	}
	return host, nil
}

// AddDomain lets the app answer to more hostnames.
func (p *Platform) AddDomain(ctx context.Context, _ Call, in DomainInput) (DomainReport, error) {
	return p.changeDomains(ctx, in, func(app App, host string) error {
		if taken, err := p.isDefaultHost(ctx, host); err != nil || taken {
			return errorOr(err, Errorf(Conflict, "the domain %s is an app's default one", host))
		}
		if err := p.free(host); err != nil {
			return err
		}
		err := p.Store.AddDomain(ctx, app.Name, host)
		if KindOf(err) == Conflict && p.owns(ctx, app.Name, host) {
			return nil // said twice
		}
		return err
	})
}

// RemoveDomain takes hostnames away.
func (p *Platform) RemoveDomain(ctx context.Context, _ Call, in DomainInput) (DomainReport, error) {
	return p.changeDomains(ctx, in, func(app App, host string) error {
		return p.Store.RemoveDomain(ctx, app.Name, host)
	})
}

// Domains shows the app's hostnames.
func (p *Platform) Domains(ctx context.Context, _ Call, in AppInput) (DomainReport, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return DomainReport{}, err
	}
	hosts, err := p.hosts(ctx, app.Name)
	return DomainReport{App: app.Name, Domains: hosts}, err
}

func (p *Platform) changeDomains(ctx context.Context, in DomainInput, change func(App, string) error) (DomainReport, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return DomainReport{}, err
	}
	var hosts []string
	for _, s := range in.Host {
		host, err := parseHost(s)
		if err != nil {
			return DomainReport{}, err
		}
		hosts = append(hosts, host)
	}
	for _, host := range hosts {
		if err := change(app, host); err != nil {
			return DomainReport{}, err
		}
	}
	drained := p.republish(ctx, app, func(list []Instance) []Instance { return list })
	p.spawn(drained)
	return p.Domains(ctx, Call{}, AppInput{App: in.App})
}

func errorOr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// isDefaultHost tells whether the host is <app>.<platform domain> of some app.
func (p *Platform) isDefaultHost(ctx context.Context, host string) (bool, error) {
	first, rest, _ := strings.Cut(host, ".")
	if rest != strings.ToLower(p.Settings.Domain) {
		return false, nil
	}
	_, err := p.Store.App(ctx, AppName(first))
	if KindOf(err) == NotFound {
		return false, nil
	}
	return err == nil, err
}

func (p *Platform) owns(ctx context.Context, name AppName, host string) bool {
	own, err := p.Store.Domains(ctx, name)
	if err != nil {
		return false
	}
	return slices.Contains(own, host)
}
