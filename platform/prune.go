package platform

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"time"
)

// PruneInput is builds:prune.
type PruneInput struct {
	App    string `arg:"app" optional:"true" help:"only what this app alone has"`
	All    bool   `flag:"all" help:"also build caches and the layers that only next builds start from"`
	Keep   int    `flag:"keep" help:"also images of releases beyond so many that could be rolled back to"`
	DryRun bool   `flag:"dry-run" help:"remove nothing, show what would go"`
}

// Pruned is one thing that builds:prune removed.
type Pruned struct {
	Kind  string    `json:"kind"` // "layer", "build cache"
	Name  string    `json:"name"`
	App   AppName   `json:"app"` // that alone had it
	Bytes int64     `json:"bytes"`
	Used  time.Time `json:"used"`
	Took  float64   `json:"took"` // seconds to make it
	Note  string    `json:"made_by"`
}

// PruneResult is builds:prune.
type PruneResult struct {
	Removed []Pruned `json:"removed"`
	Bytes   int64    `json:"bytes"`
	DryRun  bool     `json:"dry_run"`
	now     time.Time
}

// Text implements the verbs' output.
func (r PruneResult) Text(w io.Writer) error {
	var rows [][]string
	for _, v := range r.Removed {
		used := ""
		if !v.Used.IsZero() {
			used = age(r.now.Sub(v.Used)) + " ago"
		}
		rows = append(rows, []string{v.Kind, cmp.Or(string(v.App), "-"), v.Name, Bytes(v.Bytes), used, quoted(v.Note)})
	}
	if len(rows) > 0 {
		if err := table(w, []string{"KIND", "APP", "NAME", "SIZE", "USED", "MADE BY"}, rows); err != nil {
			return err
		}
	}
	if _, piped := w.(Piped); piped {
		return nil
	}
	verb := "Freed"
	if r.DryRun {
		verb = "Would free"
	}
	_, err := fmt.Fprintf(w, "%s %s in %s.\n", verb, Bytes(r.Bytes), plural(int64(len(r.Removed)), "place", "places"))
	return err
}

// Prune removes what nobody needs, at once.
func (p *Platform) Prune(ctx context.Context, call Call, in PruneInput) (PruneResult, error) {
	if in.Keep < 0 {
		return PruneResult{}, Errorf(Usage, "--keep is %d: it is a number from 1 up", in.Keep)
	}
	goal := Goal{Caches: in.All, Keep: in.Keep, MinAge: pruneAge, DryRun: in.DryRun}
	r := PruneResult{Removed: []Pruned{}, DryRun: in.DryRun, now: p.Now()}
	if in.App != "" {
		app, err := p.find(ctx, in.App)
		if err != nil {
			return r, err
		}
		goal.App = app.Name
	}
	gone, err := p.shrink(ctx, goal)
	r.Bytes = sumOf(gone)
	for _, v := range gone {
		one := Pruned{Kind: v.Kind, Name: v.Name, Bytes: v.Bytes, Used: v.Used, Took: v.Took.Seconds(), Note: v.Note}
		if len(v.Apps) == 1 {
			one.App = v.Apps[0]
		}
		call.Audit.Changed(fmt.Sprintf("%s %s", v.Kind, v.Name), Bytes(v.Bytes), "")
		r.Removed = append(r.Removed, one)
	}
	return r, err
}
