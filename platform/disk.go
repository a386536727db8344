package platform

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
)

// DiskReport is images:du: what takes the disk. All sizes are bytes.
type DiskReport struct {
	Space       Space     `json:"space"`
	Uses        []DiskUse `json:"uses"` // by app and kind, the largest first
	Total       int64     `json:"total"`
	Reclaimable int64     `json:"reclaimable"`     // by images:prune
	WithAll     int64     `json:"reclaimable_all"` // by images:prune --all
	Notes       []string  `json:"notes"`
}

// Text implements the verbs' output.
func (r DiskReport) Text(w io.Writer) error {
	var rows [][]string
	for _, u := range r.Uses {
		rows = append(rows, []string{cmp.Or(string(u.App), "-"), u.Kind, Bytes(u.Bytes)})
	}
	if err := table(w, []string{"APP", "KIND", "SIZE"}, rows); err != nil {
		return err
	}
	if _, piped := w.(Piped); piped {
		return nil
	}
	budget := "no budget"
	if r.Space.Budget > 0 {
		budget = fmt.Sprintf("a budget of %s", Bytes(r.Space.Budget))
	}
	_, err := fmt.Fprintf(w, "\n%s in all; images:prune frees %s, images:prune --all %s.\n"+
		"Layers take %s of %s. The disk has %s of %s left; %s of it are reserved.\n",
		Bytes(r.Total), Bytes(r.Reclaimable), Bytes(r.WithAll),
		Bytes(r.Space.Used), budget, Bytes(r.Space.Free), Bytes(r.Space.Total), Bytes(r.Space.Reserve))
	for _, note := range r.Notes {
		if err == nil {
			_, err = fmt.Fprintln(w, note)
		}
	}
	return err
}

// DiskUsage measures everything that takes the disk, by app.
func (p *Platform) DiskUsage(ctx context.Context, _ Call, _ struct{}) (DiskReport, error) {
	s, err := p.stock(ctx)
	if err != nil {
		return DiskReport{}, err
	}
	r := DiskReport{Notes: append([]string{}, p.Images.Report()...)}
	if r.Space, err = p.Images.Space(); err != nil {
		return r, err
	}
	others, err := p.Images.Disk(ctx, s.apps)
	if err != nil {
		return r, err
	}
	r.Uses = append(s.layerUses(), others...)
	r.Uses = summed(r.Uses)
	for _, u := range r.Uses {
		r.Total += u.Bytes
	}
	for _, some := range []struct {
		to     *int64
		caches bool
	}{{&r.Reclaimable, false}, {&r.WithAll, true}} {
		gone, err := p.Images.Shrink(ctx, s.apps, s.needed, Goal{Caches: some.caches, MinAge: pruneAge, DryRun: true})
		if err != nil {
			return r, err
		}
		*some.to = gone.Bytes()
	}
	return r, nil
}

// layerUses tells whose each layer is: the app's that alone has it, everybody's, or nobody's.
func (s stock) layerUses() (uses []DiskUse) {
	owner := map[string]AppName{}
	shared := map[string]bool{}
	for _, app := range s.apps {
		for _, layer := range layersOf(s.releases[app.Name]) {
			if other, taken := owner[layer]; taken && other != app.Name {
				shared[layer] = true
			}
			owner[layer] = app.Name
		}
	}
	for layer, u := range s.layers {
		use := DiskUse{Kind: "layers", App: owner[layer], Bytes: u.Bytes}
		switch {
		case shared[layer]:
			use.Kind, use.App = "layers of several apps", ""
		case use.App == "":
			use.Kind, use.Cache = "layers of no release", true
		}
		uses = append(uses, use)
	}
	return uses
}

// summed adds up what is of one kind and app, the largest first.
func summed(uses []DiskUse) []DiskUse {
	type key struct {
		app  AppName
		kind string
	}
	at := map[key]int{}
	sums := []DiskUse{}
	for _, u := range uses {
		k := key{u.App, u.Kind}
		i, known := at[k]
		if !known {
			i, at[k] = len(sums), len(sums)
			sums = append(sums, DiskUse{Kind: u.Kind, App: u.App, Cache: u.Cache})
		}
		sums[i].Bytes += u.Bytes
	}
	slices.SortFunc(sums, func(a, b DiskUse) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.App, b.App), cmp.Compare(a.Kind, b.Kind))
	})
	return sums
}
