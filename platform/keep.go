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

// keptOf are the releases whose images stay: the current one, those that run, those in the making, and
// the newest that can be rolled back to, keep of them. list is newest first.
func keptOf(app App, list []Release, runs map[int]bool, keep int) (kept []Release) {
	live := 0
	for _, r := range list {
		if r.Status == Live {
			live++
		}
		recent := r.Status == Live && live <= keep
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
	pulled   map[string]bool // layers of images that were pulled or loaded
}

func (p *Platform) inventory(ctx context.Context) (inventory, error) {
	return p.inventoryFor(ctx, Goal{})
}

// inventoryFor is the inventory when as many releases are kept as the goal says.
func (p *Platform) inventoryFor(ctx context.Context, goal Goal) (inv inventory, err error) {
	inv = inventory{releases: map[AppName][]Release{}, kept: map[AppName][]Release{}, needed: map[string]bool{}, pulled: map[string]bool{}}
	if inv.apps, err = p.Store.Apps(ctx); err != nil {
		return inv, fmt.Errorf("list apps: %w", err)
	}
	trashed, err := p.Store.TrashedApps(ctx)
	if err != nil {
		return inv, fmt.Errorf("list apps in the trash: %w", err)
	}
	inv.apps = append(inv.apps, trashed...) // what they keep is kept
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
		inv.kept[app.Name] = keptOf(app, list, runs[app.Name], p.keeps(ctx, app, goal))
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
			inv.needed[layer], inv.pulled[layer] = true, true
		}
	}
	return inv, p.needStacks(ctx, inv.needed)
}

// keeps is how many releases of an app can be rolled back to.
func (p *Platform) keeps(ctx context.Context, app App, goal Goal) int {
	own := p.releaseRules(ctx, app.Name).Retention
	if goal.Keep == 0 || goal.App != "" && goal.App != app.Name {
		return own
	}
	return min(goal.Keep, own)
}

// runningReleases refuses to tell while something runs whose layers nobody knows any more.
func (p *Platform) runningReleases(ctx context.Context, apps []App) (map[AppName]map[int]bool, error) {
	list, err := p.Runner.Instances(ctx)
	if err != nil {
		return nil, fmt.Errorf("list instances: %w", err)
	}
	runs := map[AppName]map[int]bool{}
	for _, app := range apps {
		canary, err := p.Store.Canary(ctx, app.Name)
		if err != nil && KindOf(err) != NotFound {
			return nil, fmt.Errorf("read canary of %s: %w", app.Name, err)
		}
		runs[app.Name] = map[int]bool{canary.Release: true}
	}
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

// pieces is all that could be removed, with who needs it when the goal is to be reached.
func (p *Platform) pieces(ctx context.Context, goal Goal) (inventory, []Piece, error) {
	inv, err := p.inventoryFor(ctx, goal)
	if err != nil {
		return inv, nil, err
	}
	pieces, err := p.Images.Pieces(ctx, inv.apps)
	if err != nil {
		return inv, nil, err
	}
	owners := inv.owners()
	for i, v := range pieces {
		if v.Kind != LayerPiece {
			continue
		}
		if inv.needed[v.Name] {
			pieces[i].Need = Needed
		}
		pieces[i].Apps = sortedUnion(v.Apps, owners[v.Name])
	}
	return inv, pieces, nil
}

// owners are the apps whose releases have a layer, kept or not.
func (inv inventory) owners() map[string][]AppName {
	all := map[string][]AppName{}
	for _, app := range inv.apps {
		for _, layer := range layersOf(inv.releases[app.Name]) {
			all[layer] = append(all[layer], app.Name)
		}
	}
	return all
}

func sortedUnion(a, b []AppName) []AppName {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// Collect removes the layers that nobody needs, and if reserve or budget are short after that, what only
// the next builds need, until they are not. freed is in bytes.
func (p *Platform) Collect(ctx context.Context) (freed int64, err error) {
	gone, err := p.shrink(ctx, Goal{MinAge: collectAge})
	if err != nil {
		return sumOf(gone), err
	}
	more, err := p.shrinkToFit(ctx, 0, false)
	return sumOf(gone) + sumOf(more), err
}

// shrink removes what the goal says and returns what is gone, or would be.
func (p *Platform) shrink(ctx context.Context, goal Goal) ([]Piece, error) {
	inv, pieces, err := p.pieces(ctx, goal)
	if err != nil {
		return nil, err
	}
	victims := goal.Choose(pieces, p.Now())
	if goal.DryRun {
		return victims, nil
	}
	return p.remove(ctx, inv, victims, goal)
}

func (p *Platform) remove(ctx context.Context, inv inventory, victims []Piece, goal Goal) ([]Piece, error) {
	gone, err := p.Images.Remove(ctx, victims, goal.MinAge)
	if err != nil {
		return gone, err
	}
	return gone, p.Images.Tidy(ctx, inv.apps, inv.needed)
}

// shrinkToFit removes as much as reserve and budget miss when so many bytes more are written. With enough
// it removes nothing unless the reserve is whole then.
func (p *Platform) shrinkToFit(ctx context.Context, more int64, enough bool) ([]Piece, error) {
	space, err := p.Images.Space()
	if err != nil || space.Missing(more) == 0 {
		return nil, err
	}
	goal := Goal{Bytes: space.Missing(more), Caches: true, MinAge: pruneAge}
	inv, pieces, err := p.pieces(ctx, goal)
	if err != nil {
		return nil, err
	}
	victims := goal.Choose(pieces, p.Now())
	if enough && sumOf(victims) < space.short(more) {
		return nil, nil
	}
	return p.remove(ctx, inv, victims, goal)
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
	for _, r := range keptOf(app, list, nil, p.releaseRules(ctx, app.Name).Retention) {
		if p.Images.Kept(r.Image.Layers) {
			layers = append(layers, r.Image.Layers...)
		}
	}
	return p.Images.Hold(layers)
}
