package platform

import (
	"context"
	"fmt"
	"io"
	"strings"
)

// DeployImageInput is images:deploy.
type DeployImageInput struct {
	App       string `arg:"app"`
	Reference string `arg:"reference"`
	PlainHTTP bool   `flag:"plain-http" help:"the registry has no TLS (admins only)"`
}

// Deployed is a release that went live.
type Deployed struct {
	App       AppName `json:"app"`
	Release   int     `json:"release"`
	Reference string  `json:"reference"`
	Digest    string  `json:"digest"`
	URL       string  `json:"url"`
}

// Text implements the verbs' output.
func (d Deployed) Text(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%s v%d is live with %s\n%s\n", d.App, d.Release, d.Reference, d.URL)
	return err
}

// DeployImage makes a release of an image: one of our own registry, one that was pulled or loaded, or
// one that it pulls now, in this order.
func (p *Platform) DeployImage(ctx context.Context, call Call, in DeployImageInput) (Deployed, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return Deployed{}, err
	}
	v, err := p.imageNamed(ctx, call, in)
	if err != nil {
		return Deployed{}, err
	}
	leave, err := p.enter(ctx, app.Name, call)
	if err != nil {
		return Deployed{}, err
	}
	defer leave()
	story := NewStory(call.Err, p.Now)
	r, err := p.releaseImage(ctx, call.Actor, app.Name, v, story)
	if err != nil {
		return Deployed{}, p.endDeploy(ctx, deploying{app: app, actor: call.Actor, change: "Deploy " + v.Reference, story: story}, r, err)
	}
	return Deployed{app.Name, r.Number, v.Reference, v.Digest, p.URL(app.Name)}, nil
}

// releaseImage is buildAndRelease without the build. The caller holds the app's lane.
func (p *Platform) releaseImage(ctx context.Context, actor Actor, name AppName, v Pulled, story *Story) (Release, error) {
	app, err := p.Store.App(ctx, name)
	if err != nil {
		return Release{}, err
	}
	config, err := p.Store.Config(ctx, app.Name)
	if err != nil {
		return Release{}, err
	}
	if config, err = p.firstConfig(app, v.Image, config, story); err != nil {
		return Release{}, err
	}
	return p.release(ctx, Release{
		App: app.Name, Image: v.Image, Config: config, Actor: actor.Name, Description: "Deploy " + v.Reference,
		Deployed: true,
	}, story)
}

func (p *Platform) imageNamed(ctx context.Context, call Call, in DeployImageInput) (Pulled, error) {
	own, ours := strings.CutPrefix(in.Reference, p.RegistryHost())
	if ours {
		_, own, _ = strings.Cut(own, "/") // maybe with a port
	}
	if !ours {
		own = in.Reference
	}
	v, err := p.ownImage(ctx, own)
	if ours || KindOf(err) != NotFound {
		return v, err
	}
	if first, _, _ := strings.Cut(own, "/"); p.isApp(ctx, first) {
		return v, withHint(err, "for an image of the same name on Docker Hub write docker.io/%s", in.Reference)
	}
	name, err := p.Distribution.Name(in.Reference)
	if err != nil {
		return Pulled{}, err
	}
	v, err = p.Store.Pulled(ctx, name)
	if KindOf(err) != NotFound {
		return v, err
	}
	return p.pull(ctx, call, in.Reference, in.PlainHTTP)
}

// isApp tells whether a reference's first part is an app's name, maybe with a tag or digest.
func (p *Platform) isApp(ctx context.Context, s string) bool {
	name := s
	if i := strings.IndexAny(s, ":@"); i >= 0 {
		name = s[:i]
	}
	_, err := p.Store.App(ctx, AppName(name))
	return err == nil
}

// ownImage finds what our own registry has under "blog:v12", "blog/worker:edge" or "library/x@sha256:…".
func (p *Platform) ownImage(ctx context.Context, reference string) (Pulled, error) {
	name, ref, digest := strings.Cut(reference, "@")
	if !digest {
		name, ref = cutTag(reference)
	}
	repo, err := ParseRepository(name)
	if err != nil {
		return Pulled{}, Errorf(NotFound, "our own registry has no %s", reference)
	}
	number := ReleaseTag(ref)
	if number == 0 || string(repo.App()) != name {
		return p.Distribution.Pushed(ctx, repo, ref)
	}
	r, err := p.Store.Release(ctx, repo.App(), number)
	return Pulled{Reference: reference, Digest: r.Image.ID, Image: r.Image}, err
}

// cutTag splits "blog:edge"; without a tag it is "latest", as everywhere.
func cutTag(reference string) (name, tag string) {
	i := strings.LastIndexByte(reference, ':')
	if i < strings.LastIndexByte(reference, '/') || i < 0 {
		return reference, "latest"
	}
	return reference[:i], reference[i+1:]
}
