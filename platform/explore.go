package platform

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// ExploreInput is images:explore.
type ExploreInput struct {
	App     string `arg:"app"`
	Release string `arg:"release" optional:"true" help:"like v12; without it the current one"`
	Path    string `arg:"path" optional:"true" help:"absolute: what each layer does to it"`
}

// Exploration is images:explore.
type Exploration struct {
	App     AppName `json:"app"`
	Release int     `json:"release"`
	Image   string  `json:"image"`
	Path    string  `json:"path,omitempty"`
	Contents
}

// Text implements the verbs' output.
func (e Exploration) Text(w io.Writer) error {
	if e.Path != "" {
		return e.textOfPath(w)
	}
	var rows [][]string
	for _, l := range e.Layers {
		rows = append(rows, append([]string{strconv.Itoa(l.Number), Bytes(l.Bytes)},
			l.Added.text("+"), l.Changed.text("~"), l.Removed.text("-"), Bytes(l.Wasted), quoted(l.Note)))
	}
	if err := table(w, []string{"#", "SIZE", "ADDED", "CHANGED", "REMOVED", "WASTED", "MADE BY"}, rows); err != nil {
		return err
	}
	if _, piped := w.(Piped); piped {
		return nil
	}
	_, err := fmt.Fprintf(w, "\n%s of files, %s of them wasted: efficiency %.1f %%.\n", Bytes(e.Bytes), Bytes(e.Wasted), 100*e.Efficiency)
	if err != nil || len(e.Waste) == 0 {
		return err
	}
	return e.textOfWaste(w)
}

func (t Tally) text(sign string) string {
	if t.Files == 0 {
		return "-"
	}
	return fmt.Sprintf("%s%d (%s)", sign, t.Files, Bytes(t.Bytes))
}

// textOfWaste lists the worst files.
func (e Exploration) textOfWaste(w io.Writer) error {
	const shown = 10
	if _, err := fmt.Fprintln(w, "Files that later layers replace or remove:"); err != nil {
		return err
	}
	var rows [][]string
	for _, f := range e.Waste[:min(shown, len(e.Waste))] {
		rows = append(rows, []string{Bytes(f.Bytes), strconv.Itoa(f.Versions), quoted(f.Path)})
	}
	return table(w, []string{"WASTED", "VERSIONS", "PATH"}, rows)
}

func (e Exploration) textOfPath(w io.Writer) error {
	var rows [][]string
	for _, f := range e.Paths {
		rows = append(rows, []string{strconv.Itoa(f.Number), f.Added.text("+"), f.Changed.text("~"), f.Removed.text("-"), quoted(f.Path)})
	}
	return table(w, []string{"#", "ADDED", "CHANGED", "REMOVED", "PATH"}, rows)
}

// ExploreImage tells what each layer of a release's image adds, changes, removes and wastes.
func (p *Platform) ExploreImage(ctx context.Context, _ Call, in ExploreInput) (Exploration, error) {
	if strings.HasPrefix(in.Release, "/") && in.Path == "" {
		in.Release, in.Path = "", in.Release
	}
	if in.Path != "" && !strings.HasPrefix(in.Path, "/") {
		return Exploration{}, Errorf(Usage, "%q is not an absolute path", in.Path)
	}
	app, err := p.find(ctx, in.App)
	if err != nil {
		return Exploration{}, err
	}
	r, err := p.namedRelease(ctx, app, in.Release)
	if err != nil {
		return Exploration{}, err
	}
	drop, err := p.hold(r)
	if err != nil {
		return Exploration{}, err
	}
	defer drop()
	e := Exploration{App: app.Name, Release: r.Number, Image: r.Image.ID, Path: in.Path}
	if e.Contents, err = p.Images.Explore(ctx, r.Image.Layers, in.Path); err != nil {
		return e, err
	}
	if in.Path != "" && len(e.Paths) == 0 {
		return e, Errorf(NotFound, "no layer of %s v%d has %q", app.Name, r.Number, in.Path).
			WithHint("see what there is: ssh paas images:explore %s v%d /", app.Name, r.Number)
	}
	return e, nil
}
