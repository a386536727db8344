package platform

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
)

// DiskUse is something that takes the disk.
type DiskUse struct {
	Kind    string    `json:"kind"`           // "stack", "toolchain", "release", "build cache", "repository", "log", …
	App     AppName   `json:"app"`            // whose it is; empty if it is several apps', or the platform's
	Apps    []AppName `json:"apps,omitempty"` // who shares it
	Name    string    `json:"name,omitempty"` // where there are many of a kind
	Bytes   int64     `json:"bytes"`          // blocks on the disk
	FreedBy string    `json:"freed_by"`       // the command; empty if none does
}

// The kinds that more than one place names.
const (
	ReleaseUse  = "release"
	PulledUse   = "pulled image"
	WritesUse   = "writable layer"
	buildUse    = "build layer"
	unneededUse = "unneeded layer"
	heldUse     = "layer in use"
)

// AppDisk is what an app takes.
type AppDisk struct {
	App   AppName `json:"app"`
	Own   int64   `json:"own"`   // what nobody else has
	Share int64   `json:"share"` // its equal part of what it shares with other apps
	Total int64   `json:"total"`
}

// ReleaseDisk is what a kept release takes.
type ReleaseDisk struct {
	App     AppName `json:"app"`
	Release int     `json:"release"`
	Current bool    `json:"current"`
	Bytes   int64   `json:"bytes"`
	Unique  int64   `json:"unique"` // in layers that no other kept release has
}

// DiskReport is disk: what takes the disk, each thing once. All sizes are bytes.
type DiskReport struct {
	Space       Space         `json:"space"`
	App         AppName       `json:"app,omitempty"` // what was asked for
	Uses        []DiskUse     `json:"uses"`          // the largest first; of all apps: summed by app and kind
	Apps        []AppDisk     `json:"apps"`          // the largest first
	Releases    []ReleaseDisk `json:"releases"`      // that are kept, newest first of each app
	Total       int64         `json:"total"`
	Reclaimable int64         `json:"reclaimable"`     // by builds:prune
	WithAll     int64         `json:"reclaimable_all"` // by builds:prune --all
	WithOld     int64         `json:"reclaimable_old"` // by builds:prune --all --keep 1
	Notes       []string      `json:"notes"`
}

