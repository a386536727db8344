package platform

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Boot takes over from a predecessor, however it ended: releases it left pending have failed, instances
// that run are routed at once, and every app converges in the background, after those it is linked to.
func (p *Platform) Boot(ctx context.Context) error {
	apps, err := p.Store.Apps(ctx)
	if err != nil {
		return fmt.Errorf("boot: %w", err)
	}
	have, err := p.Runner.Instances(ctx)
	if err != nil {
		return fmt.Errorf("boot: %w", err)
	}
	if err := p.openCertificates(ctx, apps); err != nil {
		return fmt.Errorf("boot: %w", err)
	}
	var errs []error
	cut, err := p.Store.CutCommands(ctx)
	if err != nil {
		errs = append(errs, fmt.Errorf("end commands of before: %w", err))
	}
	if _, err := p.Store.InterruptBuilds(ctx, "the server ended while it ran"); err != nil {
		errs = append(errs, fmt.Errorf("end builds of before: %w", err))
	}
	errs = append(errs, p.configureRouter(ctx), p.finishMoves(ctx, apps))
	sleeps, err := p.Store.Sleeps(ctx)
	errs = append(errs, err)
	all := have
	have = p.findShelves(ctx, apps, have)
	for _, app := range apps {
		errs = append(errs, p.failPending(ctx, app), p.readIdle(ctx, app.Name))
		p.rememberSleep(app, sleeps, have)
		p.adopt(ctx, app, have)
	}
	errs = append(errs, p.bootLogs(ctx, apps))
	errs = append(errs, p.takeOverOneOffs(ctx), p.readMarks(ctx))
	p.spawn(p.watchOneOffs)
	p.spawn(p.keepTime)
	p.spawn(p.watch)
	p.spawn(p.watchMemory)
	p.spawn(p.answerDoor)
	p.spawn(p.doze)
	p.spawn(p.tendShelves)
	p.spawn(p.keepTrash)
	errs = append(errs, p.dropHalfClones(ctx, cut), p.comeUp(ctx, apps))
	p.spawn(p.finishSpreads)
	p.stopStrangers(apps, all)
	return errors.Join(errs...)
}

// failPending marks what a crash interrupted.
func (p *Platform) failPending(ctx context.Context, app App) error {
	releases, err := p.Store.Releases(ctx, app.Name)
	if err != nil {
		return err
	}
	canary, err := p.Store.Canary(ctx, app.Name)
	if err != nil {
		return err
	}
	failed := false
	for _, r := range releases {
		if r.Status != Pending || r.Number == canary.Release {
			continue
		}
		failed = true
		if err := p.Store.FailRelease(ctx, app.Name, r.Number); err != nil {
			return fmt.Errorf("fail %s v%d: %w", app.Name, r.Number, err)
		}
	}
	if failed {
		return p.setWalls(ctx) // its links held already
	}
	return nil
}

// configureRouter tells the router what holds for every client.
func (p *Platform) configureRouter(ctx context.Context) error {
	s, _, err := p.edgeSettings(ctx, "")
	if err != nil {
		return fmt.Errorf("boot: %w", err)
	}
	p.Router.Configure(s.Intake)
	return nil
}

// linkedWait is how long an app waits at most for one that it is linked to. That one may be broken.
const linkedWait = 30 * time.Second

// comeUp has each app made what is wanted, in the background: first those that others are linked to, and each of
// those only when what it reaches itself was started and is healthy, or is not going to be.
func (p *Platform) comeUp(ctx context.Context, apps []App) error {
	links, err := p.Store.Links(ctx)
	up := map[AppName]chan struct{}{}
	for _, name := range dependencyOrder(apps, links) {
		var needs []chan struct{}
		for _, l := range links {
			if before := up[l.To]; l.App == name && before != nil {
				needs = append(needs, before)
			}
		}
		done := make(chan struct{})
		up[name] = done
		p.spawn(func(ctx context.Context) {
			defer close(done)
			awaitAll(ctx, needs, linkedWait)
			p.reconcile(ctx, name)
		})
	}
	return err
}

// dependencyOrder puts an app behind those that it is linked to. A circle of links begins somewhere.
func dependencyOrder(apps []App, links []Link) (order []AppName) {
	seen := map[AppName]bool{}
	var visit func(AppName)
	visit = func(name AppName) {
		if seen[name] {
			return
		}
		seen[name] = true
		for _, l := range links {
			if l.App == name {
				visit(l.To)
			}
		}
		order = append(order, name)
	}
	for _, app := range apps {
		visit(app.Name)
	}
	return order
}

// awaitAll waits until all are closed, at most so long.
func awaitAll(ctx context.Context, all []chan struct{}, patience time.Duration) {
	late := time.After(patience)
	for _, c := range all {
		select {
		case <-c:
		case <-late:
			return
		case <-ctx.Done():
			return
		}
	}
}
