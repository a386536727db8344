package platform

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// CopyOutInput is ps:cp-out.
type CopyOutInput struct {
	App     string `arg:"app"`
	Process string `arg:"process" help:"like web.1"`
	Path    string `arg:"path" help:"a file or directory in the instance"`
}

// CopyOut writes a file or directory of an instance to the caller as a tar stream.
func (p *Platform) CopyOut(ctx context.Context, call Call, in CopyOutInput) (Streamed, error) {
	if call.Terminal != nil {
		return Streamed{}, Errorf(Usage, "ps:cp-out writes an archive, which is not for a terminal").
			WithHint("ssh paas ps:cp-out %s %s %s | tar x", in.App, in.Process, in.Path)
	}
	i, leave, err := p.named(ctx, in.App, in.Process)
	if err != nil {
		return Streamed{}, err
	}
	defer leave()
	if err := p.Runner.CopyOut(ctx, i.ID, in.Path, call.Out); err != nil {
		return Streamed{}, fmt.Errorf("copy %s out of %s of %s: %w", in.Path, i.Name(), in.App, err)
	}
	call.Audit.Changed(in.Path+" of "+i.Name(), "", "copied out")
	p.sayOf(EventCopiedOut, i, call.Actor.Name, "%s was copied out of %s", in.Path, i.Name())
	return Streamed{}, nil
}

// CopyInInput is ps:cp-in.
type CopyInInput struct {
	App     string `arg:"app"`
	Process string `arg:"process" help:"like web.1"`
	Dir     string `arg:"directory" help:"an existing directory in the instance"`
	Owners  bool   `flag:"owners" help:"keep owners and modes of the archive; without it all is the app's"`
}

// CopyIn unpacks a tar stream from the caller below a directory of an instance.
func (p *Platform) CopyIn(ctx context.Context, call Call, in CopyInInput) (Done, error) {
	if call.Terminal != nil || call.In == nil {
		return Done{}, Errorf(Usage, "ps:cp-in reads an archive from its input").
			WithHint("tar c FILES | ssh paas ps:cp-in %s %s %s", in.App, in.Process, in.Dir)
	}
	i, leave, err := p.named(ctx, in.App, in.Process)
	if err != nil {
		return Done{}, err
	}
	defer leave()
	release, err := p.Store.Release(ctx, i.App, i.Release)
	if err != nil {
		return Done{}, err
	}
	to := CopyIn{Dir: in.Dir, UID: release.Image.UID, GID: release.Image.GID, Owners: in.Owners}
	if err := p.Runner.CopyIn(ctx, i.ID, to, call.In); err != nil {
		return Done{}, fmt.Errorf("copy into %s of %s: %w", i.Name(), in.App, err)
	}
	call.Audit.Changed(in.Dir+" of "+i.Name(), "", "an archive was copied there")
	p.sayOf(EventCopiedIn, i, call.Actor.Name, "an archive was copied to %s of %s", in.Dir, i.Name())
	return donef("Copied to %s of %s.", in.Dir, i.Name()), nil
}

// named finds the app and the one instance that a person named, and keeps them awake until leave.
func (p *Platform) named(ctx context.Context, app, process string) (i Instance, leave func(), err error) {
	a, err := p.find(ctx, app)
	if err != nil {
		return i, nil, err
	}
	if leave, err = p.visit(ctx, a.Name); err != nil {
		return i, nil, err
	}
	if i, err = p.one(ctx, a.Name, process); err != nil {
		leave()
		return i, nil, err
	}
	return i, leave, nil
}

// ProcessInput names one process of an app.
type ProcessInput struct {
	App     string `arg:"app"`
	Process string `arg:"process" optional:"true" help:"like web.1; without it the first web one"`
}

// ChangeList is ps:diff.
type ChangeList []Change

// Text implements the verbs' output.
func (l ChangeList) Text(w io.Writer) error {
	for _, c := range l {
		if _, err := fmt.Fprintf(w, "%s %s\n", c.Kind, printable(c.Path)); err != nil {
			return err
		}
	}
	return nil
}

// Diff lists what an instance wrote over its image.
func (p *Platform) Diff(ctx context.Context, _ Call, in ProcessInput) (ChangeList, error) {
	i, leave, err := p.named(ctx, in.App, in.Process)
	if err != nil {
		return nil, err
	}
	defer leave()
	release, err := p.Store.Release(ctx, i.App, i.Release)
	if err != nil {
		return nil, err
	}
	list, err := p.Runner.Changes(ctx, i.ID, release.Image.Layers)
	if err != nil {
		return nil, fmt.Errorf("compare %s of %s: %w", i.Name(), in.App, err)
	}
	return append(ChangeList{}, list...), nil
}

// CommitView is what ps:commit made.
type CommitView struct {
	Process string `json:"process"`
	Layer   string `json:"layer"`
	Release int    `json:"release"`
}

// Text implements the verbs' output.
func (v CommitView) Text(w io.Writer) error {
	_, err := fmt.Fprintf(w, "v%d is live: what %s wrote is its topmost layer, %s.\n", v.Release, v.Process, v.Layer)
	return err
}

// Commit makes a release of what an instance wrote: its image with one layer more. The next push builds
// from the source alone again.
func (p *Platform) Commit(ctx context.Context, call Call, in ProcessInput) (CommitView, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return CommitView{}, err
	}
	leave, err := p.enter(ctx, app.Name, call)
	if err != nil {
		return CommitView{}, err
	}
	defer leave()
	depart, err := p.visit(ctx, app.Name)
	if err != nil {
		return CommitView{}, err
	}
	defer depart()
	i, err := p.one(ctx, app.Name, in.Process)
	if err != nil {
		return CommitView{}, err
	}
	w, _, err := p.wanted(ctx, app.Name)
	if err != nil {
		return CommitView{}, err
	}
	if i.Release != w.release.Number {
		return CommitView{}, Errorf(Conflict, "%s of %s runs v%d, not the current v%d", i.Name(), app.Name, i.Release, w.release.Number)
	}
	if err := p.unlocked(ctx, app.Name); err != nil {
		return CommitView{}, err
	}
	v := CommitView{Process: i.Name()}
	if v.Layer, err = p.Runner.Commit(ctx, i.ID); err != nil {
		return v, fmt.Errorf("commit %s of %s: %w", i.Name(), app.Name, err)
	}
	r := w.release
	if r.Image, err = r.Image.with(v.Layer); err != nil {
		return v, err
	}
	r.Description, r.Actor = fmt.Sprintf("Commit %s of v%d", i.Name(), i.Release), call.Actor.Name
	if r, err = p.release(ctx, r, NewStory(call.Err, p.Now)); err != nil {
		return v, err
	}
	v.Release = r.Number
	p.sayOf(EventCommitted, i, call.Actor.Name, "v%d is live, with what %s wrote", r.Number, i.Name())
	return v, nil
}

// with is the image with one layer more on top, and so another image.
func (i Image) with(layer string) (Image, error) {
	i.Layers = append(slices.Clone(i.Layers), layer)
	i.ID = ""
	text, err := json.Marshal(i)
	if err != nil {
		return i, fmt.Errorf("name the image: %w", err)
	}
	sum := sha256.Sum256(text)
	i.ID = "sha256:" + hex.EncodeToString(sum[:])
	return i, nil
}
