package platform

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// DomainInput is domains:add, remove and set.
type DomainInput struct {
	App  string   `arg:"app"`
	Host []string `arg:"domain" rest:"required"`
}

// DomainReport is the app's hostnames.
type DomainReport struct {
	App     AppName  `json:"app,omitempty"`
	Domains []string `json:"domains"` // the default ones first
	Global  []string `json:"global"`  // below which every app has a name
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

// parseHost accepts a fully qualified DNS name (RFC 1123), in any case and any script, also one that stands for
// all below a domain: "*.example.com".
func (p *Platform) parseHost(s string) (string, error) {
	host := strings.TrimSuffix(strings.ToLower(s), ".")
	wrong := Errorf(Usage, "%q is not a domain: write a full name like www.example.com or *.example.com, without http:// and port", s)
	if p.Certificates != nil && strings.ContainsFunc(host, func(c rune) bool { return c > '~' }) {
		ascii, err := p.Certificates.ASCII(s)
		if err != nil {
			return "", wrong.Because(err)
		}
		host = ascii
	}
	if _, err := plainHost(strings.TrimPrefix(host, "*.")); err != nil {
		return "", wrong
	}
	return host, nil
}

// plainHost accepts a fully qualified DNS name (RFC 1123), in lower case or not.
func plainHost(s string) (string, error) {
	host := strings.TrimSuffix(strings.ToLower(s), ".")
	if len(host) > 253 || !hostname.MatchString(host) {
		return "", Errorf(Usage, "%q is not a domain: write a full name like www.example.com, without http:// and port", s)
	}
	return host, nil
}

func (p *Platform) parseHosts(words []string) (hosts []string, err error) {
	for _, s := range words {
		host, err := p.parseHost(s)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return hosts, nil
}

// AddDomain lets the app answer to more hostnames.
func (p *Platform) AddDomain(ctx context.Context, call Call, in DomainInput) (DomainReport, error) {
	return p.changeDomains(ctx, in, func(app App, host string) error {
		has, err := p.hosts(ctx, app.Name)
		if err != nil {
			return err
		}
		if slices.Contains(has, host) {
			_, _ = fmt.Fprintf(call.Err, "No change: %s has %s already.\n", app.Name, host)
			return nil
		}
		if err := p.mayOwn(ctx, host); err != nil {
			return err
		}
		err = p.Store.AddDomain(ctx, app.Name, host)
		if KindOf(err) == Conflict && p.owns(ctx, app.Name, host) {
			return nil // said twice
		}
		return err
	})
}

// mayOwn is of kind Conflict for a hostname that is the platform's to give.
func (p *Platform) mayOwn(ctx context.Context, host string) error {
	if taken, err := p.isDefaultHost(ctx, host); err != nil || taken {
		return errorOr(err, Errorf(Conflict, "the domain %s is taken", host))
	}
	return p.free(host)
}

// RemoveDomain takes hostnames away.
func (p *Platform) RemoveDomain(ctx context.Context, _ Call, in DomainInput) (DomainReport, error) {
	return p.changeDomains(ctx, in, func(app App, host string) error {
		return p.Store.RemoveDomain(ctx, app.Name, host)
	})
}

// SetDomains replaces the app's own hostnames.
func (p *Platform) SetDomains(ctx context.Context, _ Call, in DomainInput) (DomainReport, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return DomainReport{}, err
	}
	hosts, err := p.parseHosts(in.Host)
	if err != nil {
		return DomainReport{}, err
	}
	for _, host := range hosts {
		if err := p.mayOwn(ctx, host); err != nil {
			return DomainReport{}, err
		}
	}
	if err := p.Store.SetDomains(ctx, app.Name, hosts); err != nil {
		return DomainReport{}, err
	}
	return p.domainsChanged(ctx, app)
}

// ClearDomains takes all of the app's own hostnames away; its default ones stay.
func (p *Platform) ClearDomains(ctx context.Context, _ Call, in AppInput) (DomainReport, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return DomainReport{}, err
	}
	if err := p.Store.SetDomains(ctx, app.Name, nil); err != nil {
		return DomainReport{}, err
	}
	return p.domainsChanged(ctx, app)
}

// DomainReportInput is domains:report.
type DomainReportInput struct {
	App    string `arg:"app" optional:"true"`
	Global bool   `flag:"global" help:"the domains below which every app has a name"`
}

// Domains shows an app's hostnames, or the platform's domains.
func (p *Platform) Domains(ctx context.Context, _ Call, in DomainReportInput) (DomainReport, error) {
	global, err := p.platformDomains(ctx)
	if err != nil {
		return DomainReport{}, err
	}
	if in.Global || in.App == "" {
		return DomainReport{Domains: global, Global: global}, nil
	}
	app, err := p.find(ctx, in.App)
	if err != nil {
		return DomainReport{}, err
	}
	hosts, err := p.hosts(ctx, app.Name)
	return DomainReport{App: app.Name, Domains: hosts, Global: global}, err
}

func (p *Platform) changeDomains(ctx context.Context, in DomainInput, change func(App, string) error) (DomainReport, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return DomainReport{}, err
	}
	hosts, err := p.parseHosts(in.Host)
	if err != nil {
		return DomainReport{}, err
	}
	for _, host := range hosts {
		if err := change(app, host); err != nil {
			return DomainReport{}, err
		}
	}
	return p.domainsChanged(ctx, app)
}

func (p *Platform) domainsChanged(ctx context.Context, app App) (DomainReport, error) {
	if err := p.rewish(ctx, app); err != nil {
		return DomainReport{}, err
	}
	return p.Domains(ctx, Call{}, DomainReportInput{App: string(app.Name)})
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
	domains, err := p.platformDomains(ctx)
	if err != nil || !slices.Contains(domains, rest) {
		return false, err
	}
	_, err = p.Store.App(ctx, AppName(first))
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
