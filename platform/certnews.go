package platform

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// wish tells the room what an app shall be served with.
func (p *Platform) wish(ctx context.Context, app App) error {
	if p.Certificates == nil {
		return nil
	}
	r, _, err := p.certRules(ctx, app.Name)
	if err != nil {
		return err
	}
	if r.wish.Hosts, err = p.hosts(ctx, app.Name); err != nil {
		return err
	}
	own, err := p.Store.Certificates(ctx, app.Name)
	if err != nil {
		return err
	}
	for _, c := range own {
		r.wish.Own = append(r.wish.Own, c.KeyPair)
	}
	p.Certificates.Want(app.Name, r.wish)
	return nil
}

// rewish is wish after a change that its route must know as well.
func (p *Platform) rewish(ctx context.Context, app App) error {
	if err := p.wish(ctx, app); err != nil {
		return fmt.Errorf("certificates of %s: %w", app.Name, err)
	}
	p.spawn(p.republish(ctx, app, func(list []Instance) []Instance { return list }))
	return nil
}

func (p *Platform) rewishAll(ctx context.Context) error {
	apps, err := p.Store.Apps(ctx)
	if err != nil {
		return err
	}
	for _, app := range apps {
		if err := p.rewish(ctx, app); err != nil {
			return err
		}
	}
	return p.wishOwn(ctx)
}

// wishOwn is for what the platform itself answers at, and for every name below its domains: a wildcard's
// certificate serves all apps there, where one can be had.
func (p *Platform) wishOwn(ctx context.Context) error {
	if p.Certificates == nil {
		return nil
	}
	r, _, err := p.certRules(ctx, "")
	if err != nil {
		return err
	}
	r.wish.Lazy = false
	r.wish.Hosts = []string{p.RegistryHost(), PanelHost(p.Settings.Domain)}
	domains, err := p.platformDomains(ctx)
	for _, d := range domains {
		r.wish.Hosts = append(r.wish.Hosts, "*."+d)
	}
	p.Certificates.Want("", r.wish)
	return err
}

// openCertificates tells the room everything, before apps are routed.
func (p *Platform) openCertificates(ctx context.Context, apps []App) error {
	if p.Certificates == nil {
		return nil
	}
	r, _, err := p.certRules(ctx, "")
	if err == nil {
		err = p.Certificates.Configure(r.authority)
	}
	if err == nil {
		err = p.wishOwn(ctx)
	}
	if err != nil {
		return fmt.Errorf("open certificates: %w", err)
	}
	for _, app := range apps {
		if err := p.wish(ctx, app); err != nil {
			return fmt.Errorf("certificates of %s: %w", app.Name, err)
		}
	}
	p.spawn(p.followCertificates)
	p.spawn(p.watchExpiry)
	return nil
}

// followCertificates says what became of obtaining certificates.
func (p *Platform) followCertificates(ctx context.Context) {
	for {
		select {
		case n := <-p.Certificates.News():
			p.sayCertificate(n)
		case <-ctx.Done():
			return
		}
	}
}

func (p *Platform) sayCertificate(n CertificateNews) {
	what := "obtained"
	if n.Renewal {
		what = "renewed"
	}
	if n.Err == nil {
		p.say(Event{Kind: EventCertified, App: n.App, Text: fmt.Sprintf("the certificate of %s was %s", n.Host, what)})
		return
	}
	p.say(Event{Kind: EventCertFailed, App: n.App, Text: fmt.Sprintf("the certificate of %s was not %s: %v; next try %s",
		n.Host, what, n.Err, n.Next.UTC().Format(time.RFC3339))})
}

// expiryEvery is how often certificates that owners brought are looked at.
const expiryEvery = 24 * time.Hour

// watchExpiry says every day which of them expire soon: nobody but their owner renews them.
func (p *Platform) watchExpiry(ctx context.Context) {
	tick := time.NewTicker(expiryEvery)
	defer tick.Stop()
	for {
		p.sayExpiring(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (p *Platform) sayExpiring(ctx context.Context) {
	apps, err := p.Store.Apps(ctx)
	if err != nil {
		return // the next look, tomorrow, says it
	}
	for _, app := range apps {
		hosts, err := p.hosts(ctx, app.Name)
		if err != nil {
			continue
		}
		for _, s := range p.Certificates.Status(hosts) {
			if s.Source == "own" && s.Expires != nil && s.Expires.Sub(p.Now()) < expiresSoon {
				p.say(Event{Kind: EventCertExpires, App: app.Name, Text: fmt.Sprintf("the certificate of %s, which its owner brought, is %s: %s",
					s.Host, s.State, s.Expires.Format(time.RFC3339))})
			}
		}
	}
}

// https is how the app's plain requests are met.
func (p *Platform) https(ctx context.Context, name AppName) HTTPS {
	if p.Certificates == nil || p.Settings.HTTPSPort == 0 {
		return HTTPS{Redirect: RedirectNever}
	}
	r, _, err := p.certRules(ctx, name)
	if err != nil {
		p.Log.Error("route without settings of HTTPS", "app", name, "err", err)
		r = usualCertRules()
	}
	r.https.Port = p.Settings.HTTPSPort
	return r.https
}

// certFinding tells the doctor about certificates that are missing or are going to be.
func (p *Platform) certFinding(ctx context.Context) Finding {
	f := Finding{Check: "certificates", Grade: Fine}
	r, err := p.ReportCertificates(ctx, Call{}, CertReportInput{})
	if err != nil {
		f.Grade, f.Text = Warning, sentence(err)
		return f
	}
	var bad []string
	for _, d := range r.Domains {
		late := d.Expires != nil && (d.Source == "own" && d.Expires.Sub(p.Now()) < expiresSoon || p.Now().After(*d.Expires))
		if d.State == "failing" || late {
			bad = append(bad, d.Host)
		}
	}
	f.Text = fmt.Sprintf("None of %d hostnames lacks its certificate.", len(r.Domains))
	if len(bad) > 0 {
		f.Grade, f.Fix = Warning, "ssh paas certs:report"
		f.Text = fmt.Sprintf("%d hostnames lack a certificate, or are about to: %s.", len(bad), strings.Join(bad[:min(len(bad), 5)], ", "))
	}
	return f
}
