package platform

import (
	"context"
	"io"
	"path"
	"slices"
	"strings"
	"time"
)

// VolumeView is a volume as people see it.
type VolumeView struct {
	Name      VolumeName  `json:"name"`
	Bytes     int64       `json:"bytes"`
	Size      int64       `json:"size"`    // bytes it may take; 0: no bound
	Bounded   bool        `json:"bounded"` // the host keeps the bound
	Apps      []AppName   `json:"apps"`    // that may mount it
	Mounts    []MountView `json:"mounts"`
	CreatedAt time.Time   `json:"created_at"`
	warning   string
}

// MountView is where an app's instances have a volume or a directory of the host.
type MountView struct {
	App       AppName       `json:"app"`
	Storage   string        `json:"storage"`
	Path      string        `json:"path"`
	ReadOnly  bool          `json:"read_only"`
	Processes []ProcessType `json:"processes"` // none: all, one-off commands too
}

func (m MountView) words() string {
	text := string(m.App) + ":" + m.Path
	if m.ReadOnly {
		text += " (read-only)"
	}
	if len(m.Processes) > 0 {
		text += " (" + joinTypes(m.Processes) + ")"
	}
	return text
}

func joinTypes(types []ProcessType) string {
	var words []string
	for _, t := range types {
		words = append(words, string(t))
	}
	return strings.Join(words, ",")
}

func (v VolumeView) row() []string {
	size, apps, mounts := "unbounded", []string{}, []string{}
	if v.Size > 0 {
		size = Bytes(v.Size)
	}
	for _, a := range v.Apps {
		apps = append(apps, string(a))
	}
	for _, m := range v.Mounts {
		mounts = append(mounts, m.words())
	}
	return []string{string(v.Name), Bytes(v.Bytes), size, strings.Join(apps, ","), strings.Join(mounts, " ")}
}

// VolumeList is storage:list.
type VolumeList struct {
	Volumes []VolumeView `json:"volumes"`
	Host    []MountView  `json:"host_directories"`
}

// VolumeInput names a volume.
type VolumeInput struct {
	Name string `arg:"name"`
}

// InfoOfVolume shows one volume.
func (p *Platform) InfoOfVolume(ctx context.Context, _ Call, in VolumeInput) (VolumeView, error) {
	v, err := p.findVolume(ctx, in.Name)
	if err != nil {
		return VolumeView{}, err
	}
	return p.volumeView(ctx, v)
}

// ListVolumesInput is storage:list.
type ListVolumesInput struct {
	App string `arg:"app" optional:"true" help:"only what this app may mount"`
}

// ListVolumes shows volumes with what they take, and what of the host is mounted.
func (p *Platform) ListVolumes(ctx context.Context, call Call, in ListVolumesInput) (VolumeList, error) {
	list := VolumeList{Volumes: []VolumeView{}, Host: []MountView{}}
	only := AppName(in.App)
	if in.App != "" {
		if _, err := p.find(ctx, in.App); err != nil {
			return list, err
		}
	}
	sees, err := p.Sees(ctx, call.Actor)
	if err != nil {
		return list, err
	}
	all, err := p.Store.Volumes(ctx)
	if err != nil {
		return list, err
	}
	mounts, err := p.allMounts(ctx)
	if err != nil {
		return list, err
	}
	shown := func(name AppName) bool { return (only == "" || name == only) && sees(name) }
	for _, v := range all {
		visible := only == "" && call.Actor.Admin || slices.ContainsFunc(v.Apps, shown)
		if v.Trashed || !visible {
			continue
		}
		view, err := p.viewWith(ctx, v, mounts)
		if err != nil {
			return list, err
		}
		view.Apps = slices.DeleteFunc(view.Apps, func(a AppName) bool { return !sees(a) })
		view.Mounts = slices.DeleteFunc(view.Mounts, func(m MountView) bool { return !sees(m.App) })
		list.Volumes = append(list.Volumes, view)
	}
	for _, m := range mounts {
		if path.IsAbs(m.Storage) && shown(m.App) {
			list.Host = append(list.Host, m)
		}
	}
	return list, nil
}

func (p *Platform) volumeView(ctx context.Context, v Volume) (VolumeView, error) {
	mounts, err := p.allMounts(ctx)
	if err != nil {
		return VolumeView{}, err
	}
	return p.viewWith(ctx, v, mounts)
}

func (p *Platform) viewWith(ctx context.Context, v Volume, mounts []MountView) (view VolumeView, err error) {
	view = VolumeView{Name: v.Name, Size: v.Size, Apps: v.Apps, Mounts: []MountView{}, CreatedAt: v.CreatedAt}
	view.Apps = slices.DeleteFunc(slices.Clone(v.Apps), AppName.trashed)
	for _, m := range mounts {
		if m.Storage == string(v.Name) {
			view.Mounts = append(view.Mounts, m)
		}
	}
	var why string
	if view.Bounded, why = p.Volumes.Bounded(); v.Size > 0 && !view.Bounded {
		view.warning = "its bound is not kept: " + why
	}
	view.Bytes, err = p.Volumes.Used(ctx, v.ID)
	return view, err
}

// allMounts are those of every app's current release, or of what its first one will hold.
func (p *Platform) allMounts(ctx context.Context) ([]MountView, error) {
	apps, err := p.Store.Apps(ctx)
	if err != nil {
		return nil, err
	}
	list := []MountView{}
	for _, app := range apps {
		spec, err := p.Store.Spec(ctx, app.Name)
		if err != nil {
			return nil, err
		}
		for _, m := range spec.Mounts {
			list = append(list, MountView{App: app.Name, Storage: m.Storage, Path: m.Path, ReadOnly: m.ReadOnly, Processes: append([]ProcessType{}, m.Types...)})
		}
	}
	return list, nil
}

// Text implements the verbs' output.
func (v VolumeView) Text(w io.Writer) error {
	row := v.row()
	rows := [][]string{{"name", row[0]}, {"used", row[1]}, {"size", row[2]}, {"apps", row[3]}, {"mounts", row[4]}, {"created", v.CreatedAt.Format(time.RFC3339)}}
	if v.warning != "" {
		rows = append(rows, []string{"note", v.warning})
	}
	return table(w, nil, rows)
}

// Text implements the verbs' output.
func (l VolumeList) Text(w io.Writer) error {
	var rows [][]string
	for _, v := range l.Volumes {
		rows = append(rows, v.row())
	}
	for _, m := range l.Host {
		rows = append(rows, []string{m.Storage, "-", "-", string(m.App), m.words()})
	}
	return table(w, []string{"NAME", "USED", "SIZE", "APPS", "MOUNTED"}, rows)
}
