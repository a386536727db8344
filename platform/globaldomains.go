package platform

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Hostnames is the part of the Store that keeps what apps and the platform answer to.
type Hostnames interface {
	AddDomain(ctx context.Context, name AppName, host string) error
	RemoveDomain(ctx context.Context, name AppName, host string) error
	// SetDomains replaces all of an app's; one that another app has is a Conflict.
	SetDomains(ctx context.Context, name AppName, hosts []string) error
	Domains(ctx context.Context, name AppName) ([]string, error)
	// GlobalDomains are those below which every app has a name, beside the configured one, in their order.
	GlobalDomains(ctx context.Context) ([]string, error)
	SetGlobalDomains(ctx context.Context, hosts []string) error
}

// GlobalDomainInput is domains:add-global, set-global and remove-global.
type GlobalDomainInput struct {
	Host []string `arg:"domain" rest:"required"`
}

// platformDomains are those below which every app has a name; the configured one first.
func (p *Platform) platformDomains(ctx context.Context) ([]string, error) {
	list, err := p.Store.GlobalDomains(ctx)
	return append([]string{strings.ToLower(p.Settings.Domain)}, list...), err
}

// AddGlobalDomain gives every app a name below more domains.
func (p *Platform) AddGlobalDomain(ctx context.Context, call Call, in GlobalDomainInput) (DomainReport, error) {
	return p.changeGlobalDomains(ctx, call, in.Host, func(have, words []string) []string {
		for _, w := range words {
			if !slices.Contains(have, w) {
				have = append(have, w)
			}
		}
		return have
	})
}

// SetGlobalDomains replaces the domains below which every app has a name, but for the configured one.
func (p *Platform) SetGlobalDomains(ctx context.Context, call Call, in GlobalDomainInput) (DomainReport, error) {
	return p.changeGlobalDomains(ctx, call, in.Host, func(_, words []string) []string { return words })
}

// RemoveGlobalDomain takes such domains away.
func (p *Platform) RemoveGlobalDomain(ctx context.Context, call Call, in GlobalDomainInput) (DomainReport, error) {
	return p.changeGlobalDomains(ctx, call, in.Host, func(have, words []string) []string {
		return slices.DeleteFunc(have, func(d string) bool { return slices.Contains(words, d) })
	})
}

// ClearGlobalDomains takes all of them away but the configured one.
func (p *Platform) ClearGlobalDomains(ctx context.Context, call Call, _ struct{}) (DomainReport, error) {
	return p.changeGlobalDomains(ctx, call, nil, func(_, _ []string) []string { return nil })
}

func (p *Platform) changeGlobalDomains(ctx context.Context, call Call, words []string, change func(have, words []string) []string) (DomainReport, error) {
	words, err := p.parseHosts(words)
	if err != nil {
		return DomainReport{}, err
	}
	have, err := p.Store.GlobalDomains(ctx)
	if err != nil {
		return DomainReport{}, err
	}
	configured := strings.ToLower(p.Settings.Domain)
	want := change(slices.Clone(have), words)
	want = slices.DeleteFunc(want, func(d string) bool { return d == configured })
	if err := p.checkGlobal(ctx, want); err != nil {
		return DomainReport{}, err
	}
	if err := p.Store.SetGlobalDomains(ctx, want); err != nil {
		return DomainReport{}, err
	}
	p.say(Event{Kind: EventDomains, Actor: call.Actor.Name, Text: fmt.Sprintf("apps have names below %s", strings.Join(append([]string{configured}, want...), ", "))})
	if err := p.rewishAll(ctx); err != nil {
		return DomainReport{}, err
	}
	return p.Domains(ctx, call, DomainReportInput{Global: true})
}

// checkGlobal makes sure that no app's own domain becomes another app's default one.
func (p *Platform) checkGlobal(ctx context.Context, domains []string) error {
	apps, err := p.Store.Apps(ctx)
	if err != nil {
		return err
	}
	for _, d := range domains {
		if strings.HasPrefix(d, "*.") {
			return Errorf(Usage, "write %s: every app gets a name below it", strings.TrimPrefix(d, "*."))
		}
	}
	for _, app := range apps {
		own, err := p.Store.Domains(ctx, app.Name)
		if err != nil {
			return err
		}
		for _, host := range own {
			first, rest, _ := strings.Cut(host, ".")
			if slices.Contains(domains, rest) && slices.ContainsFunc(apps, func(a App) bool { return string(a.Name) == first }) {
				return Errorf(Conflict, "%s is a domain of %s", host, app.Name).WithHint("ssh paas domains:remove %s %s", app.Name, host)
			}
		}
	}
	return nil
}
