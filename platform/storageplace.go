package platform

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

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
