package platform

import (
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// MountInput is storage:mount.
type MountInput struct {
	App      string `arg:"app"`
	What     string `arg:"what" help:"volume:/path, the volume and where it is inside"`
	Dir      string `flag:"container-dir" value:"DIR" help:"Dokku's: where it is, if WHAT is the volume alone"`
	Process  string `flag:"process" short:"p" value:"TYPES" help:"only there: web,worker (default: all)"`
	ReadOnly bool   `flag:"read-only" help:"the app may not write there"`
	Create   bool   `flag:"create" help:"make the volume if it is not there"`
}

// Mounted is what storage:mount and storage:unmount did.
type Mounted struct {
	Done
	App     AppName `json:"app"`
	Storage string  `json:"storage"`
	Path    string  `json:"path"`
	Release int     `json:"release,omitempty"`
	Changed bool    `json:"changed"`
}

// MountVolume shows a volume, or for admins a directory of the host, in an app's instances: that makes a release.
func (p *Platform) MountVolume(ctx context.Context, call Call, in MountInput) (Mounted, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return Mounted{}, err
	}
	m, err := parseMount(in)
	if err != nil {
		return Mounted{}, err
	}
	if err := p.mayMount(ctx, call, app, m, in.Create); err != nil {
		return Mounted{}, err
	}
	what := fmt.Sprintf("Mount %s at %s", m.Storage, m.Path)
	made, err := p.amend(ctx, call, app.Name, what, func(r *Release) error { return r.Spec.mount(m) })
	done := Mounted{App: app.Name, Storage: m.Storage, Path: m.Path, Release: made.Release, Changed: made.Changed}
	if err != nil {
		return done, err
	}
	done.Message = told(made, fmt.Sprintf("%s has %s at %s", app.Name, m.Storage, m.Path))
	if made.Changed {
		p.say(Event{Kind: EventStorage, App: app.Name, Release: made.Release, Actor: call.Actor.Name, Text: what})
	}
	return done, nil
}

// told is the sentence of a change of a release.
func told(a Amended, what string) string {
	switch {
	case !a.Changed:
		return "No change: " + what + "."
	case a.Release == 0:
		return what + ", from its first push on."
	}
	return fmt.Sprintf("%s; v%d is live.", what, a.Release)
}

// mount adds a mount. The same one again is no change; another one at its path is an error.
func (s *Spec) mount(m Mount) error {
	for i, have := range s.Mounts {
		if have.Path != m.Path {
			continue
		}
		if have.Storage != m.Storage {
			return Errorf(Conflict, "%s has %s already", m.Path, have.Storage)
		}
		s.Mounts[i] = m
		return nil
	}
	s.Mounts = append(s.Mounts, m)
	return nil
}

// parseMount reads NAME:/path, /host/dir:/path, both with ":ro" behind it, and Dokku's NAME --container-dir /path.
func parseMount(in MountInput) (m Mount, err error) {
	storage, at, both := strings.Cut(in.What, ":")
	if !both {
		at = in.Dir
	} else if in.Dir != "" {
		return m, Errorf(Usage, "say where it is inside once: %s, or --container-dir %s", in.What, in.Dir)
	}
	at, options, _ := strings.Cut(at, ":")
	if options != "" && options != "ro" && options != "rw" {
		return m, Errorf(Usage, "%q is no option of a mount: there is ro", options)
	}
	m = Mount{Storage: dokkuVolume(storage), Path: path.Clean(at), ReadOnly: in.ReadOnly || options == "ro"}
	if !path.IsAbs(at) || m.Path == "/" || len(at) > maxMountPath || printable(at) != at {
		return m, Errorf(Usage, "%q is no place for a mount: write an absolute path other than /", at).
			WithHint("for example: ssh paas storage:mount %s uploads:/data", in.App)
	}
	for _, taken := range []string{"/proc", "/sys", "/dev"} {
		if m.Path == taken || strings.HasPrefix(m.Path, taken+"/") {
			return m, Errorf(Usage, "nothing can be mounted at %s: it is the kernel's", m.Path)
		}
	}
	if path.IsAbs(m.Storage) {
		m.Storage = path.Clean(m.Storage)
	} else if _, err := ParseVolumeName(m.Storage); err != nil {
		return m, err
	}
	m.Types, err = parseTypes(in.Process)
	return m, err
}

// maxMountPath is how many bytes a path inside may have.
const maxMountPath = 1024

