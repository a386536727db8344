package platform

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// copyWalls copies what an app does with requests, and whom it may reach: redirects, paths, passwords, pages, the list
// of destinations. Rates, networks, headers and timeouts are settings.
func (p *Platform) copyWalls(ctx context.Context, from, to AppName) error {
	rules, err := p.Store.EdgeRules(ctx, from)
	if err != nil {
		return err
	}
	allowed, limited, err := p.Store.EgressList(ctx, from)
	if err != nil {
		return err
	}
	errs := []error{p.Store.ChangeEdgeRules(ctx, to, rules)}
	if limited {
		errs = append(errs, p.Store.SetEgressList(ctx, to, allowed, true), p.setWalls(ctx))
	}
	return errors.Join(errs...)
}

// copyDrains has the clone's log sent where the other one's goes.
func (p *Platform) copyDrains(ctx context.Context, call Call, from, to AppName) error {
	list, err := p.Store.LogDrains(ctx, from)
	if err != nil || p.Drainer == nil {
		return err
	}
	for _, d := range list {
		d.ID, d.App, d.Actor, d.CreatedAt = 0, to, call.Actor.Name, p.Now()
		if d, err = p.Store.AddDrain(ctx, d); err != nil {
			return err
		}
		if err := p.Drainer.Open(d); err != nil {
			return err
		}
	}
	return nil
}

// tellLeftOut says what a clone does not get. What cannot be read is not told: the clone is there.
func (p *Platform) tellLeftOut(ctx context.Context, call Call, from App) {
	left, err := p.leftOut(ctx, from)
	if err != nil {
		p.Log.Error("tell what a clone has not", "app", from.Name, "err", err)
	}
	for _, line := range left {
		_, _ = fmt.Fprintf(call.Err, "       Left with %s: %s\n", from.Name, line)
	}
}

func (p *Platform) leftOut(ctx context.Context, from App) (lines []string, err error) {
	domains, errDomains := p.Store.Domains(ctx, from.Name)
	if len(domains) > 0 {
		lines = append(lines, "domains "+strings.Join(domains, ", "))
	}
	own, errOwn := p.Store.Certificates(ctx, from.Name)
	if len(own) > 0 {
		lines = append(lines, plural(int64(len(own)), "certificate of its own", "certificates of its own"))
	}
	ports, errPorts := p.Store.Mappings(ctx, from.Name)
	for _, m := range ports {
		lines = append(lines, fmt.Sprintf("port %d of the host", m.HostPort))
	}
	spec, errSpec := p.Store.Spec(ctx, from.Name)
	for _, m := range spec.Mounts {
		lines = append(lines, fmt.Sprintf("the volume %s at %s, with its data", m.Storage, m.Path))
	}
	lock, errLock := p.Store.Lock(ctx, from.Name)
	if lock.Locked() {
		lines = append(lines, "its lock")
	}
	return lines, errors.Join(errDomains, errOwn, errPorts, errSpec, errLock)
}
