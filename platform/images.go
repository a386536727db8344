package platform

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ImagesInput is images:list.
type ImagesInput struct {
	App string `arg:"app" optional:"true" help:"only this app's"`
}

// ImageView is one image as people see it. Sizes are bytes on the disk.
type ImageView struct {
	Image    string    `json:"image"`
	Releases []string  `json:"releases"` // "blog v3", newest first of each app
	Current  bool      `json:"current"`  // of one of them
	Kept     bool      `json:"kept"`     // its layers are there; else it cannot be rolled back to
	Bytes    int64     `json:"bytes"`
	Shared   int64     `json:"shared"` // of Bytes, in layers that another image has too
	Unique   int64     `json:"unique"`
	Layers   int       `json:"layers"`
	MadeAt   time.Time `json:"made_at"`
}

// ImageList is images:list, the newest image first.
type ImageList struct {
	Images []ImageView `json:"images"`
	now    time.Time
}

// Text implements the verbs' output.
func (l ImageList) Text(w io.Writer) error {
	var rows [][]string
	for _, v := range l.Images {
		state := "kept"
		switch {
		case v.Current:
			state = "current"
		case !v.Kept:
			state = "not kept"
		}
		rows = append(rows, []string{
			shortImage(v.Image), state, Bytes(v.Bytes), Bytes(v.Shared), Bytes(v.Unique),
			age(l.now.Sub(v.MadeAt)), shortNames(v.Releases),
		})
	}
	return table(w, []string{"IMAGE", "STATE", "SIZE", "SHARED", "UNIQUE", "AGE", "RELEASES"}, rows)
}

func shortImage(id string) string {
	id = strings.TrimPrefix(id, "sha256:")
	return id[:min(len(id), 12)]
}

// shortNames is the first few of a list.
func shortNames(names []string) string {
	const shown = 4
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
}

// age is how long ago, in the largest unit.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(int(d.Seconds()), 0))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// ListImages lists the images of all releases, with what each costs.
func (p *Platform) ListImages(ctx context.Context, _ Call, in ImagesInput) (ImageList, error) {
	if in.App != "" {
		if _, err := p.find(ctx, in.App); err != nil {
			return ImageList{}, err
		}
	}
	s, err := p.stock(ctx)
	if err != nil {
		return ImageList{}, err
	}
	list := ImageList{Images: []ImageView{}, now: p.Now()}
	for _, id := range slices.Sorted(maps.Keys(s.images)) {
		if v := s.view(id); in.App == "" || slices.ContainsFunc(v.Releases, func(r string) bool { return strings.HasPrefix(r, in.App+" ") }) {
			list.Images = append(list.Images, v)
		}
	}
	slices.SortStableFunc(list.Images, func(a, b ImageView) int { return b.MadeAt.Compare(a.MadeAt) })
	return list, nil
}

// stock is every image of every release, and what its layers cost.
type stock struct {
	inventory
	layers map[string]LayerUsage
	images map[string][]Release // by image id, newest first of each app
	users  map[string]int       // how many images have a layer
}

func (p *Platform) stock(ctx context.Context) (stock, error) {
	s := stock{layers: map[string]LayerUsage{}, images: map[string][]Release{}, users: map[string]int{}}
	var err error
	if s.inventory, err = p.inventory(ctx); err != nil {
		return s, err
	}
	usage, err := p.Images.Usage()
	if err != nil {
		return s, err
	}
	for _, u := range usage {
		s.layers[u.Layer] = u
	}
	for _, app := range s.apps {
		for _, r := range s.releases[app.Name] {
			s.images[r.Image.ID] = append(s.images[r.Image.ID], r)
		}
	}
	for _, releases := range s.images {
		for _, layer := range layersOf(releases) {
			s.users[layer]++
		}
	}
	return s, nil
}

// layersOf is each layer once. Equal images of several apps may lie in different layers.
func layersOf(releases []Release) (layers []string) {
	seen := map[string]bool{}
	for _, r := range releases {
		for _, layer := range r.Image.Layers {
			if !seen[layer] {
				seen[layer] = true
				layers = append(layers, layer)
			}
		}
	}
	return layers
}