// Text implements the verbs' output.
func (r DiskReport) Text(w io.Writer) error {
	if err := table(w, []string{"APP", "WHAT", "SIZE", "FREED BY"}, r.rows(len(r.Uses))); err != nil {
		return err
	}
	if _, piped := w.(Piped); piped {
		return nil
	}
	var b strings.Builder
	b.WriteByte('\n')
	for _, release := range r.Releases {
		if r.App != "" {
			_, _ = fmt.Fprintf(&b, "v%d has %s, %s of it alone.\n", release.Release, Bytes(release.Bytes), Bytes(release.Unique))
		}
	}
	for _, line := range append(r.summary(), r.Notes...) {
		b.WriteString(line + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// rows are the first n uses as people read them.
func (r DiskReport) rows(n int) (rows [][]string) {
	for _, u := range r.Uses[:min(n, len(r.Uses))] {
		who, what := cmp.Or(string(u.App), "-"), u.Kind
		if len(u.Apps) > 1 {
			who = fmt.Sprintf("%d apps", len(u.Apps))
		}
		if u.Name != "" && r.App != "" {
			what += " " + quoted(u.Name)
		}
		rows = append(rows, []string{who, what, Bytes(u.Bytes), u.FreedBy})
	}
	return rows
}

func (r DiskReport) summary() []string {
	budget := "no budget"
	if r.Space.Budget > 0 {
		budget = "a budget of " + Bytes(r.Space.Budget)
	}
	lines := []string{
		fmt.Sprintf("%s in all; builds:prune frees %s, with --all %s, with --all --keep 1 %s.",
			Bytes(r.Total), Bytes(r.Reclaimable), Bytes(r.WithAll), Bytes(r.WithOld)),
		fmt.Sprintf("Layers and build caches take %s of %s. The disk has %s of %s left; %s of it are reserved.",
			Bytes(r.Space.Used), budget, Bytes(r.Space.Free), Bytes(r.Space.Total), Bytes(r.Space.Reserve)),
	}
	if r.App != "" {
		for _, a := range r.Apps {
			lines[0] = fmt.Sprintf("%s has %s alone and %s as its part of what it shares; builds:prune %s frees %s, with --all %s, with --all --keep 1 %s.",
				a.App, Bytes(a.Own), Bytes(a.Share), a.App, Bytes(r.Reclaimable), Bytes(r.WithAll), Bytes(r.WithOld))
		}
	}
	return lines
}

// DiskInput is disk.
type DiskInput struct {
	App string `arg:"app" optional:"true" help:"only what this app has, and its part of what it shares"`
}

// Disk measures everything that takes the disk.
func (p *Platform) Disk(ctx context.Context, _ Call, in DiskInput) (DiskReport, error) {
	var only AppName
	if in.App != "" {
		app, err := p.find(ctx, in.App)
		if err != nil {
			return DiskReport{}, err
		}
		only = app.Name
	}
	return p.diskReport(ctx, only)
}

func (p *Platform) diskReport(ctx context.Context, only AppName) (r DiskReport, err error) {
	inv, pieces, err := p.pieces(ctx, Goal{})
	if err != nil {
		return r, err
	}
	r = DiskReport{App: only, Notes: append([]string{}, p.Images.Report()...), Releases: inv.releaseDisks(only, pieces)}
	if r.Space, err = p.Images.Space(); err != nil {
		return r, err
	}
	others, err := p.Images.Disk(ctx, inv.apps)
	if err != nil {
		return r, err
	}
	for _, piece := range pieces {
		r.Uses = append(r.Uses, inv.use(piece))
	}
	for _, u := range others {
		if u.Kind == WritesUse && u.App != "" {
			u.FreedBy = "ps:restart " + string(u.App)
		}
		r.Uses = append(r.Uses, u)
	}
	if r.Uses, err = p.volumeUses(ctx, r.Uses); err != nil {
		return r, err
	}
	for i := range r.Uses {
		if r.Uses[i].App.trashed() {
			r.Uses[i].FreedBy = "trash:empty"
		}
	}
	r.count(only)
	now := p.Now()
	goal := Goal{App: only, MinAge: pruneAge}
	r.Reclaimable = sumOf(goal.Choose(pieces, now))
	goal.Caches = true
	r.WithAll = sumOf(goal.Choose(pieces, now))
	goal.Keep = 1
	_, pieces, err = p.pieces(ctx, goal)
	r.WithOld = sumOf(goal.Choose(pieces, now))
	return r, err
}

// use says what a piece is, and what frees it.
func (inv inventory) use(p Piece) DiskUse {
	u := DiskUse{Kind: p.Made, Name: p.Name, Bytes: p.Bytes}
	if len(p.Apps) == 1 && p.Made == "" {
		u.App = p.Apps[0]
	} else if len(p.Apps) > 0 { // a stack or a toolchain is nobody's own
		u.Apps = p.Apps
	}
	kind := ReleaseUse
	switch {
	case p.Kind == CachePiece:
		kind, u.FreedBy = CachePiece, "builds:prune --all"
	case inv.pulled[p.Name] && len(p.Apps) == 0:
		kind, u.FreedBy = PulledUse, "images:forget"
	case p.Need == Needed:
	case p.Held:
		kind = heldUse
	case p.Need == Cached:
		kind, u.FreedBy = buildUse, "builds:prune --all"
	default:
		kind, u.FreedBy = unneededUse, "builds:prune"
	}
	u.Kind = cmp.Or(u.Kind, kind)
	return u
}

// releaseDisks measures kept releases. A layer that a release has twice counts once.
func (inv inventory) releaseDisks(only AppName, pieces []Piece) []ReleaseDisk {
	size := map[string]int64{}
	for _, p := range pieces {
		if p.Kind == LayerPiece {
			size[p.Name] = p.Bytes
		}
	}
	users := map[string]int{}
	for _, kept := range inv.kept {
		for _, r := range kept {
			for _, layer := range layersOf([]Release{r}) {
				users[layer]++
			}
		}
	}
	list := []ReleaseDisk{}
	for _, app := range inv.apps {
		for _, r := range inv.kept[app.Name] {
			if only != "" && only != app.Name {
				continue
			}
			d := ReleaseDisk{App: app.Name, Release: r.Number, Current: r.Number == app.Release}
			for _, layer := range layersOf([]Release{r}) {
				d.Bytes += size[layer]
				if users[layer] == 1 {
					d.Unique += size[layer]
				}
			}
			list = append(list, d)
		}
	}
	return list
}

// count adds up what the report is about: all of it, or what one app has.
func (r *DiskReport) count(only AppName) {
	apps := map[AppName]*AppDisk{}
	of := func(name AppName) *AppDisk {
		if apps[name] == nil {
			apps[name] = &AppDisk{App: name}
		}
		return apps[name]
	}
	for _, u := range r.Uses {
		r.Total += u.Bytes
		if u.App != "" {
			of(u.App).Own += u.Bytes
		}
		for _, app := range u.Apps {
			of(app).Share += u.Bytes / int64(len(u.Apps))
		}
	}
	r.Apps = []AppDisk{}
	for name, a := range apps {
		a.Total = a.Own + a.Share
		if only == "" || only == name {
			r.Apps = append(r.Apps, *a)
		}
	}
	slices.SortFunc(r.Apps, func(a, b AppDisk) int { return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.App, b.App)) })
	if only == "" {
		r.Uses = summed(r.Uses)
		return
	}
	r.Uses = slices.DeleteFunc(r.Uses, func(u DiskUse) bool { return u.App != only && !slices.Contains(u.Apps, only) })
	r.Total = 0
	for _, u := range r.Uses {
		r.Total += u.Bytes
	}
	slices.SortStableFunc(r.Uses, func(a, b DiskUse) int { return cmp.Compare(b.Bytes, a.Bytes) })
}

// summed adds up what is of one kind and the same apps, the largest first.
func summed(uses []DiskUse) []DiskUse {
	at := map[string]int{}
	sums := []DiskUse{}
	for _, u := range uses {
		k := fmt.Sprint(u.App, u.Apps, u.Kind, u.FreedBy)
		i, known := at[k]
		if !known {
			i, at[k] = len(sums), len(sums)
			sums = append(sums, DiskUse{Kind: u.Kind, App: u.App, Apps: u.Apps, FreedBy: u.FreedBy})
		}
		sums[i].Bytes += u.Bytes
	}
	slices.SortFunc(sums, func(a, b DiskUse) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.App, b.App), cmp.Compare(a.Kind, b.Kind))
	})
	return sums
}

func sumOf(pieces []Piece) (sum int64) {
	for _, p := range pieces {
		sum += p.Bytes
	}
	return sum
}
