package platform

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// collectAge is how long a layer outlives its last use when nobody needs it: a push that comes again, or
// a rollback that is thought about, finds it.
const collectAge = time.Hour

// pruneAge is the same when a person asks for room: what is held on to is leased, this is for the moment
// between a lease and the next.
const pruneAge = 2 * time.Second

// guardEvery is how often a build under way is asked whether it takes from the reserve.
const guardEvery = 2 * time.Second

// keptOf are the releases whose images stay: the current one, those that run, those in the making, and
// the newest that can be rolled back to. list is newest first.
func (p *Platform) keptOf(app App, list []Release, runs map[int]bool) (kept []Release) {
	live := 0
	for _, r := range list {
		if r.Status == Live {
			live++
		}
		recent := r.Status == Live && live <= p.Settings.KeepReleases
		if recent || r.Status == Pending || r.Number == app.Release || runs[r.Number] {
			kept = append(kept, r)
		}
	}
	return kept
}

// inventory is every app with its releases, and what of it needs its layers.
type inventory struct {
	apps     []App
	releases map[AppName][]Release // newest first
	kept     map[AppName][]Release
	needed   map[string]bool // layers
}

func (p *Platform) inventory(ctx context.Context) (inv inventory, err error) {
	inv = inventory{releases: map[AppName][]Release{}, kept: map[AppName][]Release{}, needed: map[string]bool{}}
	if inv.apps, err = p.Store.Apps(ctx); err != nil {
		return inv, fmt.Errorf("list apps: %w", err)
	}
	runs, err := p.runningReleases(ctx, inv.apps)
	if err != nil {
		return inv, err
	}
	for _, app := range inv.apps {
		list, err := p.Store.Releases(ctx, app.Name)
		if KindOf(err) == NotFound {
			continue // destroyed meanwhile: its layers are young enough
		}
		if err != nil {
			return inv, fmt.Errorf("list releases of %s: %w", app.Name, err)
		}
		inv.releases[app.Name] = list
		inv.kept[app.Name] = p.keptOf(app, list, runs[app.Name])
		for _, r := range inv.kept[app.Name] {
			for _, layer := range r.Image.Layers {
				inv.needed[layer] = true
			}
		}
	}
	pulled, err := p.Store.AllPulled(ctx)
	if err != nil {
		return inv, fmt.Errorf("list pulled images: %w", err)
	}
	for _, v := range pulled {
		for _, layer := range v.Image.Layers {
			inv.needed[layer] = true
		}
	}
	return inv, nil
}

// runningReleases refuses to tell while something runs whose layers nobody knows any more.
func (p *Platform) runningReleases(ctx context.Context, apps []App) (map[AppName]map[int]bool, error) {
	list, err := p.Runner.Instances(ctx)
	if err != nil {
		return nil, fmt.Errorf("list instances: %w", err)
	}
	runs := map[AppName]map[int]bool{}
	for _, i := range list {
		if !slices.ContainsFunc(apps, func(a App) bool { return a.Name == i.App }) {
			return nil, Errorf(Conflict, "an instance of %s still runs, which is being destroyed", i.App).
				WithHint("try again in a moment")
		}
		if runs[i.App] == nil {
			runs[i.App] = map[int]bool{}
		}
		runs[i.App][i.Release] = true
	}
	return runs, nil
}

// Collect removes the layers that nobody needs, and if reserve or budget are short after that, what only
// the next builds need, until they are not. freed is in bytes.
func (p *Platform) Collect(ctx context.Context) (freed int64, err error) {
	gone, err := p.shrink(ctx, Goal{MinAge: collectAge})
	if err != nil {
		return gone.Bytes(), err
	}
	more, err := p.shrinkToFit(ctx)
	return gone.Bytes() + more.Bytes(), err
}

func (p *Platform) shrink(ctx context.Context, goal Goal) (Shrunk, error) {
	inv, err := p.inventory(ctx)
	if err != nil {
		return Shrunk{}, err
	}
	return p.Images.Shrink(ctx, inv.apps, inv.needed, goal)
}

// shrinkToFit removes as much as reserve and budget miss.
func (p *Platform) shrinkToFit(ctx context.Context) (Shrunk, error) {
	space, err := p.Images.Space()
	if err != nil || space.Missing() == 0 {
		return Shrunk{}, err
	}
	return p.shrink(ctx, Goal{Bytes: space.Missing(), Caches: true, MinAge: pruneAge})
}

// makeRoom makes sure that a build may begin: when the reserve is touched, what can go goes, and when
// that is not enough the build is refused.
func (p *Platform) makeRoom(ctx context.Context, story *Story) error {
	if p.Images.Room() == nil {
		return nil
	}
	gone, err := p.shrinkToFit(ctx)
	if err != nil {
		return err
	}
	if freed := gone.Bytes(); freed > 0 {
		story.Line("The disk was nearly full: removed %s of layers and caches that nobody needs", Bytes(freed))
	}
	return p.Images.Room()
}

// guard ends the returned context, with the sentence as its cause, when the reserve is touched.
func (p *Platform) guard(ctx context.Context) (guarded context.Context, cancel context.CancelCauseFunc) {
	ctx, cancel = context.WithCancelCause(ctx)
	go func() {
		tick := time.NewTicker(guardEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			if err := p.Images.Room(); KindOf(err) == Failed {
				cancel(err)
			}
		}
	}()
	return ctx, cancel
}

// build builds inside the disk's bounds and the build's time. The image's layers are kept until drop is
// called.
func (p *Platform) build(ctx context.Context, b *building, req BuildRequest) (image Image, drop func(), err error) {
	if err := p.makeRoom(ctx, req.Story); err != nil {
		return Image{}, nil, err
	}
	guarded, cancel := p.guard(ctx)
	defer cancel(nil)
	b.begun(cancel)
	defer b.built()
	image, err = p.Builder.Build(guarded, req)
	if cause := context.Cause(guarded); err != nil && ctx.Err() == nil && KindOf(cause) == Failed {
		err = cause
	}
	if err != nil {
		return image, nil, fmt.Errorf("build %s: %w", req.App.Name, err)
	}
	drop, err = p.Images.Hold(image.Layers)
	return image, drop, err
}

// hold keeps a release's image from being removed until drop is called.
func (p *Platform) hold(r Release) (drop func(), err error) {
	drop, err = p.Images.Hold(r.Image.Layers)
	if KindOf(err) != NotFound {
		return drop, err
	}
	gone := Errorf(Conflict, "v%d of %s is listed, but its image is no longer kept", r.Number, r.App).Because(err)
	if r.Commit == "" {
		return nil, gone.WithHint("see which are: ssh paas images:list %s", r.App)
	}
	return nil, gone.WithHint("build it again: git push -f paas %s:main", shortCommit(r.Commit))
}

// holdRunning keeps the layers of everything of an app that runs, once nothing else tells of them.
func (p *Platform) holdRunning(ctx context.Context, app App) (drop func(), err error) {
	list, err := p.Store.Releases(ctx, app.Name)
	if err != nil {
		return nil, err
	}
	var layers []string
	for _, r := range p.keptOf(app, list, nil) {
		if p.Images.Kept(r.Image.Layers) {
			layers = append(layers, r.Image.Layers...)
		}
	}
	return p.Images.Hold(layers)
}