func (s stock) view(id string) ImageView {
	v := ImageView{Image: id, Releases: []string{}, Kept: true}
	for _, r := range s.images[id] {
		v.Releases = append(v.Releases, fmt.Sprintf("%s v%d", r.App, r.Number))
		if v.MadeAt.IsZero() || r.CreatedAt.Before(v.MadeAt) {
			v.MadeAt = r.CreatedAt
		}
		v.Current = v.Current || slices.ContainsFunc(s.apps, func(a App) bool { return a.Name == r.App && a.Release == r.Number })
	}
	for _, layer := range layersOf(s.images[id]) {
		u, there := s.layers[layer]
		v.Kept = v.Kept && there
		v.Layers++
		v.Bytes += u.Bytes
		if s.users[layer] > 1 {
			v.Shared += u.Bytes
		}
	}
	v.Unique = v.Bytes - v.Shared
	return v
}

// ReleaseInput names a release of an app.
type ReleaseInput struct {
	App     string `arg:"app"`
	Release string `arg:"release" optional:"true" help:"like v12; without it the current one"`
}

// namedRelease is the release that a word like v12 names, or the current one.
func (p *Platform) namedRelease(ctx context.Context, app App, word string) (Release, error) {
	number := app.Release
	if word != "" {
		n, err := parseRelease(word)
		if err != nil {
			return Release{}, err
		}
		number = n
	}
	if number == 0 {
		return Release{}, Errorf(Conflict, "%s has no release yet", app.Name).WithHint("push it first: git push paas main")
	}
	r, err := p.Store.Release(ctx, app.Name, number)
	return r, withHint(err, "see them: ssh paas releases %s", app.Name)
}

// LayerView is one layer of an image as people see it.
type LayerView struct {
	Number int       `json:"number"` // from 1, at the bottom
	Layer  string    `json:"layer"`
	Kept   bool      `json:"kept"`
	Bytes  int64     `json:"bytes"`
	Images int       `json:"images"` // how many images have it
	MadeAt time.Time `json:"made_at"`
	Note   string    `json:"made_by"`
}

// ImageTree is images:tree, the bottom layer first.
type ImageTree struct {
	App     AppName     `json:"app"`
	Release int         `json:"release"`
	Image   string      `json:"image"`
	Bytes   int64       `json:"bytes"`
	Layers  []LayerView `json:"layers"`
	now     time.Time
}

// Text implements the verbs' output.
func (t ImageTree) Text(w io.Writer) error {
	var rows [][]string
	for _, v := range t.Layers {
		size, when := Bytes(v.Bytes), age(t.now.Sub(v.MadeAt))
		if !v.Kept {
			size, when = "not kept", ""
		}
		rows = append(rows, []string{strconv.Itoa(v.Number), v.Layer, size, when, strconv.Itoa(v.Images), quoted(v.Note)})
	}
	if err := table(w, []string{"#", "LAYER", "SIZE", "AGE", "IMAGES", "MADE BY"}, rows); err != nil {
		return err
	}
	if _, piped := w.(Piped); piped {
		return nil
	}
	_, err := fmt.Fprintf(w, "\n%s v%d is image %s: %s in %d layers.\n", t.App, t.Release, shortImage(t.Image), Bytes(t.Bytes), len(t.Layers))
	return err
}

// TreeOfImage shows the layers of a release's image.
func (p *Platform) TreeOfImage(ctx context.Context, _ Call, in ReleaseInput) (ImageTree, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return ImageTree{}, err
	}
	r, err := p.namedRelease(ctx, app, in.Release)
	if err != nil {
		return ImageTree{}, err
	}
	s, err := p.stock(ctx)
	if err != nil {
		return ImageTree{}, err
	}
	t := ImageTree{App: app.Name, Release: r.Number, Image: r.Image.ID, Layers: []LayerView{}, now: p.Now()}
	for i, layer := range r.Image.Layers {
		u, there := s.layers[layer]
		t.Layers = append(t.Layers, LayerView{
			Number: i + 1, Layer: layer, Kept: there, Bytes: u.Bytes, Images: s.users[layer], MadeAt: u.Committed, Note: u.Note,
		})
		t.Bytes += u.Bytes
	}
	return t, nil
}

// quoted is text that does nothing to a terminal and takes one line.
func quoted(text string) string {
	q := strconv.Quote(text)
	if q == `"`+text+`"` {
		return text
	}
	return q
}
