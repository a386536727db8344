package platform

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
)

// PullInput is images:pull.
type PullInput struct {
	Reference string `arg:"reference"`
	PlainHTTP bool   `flag:"plain-http" help:"the registry has no TLS (admins only)"`
}

// PulledView is a pulled image as people see it.
type PulledView struct {
	Reference string    `json:"reference"`
	Digest    string    `json:"digest"`
	Layers    int       `json:"layers"`
	CreatedAt time.Time `json:"created_at"`
}

func (v Pulled) view() PulledView {
	return PulledView{v.Reference, v.Digest, len(v.Image.Layers), v.CreatedAt}
}

// Text implements the verbs' output.
func (v PulledView) Text(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%s\n%s\n", v.Reference, v.Digest)
	return err
}

// PullImage brings an image from another registry, to be deployed.
func (p *Platform) PullImage(ctx context.Context, call Call, in PullInput) (PulledView, error) {
	v, err := p.pull(ctx, call, in.Reference, in.PlainHTTP)
	return v.view(), err
}

func (p *Platform) pull(ctx context.Context, call Call, reference string, plain bool) (Pulled, error) {
	t, err := p.transfer(ctx, call, plain)
	if err != nil {
		return Pulled{}, err
	}
	v, err := p.Distribution.Pull(ctx, reference, t)
	if err != nil {
		return v, fmt.Errorf("pull %s: %w", reference, err)
	}
	v.CreatedAt = p.Now().UTC()
	return v, p.Store.SetPulled(ctx, v)
}

// transfer says what the caller may reach.
func (p *Platform) transfer(ctx context.Context, call Call, plain bool) (Transfer, error) {
	if plain && !call.Actor.Admin {
		return Transfer{}, Errorf(Denied, "--plain-http is for admins")
	}
	logins, err := p.Store.Logins(ctx)
	return Transfer{Logins: logins, Private: call.Actor.Admin, Plain: plain, Say: func(line string) {
		_, _ = fmt.Fprintln(call.Err, line) // the caller's going away ends ctx
	}}, err
}

// PulledList is images:pulled.
type PulledList []PulledView

// Text implements the verbs' output.
func (l PulledList) Text(w io.Writer) error {
	var rows [][]string
	for _, v := range l {
		rows = append(rows, []string{v.Reference, v.Digest, v.CreatedAt.Format(time.RFC3339)})
	}
	return table(w, []string{"REFERENCE", "DIGEST", "SINCE"}, rows)
}

// ListPulled shows what was pulled and loaded.
func (p *Platform) ListPulled(ctx context.Context, _ Call, _ struct{}) (PulledList, error) {
	all, err := p.Store.AllPulled(ctx)
	list := PulledList{}
	for _, v := range all {
		list = append(list, v.view())
	}
	return list, err
}

// ReferenceInput names an image that came from elsewhere.
type ReferenceInput struct {
	Reference string `arg:"reference"`
}

// ForgetPulled lets go of a pulled image. Releases made of it keep what they need.
func (p *Platform) ForgetPulled(ctx context.Context, _ Call, in ReferenceInput) (Done, error) {
	name, err := p.Distribution.Name(in.Reference)
	if err != nil {
		return Done{}, err
	}
	err = p.Store.RemovePulled(ctx, name)
	return donef("Forgot %s.", name), withHint(err, "see them: ssh paas images:pulled")
}

// ImagePushInput is images:push.
type ImagePushInput struct {
	Image     string `arg:"image" app:"image" help:"an app for its current release, or app@v12"`
	Reference string `arg:"reference"`
	PlainHTTP bool   `flag:"plain-http" help:"the registry has no TLS (admins only)"`
}

// PushedView is what images:push did.
type PushedView struct {
	App       AppName `json:"app"`
	Release   int     `json:"release"`
	Reference string  `json:"reference"`
	Digest    string  `json:"digest"`
}

// Text implements the verbs' output.
func (v PushedView) Text(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%s v%d is at %s\n%s\n", v.App, v.Release, v.Reference, v.Digest)
	return err
}

// PushImage sends a release's image to another registry.
func (p *Platform) PushImage(ctx context.Context, call Call, in ImagePushInput) (PushedView, error) {
	r, err := p.releaseNamed(ctx, in.Image)
	if err != nil {
		return PushedView{}, err
	}
	t, err := p.transfer(ctx, call, in.PlainHTTP)
	if err != nil {
		return PushedView{}, err
	}
	digest, err := p.Distribution.Push(ctx, r.Image, in.Reference, t)
	if err != nil {
		return PushedView{}, fmt.Errorf("push %s v%d to %s: %w", r.App, r.Number, in.Reference, err)
	}
	call.Audit.Changed("image "+in.Reference, "", digest)
	return PushedView{r.App, r.Number, in.Reference, digest}, nil
}

// releaseNamed finds what "blog" or "blog@v12" names.
func (p *Platform) releaseNamed(ctx context.Context, s string) (Release, error) {
	name, tag, given := strings.Cut(s, "@")
	app, err := p.find(ctx, name)
	if err != nil {
		return Release{}, err
	}
	number := app.Release
	if given {
		number = ReleaseTag(tag)
	}
	if given && number == 0 {
		return Release{}, Errorf(Usage, "%q is not a release: write it like %s@v12", s, name)
	}
	if number == 0 {
		return Release{}, Errorf(Conflict, "%s has no release yet", app.Name).WithHint("push it first: git push paas main")
	}
	return p.Store.Release(ctx, app.Name, number)
}

// LoadInput is images:load.
type LoadInput struct{}

// LoadImages reads an archive of images from standard input.
func (p *Platform) LoadImages(ctx context.Context, call Call, _ LoadInput) (PulledList, error) {
	if call.In == nil || call.Terminal != nil {
		return nil, Errorf(Usage, "the archive comes on standard input").WithHint("docker save NAME | ssh paas images:load")
	}
	t, err := p.transfer(ctx, call, false)
	if err != nil {
		return nil, err
	}
	all, err := p.Distribution.Load(ctx, call.In, t)
	if err != nil {
		return nil, fmt.Errorf("load archive: %w", err)
	}
	list := PulledList{}
	for _, v := range all {
		v.CreatedAt = p.Now().UTC()
		if err := p.Store.SetPulled(ctx, v); err != nil {
			return nil, err
		}
		list = append(list, v.view())
	}
	return list, nil
}

// SaveInput is images:save.
type SaveInput struct {
	Image string `arg:"image" app:"image" help:"an app for its current release, or app@v12"`
	OCI   bool   `flag:"oci" help:"an OCI layout only, without what docker load needs"`
}

// SaveImage writes a release's image to standard output.
func (p *Platform) SaveImage(ctx context.Context, call Call, in SaveInput) (Streamed, error) {
	if call.Terminal != nil {
		return Streamed{}, Errorf(Usage, "the archive goes to standard output, which is a terminal").
			WithHint("ssh paas images:save %s > image.tar", in.Image)
	}
	r, err := p.releaseNamed(ctx, in.Image)
	if err != nil {
		return Streamed{}, err
	}
	name := fmt.Sprintf("%s:v%d", r.App, r.Number)
	if err := p.Distribution.Save(ctx, r.Image, name, in.OCI, call.Out); err != nil {
		return Streamed{}, fmt.Errorf("save %s: %w", name, err)
	}
	call.Audit.Changed("image "+name, "", "written as an archive")
	return Streamed{}, nil
}