// processTypeName is a DNS label, as Procfiles have them.
var processTypeName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$`)

func parseTypes(words string) (types []ProcessType, err error) {
	for word := range strings.SplitSeq(words, ",") {
		if word == "" && words == "" {
			return nil, nil
		}
		if !processTypeName.MatchString(word) {
			return nil, Errorf(Usage, "%q is no process type", word).WithHint("write --process web, or --process web,worker")
		}
		types = append(types, ProcessType(word))
	}
	return types, nil
}

// mayMount makes sure that the app may have the directory, and lets it.
func (p *Platform) mayMount(ctx context.Context, call Call, app App, m Mount, create bool) error {
	if path.IsAbs(m.Storage) {
		if !call.Actor.Admin {
			return Errorf(Denied, "directories of the host are for admins to mount").WithHint("use a volume: ssh paas storage:mount %s NAME:%s --create", app.Name, m.Path)
		}
		_, err := p.belowHost(m.Storage)
		return err
	}
	v, err := p.Store.Volume(ctx, VolumeName(m.Storage))
	if KindOf(err) == NotFound && create {
		if v, err = p.makeVolume(ctx, call, VolumeName(m.Storage), 0, app.Name); err == nil {
			_, _ = fmt.Fprintf(call.Err, "Made the volume %s.\n", v.Name)
		}
		return err
	}
	hidden := Errorf(NotFound, "there is no volume %q", m.Storage).
		WithHint("make it: ssh paas storage:mount %s %s:%s --create", app.Name, m.Storage, m.Path)
	switch {
	case KindOf(err) == NotFound:
		return hidden
	case err != nil || slices.Contains(v.Apps, app.Name):
		return err
	case !call.Actor.Admin && create:
		return Errorf(Conflict, "the name %s is taken", m.Storage).WithHint("choose another one, or have an admin share the volume")
	case !call.Actor.Admin: // that another app has one of the name is not for everybody to know
		return hidden
	}
	return p.share(ctx, call, app, v)
}

// share lets an app mount a volume that is not its own.
func (p *Platform) share(ctx context.Context, call Call, app App, v Volume) error {
	if ok, why := p.Volumes.Sharable(); !ok && len(v.Apps) > 0 {
		return Errorf(Conflict, "%s is a volume of %s, and two apps cannot have one on this host: %s", v.Name, v.Apps[0], why)
	}
	if err := p.Store.ShareVolume(ctx, v.Name, app.Name, true); err != nil {
		return err
	}
	p.say(Event{Kind: EventStorage, App: app.Name, Actor: call.Actor.Name, Text: fmt.Sprintf("it may mount the volume %s", v.Name)})
	return nil
}

// UnmountInput is storage:unmount.
type UnmountInput struct {
	App  string `arg:"app"`
	What string `arg:"volume" help:"the volume, its path inside, or both: uploads:/data"`
	Dir  string `flag:"container-dir" value:"DIR" help:"Dokku's: which of its paths, if it has several"`
}

// UnmountVolume takes a mount away: that makes a release. What is in the volume stays.
func (p *Platform) UnmountVolume(ctx context.Context, call Call, in UnmountInput) (Mounted, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return Mounted{}, err
	}
	storage, at, _ := strings.Cut(in.What, ":")
	at, _, _ = strings.Cut(at, ":")
	if at == "" {
		at = in.Dir
	}
	storage = dokkuVolume(storage)
	made, err := p.amend(ctx, call, app.Name, "Unmount "+storage, func(r *Release) error { return r.Spec.unmount(app.Name, storage, at) })
	done := Mounted{App: app.Name, Storage: storage, Path: at, Release: made.Release, Changed: made.Changed}
	if err != nil {
		return done, err
	}
	done.Message = told(made, fmt.Sprintf("%s does without %s", app.Name, storage))
	p.say(Event{Kind: EventStorage, App: app.Name, Release: made.Release, Actor: call.Actor.Name, Text: "Unmount " + storage})
	return done, nil
}

func (s *Spec) unmount(app AppName, storage, at string) error {
	before := len(s.Mounts)
	s.Mounts = slices.DeleteFunc(s.Mounts, func(m Mount) bool {
		return (m.Storage == storage || m.Path == storage) && (at == "" || m.Path == path.Clean(at))
	})
	if len(s.Mounts) == before {
		return Errorf(NotFound, "%s has no mount %s", app, storage).WithHint("see what it has: ssh paas storage:list %s", app)
	}
	return nil
}
