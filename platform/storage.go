package platform

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
)

// mostVolumes bounds how many volumes a host has.
const mostVolumes = 10_000

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
