package platform

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// mostVolumes bounds how many volumes a host has.
const mostVolumes = 10_000

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

// Text implements the verbs' output.
func (v VolumeView) Text(w io.Writer) error {
	row := v.row()
	rows := [][]string{{"name", row[0]}, {"used", row[1]}, {"size", row[2]}, {"apps", row[3]}, {"mounts", row[4]}, {"created", v.CreatedAt.Format(time.RFC3339)}}
	if v.warning != "" {
		rows = append(rows, []string{"note", v.warning})
	}
	return table(w, nil, rows)
}

// VolumeList is storage:list.
type VolumeList struct {
	Volumes []VolumeView `json:"volumes"`
	Host    []MountView  `json:"host_directories"`
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

// CreateVolumeInput is storage:create.
type CreateVolumeInput struct {
	Name      string `arg:"name"`
	Size      string `flag:"size" value:"10g" help:"what it may take at most (default: no bound)"`
	App       string `flag:"for" value:"APP" help:"the app that may mount it"`
	IfMissing bool   `flag:"if-missing" help:"succeed when it is there already"`
}

// CreateVolume makes a volume.
func (p *Platform) CreateVolume(ctx context.Context, call Call, in CreateVolumeInput) (VolumeView, error) {
	name, err := ParseVolumeName(in.Name)
	if err != nil {
		return VolumeView{}, err
	}
	var owner App
	if in.App != "" {
		if owner, err = p.find(ctx, in.App); err != nil {
			return VolumeView{}, err
		}
	}
	var size int64
	if in.Size != "" {
		if err := setBytes(&size, in.Size, leastVolume); err != nil {
			return VolumeView{}, err
		}
	}
	v, err := p.makeVolume(ctx, call, name, size, owner.Name)
	if KindOf(err) == Conflict && in.IfMissing {
		if v, err = p.Store.Volume(ctx, name); err == nil {
			return p.volumeView(ctx, v)
		}
	}
	if err != nil {
		return VolumeView{}, withHint(err, "see what is there: ssh paas storage:list")
	}
	return p.volumeView(ctx, v)
}

// leastVolume is the least bound of a volume in bytes.
const leastVolume = 1 << 20

// EnsureInput is Dokku's storage:ensure-directory.
type EnsureInput struct {
	Name  string `arg:"name"`
	Chown string `flag:"chown" value:"WHO" help:"Dokku's; the first app that mounts it decides"`
}

// EnsureVolume makes a volume unless it is there.
func (p *Platform) EnsureVolume(ctx context.Context, call Call, in EnsureInput) (VolumeView, error) {
	return p.CreateVolume(ctx, call, CreateVolumeInput{Name: dokkuVolume(in.Name), IfMissing: true})
}

// dokkuStorage is where Dokku has what storage:ensure-directory makes (its documentation, "persistent storage").
const dokkuStorage = "/var/lib/dokku/data/storage/"

// dokkuVolume is the volume that stands for such a directory.
func dokkuVolume(word string) string {
	name := strings.TrimSuffix(strings.TrimPrefix(word, dokkuStorage), "/")
	if name == word {
		return word
	}
	return strings.ToLower(strings.ReplaceAll(name, "/", "-"))
}

func (p *Platform) makeVolume(ctx context.Context, call Call, name VolumeName, size int64, owner AppName) (v Volume, err error) {
	if p.Volumes == nil {
		return v, Errorf(Failed, "this platform keeps no volumes")
	}
	all, err := p.Store.Volumes(ctx)
	if err == nil && len(all) >= mostVolumes {
		err = Errorf(Conflict, "there are %d volumes, which is the most", len(all))
	}
	if err != nil {
		return v, err
	}
	if v, err = p.Store.CreateVolume(ctx, name, size); err != nil {
		return v, err
	}
	err = p.Volumes.Make(v.ID, size)
	if err == nil && owner != "" {
		err = p.Store.ShareVolume(ctx, name, owner, true)
	}
	if err != nil {
		return v, err
	}
	p.say(Event{Kind: EventStorage, App: owner, Actor: call.Actor.Name, Text: fmt.Sprintf("the volume %s was made", name)})
	return p.Store.Volume(ctx, name)
}

// SetVolumeInput is storage:set.
type SetVolumeInput struct {
	Name  string   `arg:"name"`
	Words []string `arg:"setting" rest:"required" help:"size=20g, or size=clear"`
}

// SetVolume changes a volume's bound.
func (p *Platform) SetVolume(ctx context.Context, call Call, in SetVolumeInput) (VolumeView, error) {
	v, err := p.findVolume(ctx, in.Name)
	if err != nil {
		return VolumeView{}, err
	}
	keys, values, err := parsePairs(in.Words)
	if err == nil && (len(keys) != 1 || keys[0] != "size") {
		err = Errorf(Usage, "a volume has one setting: size").WithHint("ssh paas storage:set %s size=20g", v.Name)
	}
	if err != nil {
		return VolumeView{}, err
	}
	v.Size = 0
	if values["size"] != clearValue {
		if err := setBytes(&v.Size, values["size"], leastVolume); err != nil {
			return VolumeView{}, err
		}
	}
	if err := p.Store.ResizeVolume(ctx, v.Name, v.Size); err != nil {
		return VolumeView{}, err
	}
	if err := p.Volumes.Make(v.ID, v.Size); err != nil {
		return VolumeView{}, err
	}
	p.say(Event{Kind: EventStorage, Actor: call.Actor.Name, Text: fmt.Sprintf("the volume %s may take %s", v.Name, bound(v.Size))})
	return p.volumeView(ctx, v)
}

func bound(size int64) string {
	if size == 0 {
		return "whatever there is"
	}
	return Bytes(size)
}

// DestroyVolumeInput is storage:destroy.
type DestroyVolumeInput struct {
	Name    string `arg:"name"`
	Confirm string `flag:"confirm" value:"NAME" help:"the volume's name again, instead of being asked"`
	DryRun  bool   `flag:"dry-run" help:"destroy nothing, show what would go"`
	Force   bool   `flag:"force" short:"f" help:"it does not replace --confirm"`
}

// DestroyVolume puts a volume into the trash. One that an app has mounted stays.
func (p *Platform) DestroyVolume(ctx context.Context, call Call, in DestroyVolumeInput) (Done, error) {
	v, err := p.findVolume(ctx, in.Name)
	if err != nil {
		return Done{}, err
	}
	view, err := p.volumeView(ctx, v)
	if err != nil {
		return Done{}, err
	}
	if len(view.Mounts) > 0 {
		m := view.Mounts[0]
		return Done{}, Errorf(Conflict, "%s is mounted in %s", v.Name, m.words()).WithHint("first: ssh paas storage:unmount %s %s", m.App, v.Name)
	}
	if len(v.Apps) > 0 && len(view.Apps) == 0 {
		return Done{}, Errorf(Conflict, "%s is in the trash already, with the app that has it", v.Name).WithHint("see what is there: ssh paas trash:list")
	}
	days, err := p.trashTime(ctx)
	if err != nil {
		return Done{}, err
	}
	if in.DryRun {
		return donef("This would destroy the volume %s (%s). It would stay in the trash for %s.", v.Name, Bytes(view.Bytes), roughly(days)), nil
	}
	text := fmt.Sprintf("This destroys the volume %s (%s); it stays in the trash for %s", v.Name, Bytes(view.Bytes), roughly(days))
	if err := confirm(call, string(v.Name), in.Confirm, text); err != nil {
		return Done{}, unforced(err, in.Force)
	}
	t, err := p.Store.TrashVolume(ctx, v, Trashed{Kind: TrashedVolume, Name: string(v.Name), Bytes: view.Bytes, Actor: call.Actor.Name})
	if err != nil {
		return Done{}, err
	}
	p.say(Event{Kind: EventStorage, Actor: call.Actor.Name, Text: fmt.Sprintf("the volume %s was destroyed", v.Name)})
	return donef("Destroyed the volume %s. Until %s it can be had back: ssh paas trash:restore %s",
		v.Name, t.At.Add(days).UTC().Format("2006-01-02"), v.Name), nil
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

// findVolume looks up a volume that a person named.
func (p *Platform) findVolume(ctx context.Context, word string) (Volume, error) {
	name := VolumeName(dokkuVolume(word))
	v, err := p.Store.Volume(ctx, name)
	if KindOf(err) != NotFound {
		return v, err
	}
	all, listErr := p.Store.Volumes(ctx)
	for _, other := range all {
		if !other.Trashed && Near(string(name), string(other.Name)) {
			return v, Errorf(NotFound, "there is no volume %q; did you mean %q?", name, other.Name)
		}
	}
	return v, withHint(cmp.Or(listErr, err), "see what is there: ssh paas storage:list")
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

// volumesOf are those that an app may mount; it may be in the trash.
func (p *Platform) volumesOf(ctx context.Context, name AppName) ([]Volume, error) {
	all, err := p.Store.Volumes(ctx)
	return slices.DeleteFunc(all, func(v Volume) bool { return v.Trashed || !slices.Contains(v.Apps, name) }), err
}

func (p *Platform) dropVolume(id int64) error {
	if p.Volumes == nil {
		return nil
	}
	return p.Volumes.Remove(id)
}

// volumeUses adds volumes to what takes the disk.
func (p *Platform) volumeUses(ctx context.Context, uses []DiskUse) ([]DiskUse, error) {
	all, err := p.Store.Volumes(ctx)
	if err != nil || p.Volumes == nil {
		return uses, err
	}
	for _, v := range all {
		bytes, err := p.Volumes.Used(ctx, v.ID)
		if err != nil {
			return uses, err
		}
		u := DiskUse{Kind: "volume", Name: string(v.Name), Bytes: bytes, FreedBy: "storage:destroy " + string(v.Name)}
		if v.Trashed {
			u.FreedBy = "trash:empty"
		}
		if len(v.Apps) == 1 {
			u.App = v.Apps[0]
		} else {
			u.Apps = v.Apps
		}
		uses = append(uses, u)
	}
	return uses, nil
}

// place is where a mount's directory is, or why it cannot be had.
func (p *Platform) place(ctx context.Context, app AppName, m Mount) (VolumeMount, error) {
	to := VolumeMount{Target: m.Path, ReadOnly: m.ReadOnly}
	if path.IsAbs(m.Storage) {
		sub, err := p.belowHost(m.Storage)
		to.Dir, to.Sub = p.Settings.HostStorage, sub
		return to, err
	}
	v, err := p.Store.Volume(ctx, VolumeName(m.Storage))
	if err == nil && !slices.Contains(v.Apps, app) {
		err = noSuchVolume(app, m)
	}
	if KindOf(err) == NotFound {
		return to, noSuchVolume(app, m)
	}
	if err != nil || p.Volumes == nil {
		return to, err
	}
	to.Dir = p.Volumes.Path(v.ID)
	return to, p.Volumes.Make(v.ID, v.Size)
}

func noSuchVolume(app AppName, m Mount) *Error {
	return Errorf(Conflict, "%s has the volume %s at %s, which is not there any more", app, m.Storage, m.Path).
		WithHint("bring it back: ssh paas trash:restore %s; or do without: ssh paas storage:unmount %s %s", m.Storage, app, m.Storage)
}

// belowHost is the path of a directory below the one that admins may mount from.
func (p *Platform) belowHost(dir string) (sub string, err error) {
	allowed := p.Settings.HostStorage
	if allowed == "" {
		return "", Errorf(Denied, "directories of the host cannot be mounted here").
			WithHint("use a volume: ssh paas storage:create NAME; or set host_storage in the server's configuration")
	}
	rel, err := filepath.Rel(allowed, filepath.Clean(dir))
	if err != nil || rel == "." || rel == ".." || strings.HasPrefix(rel, "../") {
		return "", Errorf(Denied, "%s is not below %s, the directory that may be mounted from", dir, allowed)
	}
	return rel, nil
}

// places are the directories that a release's mounts show, by path inside. A mount that cannot be had is the error of
// the first instance that needs it.
func (p *Platform) places(ctx context.Context, r Release) (places, error) {
	list := places{}
	for _, m := range r.Spec.Mounts {
		at, err := p.place(ctx, r.App, m)
		var e *Error
		if err != nil && !errors.As(err, &e) {
			return nil, fmt.Errorf("mount %s of %s: %w", m.Storage, r.App, err)
		}
		list[m.Path] = placed{at, err}
	}
	return list, nil
}

// lost is why one of them cannot be had.
func (l places) lost() error {
	for _, at := range l {
		if at.err != nil {
			return at.err
		}
	}
	return nil
}

type placed struct {
	VolumeMount
	err error
}

type places map[string]placed

// mounts are those of a process type, or of one-off commands: these have what every type has.
func (w want) mounts(typ ProcessType) (list []VolumeMount, err error) {
	for _, m := range w.release.Spec.Mounts {
		if len(m.Types) > 0 && !slices.Contains(m.Types, typ) {
			continue
		}
		at, ok := w.places[w.release.Number][m.Path]
		if !ok {
			return nil, fmt.Errorf("mount %s of %s: nobody has looked where it is", m.Storage, w.app.Name)
		}
		list = append(list, at.VolumeMount)
		err = errors.Join(err, at.err)
	}
	return list, err
}
