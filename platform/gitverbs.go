package platform

import (
	"context"
	"io"
	"regexp"
	"strings"
	"time"
)

// FromImageInput is git:from-image, in Dokku's words.
type FromImageInput struct {
	App       string `arg:"app"`
	Reference string `arg:"image"`
	Name      string `arg:"git-username" optional:"true" help:"taken for Dokku's sake; a release has the key's name"`
	Email     string `arg:"git-email" optional:"true"`
	PlainHTTP bool   `flag:"plain-http" help:"the registry has no TLS (admins only)"`
}

// FromImage is images:deploy under the name that Dokku gives it.
func (p *Platform) FromImage(ctx context.Context, call Call, in FromImageInput) (Deployed, error) {
	return p.DeployImage(ctx, call, DeployImageInput{App: in.App, Reference: in.Reference, PlainHTTP: in.PlainHTTP})
}

// LoadImageInput is git:load-image, in Dokku's words.
type LoadImageInput struct {
	App       string `arg:"app"`
	Reference string `arg:"image" help:"as it is called in the archive, like blog:1.4"`
	Name      string `arg:"git-username" optional:"true" help:"taken for Dokku's sake; a release has the key's name"`
	Email     string `arg:"git-email" optional:"true"`
}

// LoadImage deploys an image out of a docker save archive on standard input.
func (p *Platform) LoadImage(ctx context.Context, call Call, in LoadImageInput) (Deployed, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return Deployed{}, err
	}
	wanted, err := p.Distribution.Name(in.Reference)
	if err != nil {
		return Deployed{}, err
	}
	if call.In == nil || call.Terminal != nil {
		return Deployed{}, Errorf(Usage, "the archive comes on standard input").
			WithHint("docker save %s | ssh paas git:load-image %s %s", in.Reference, app.Name, in.Reference)
	}
	t, err := p.transfer(ctx, call, false)
	if err != nil {
		return Deployed{}, err
	}
	all, err := p.Distribution.Load(ctx, call.In, t)
	if err != nil {
		return Deployed{}, err
	}
	var names []string
	for _, v := range all {
		if v.Reference == wanted {
			return p.deployLoaded(ctx, call, app, v)
		}
		names = append(names, v.Reference)
	}
	return Deployed{}, Errorf(NotFound, "the archive has no image %s, but %s", wanted, strings.Join(names, ", "))
}

func (p *Platform) deployLoaded(ctx context.Context, call Call, app App, v Pulled) (Deployed, error) {
	v.CreatedAt = p.Now().UTC()
	if err := p.Store.SetPulled(ctx, v); err != nil {
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

// SetGitInput is git:set, in Dokku's words.
type SetGitInput struct {
	App      string `arg:"app"`
	Property string `arg:"property" help:"deploy-branch"`
	Value    string `arg:"value" optional:"true" help:"without it, the next push decides"`
}

// branchWord is a branch's name as git allows it (git-check-ref-format(1)), a bit stricter.
var branchWord = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_./+-]{0,199}$`)

// SetGit sets which branch's pushes deploy.
func (p *Platform) SetGit(ctx context.Context, call Call, in SetGitInput) (Done, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return Done{}, err
	}
	if in.Property != "deploy-branch" {
		return Done{}, Errorf(Usage, "%q cannot be set here; deploy-branch can", in.Property)
	}
	odd := strings.Contains(in.Value, "..") || strings.Contains(in.Value, "//") ||
		strings.HasSuffix(in.Value, "/") || strings.HasSuffix(in.Value, ".") || strings.HasSuffix(in.Value, ".lock")
	if in.Value != "" && (odd || !branchWord.MatchString(in.Value)) {
		return Done{}, Errorf(Usage, "%q is not a branch's name", in.Value)
	}
	if err := p.Store.ChangeDeployBranch(ctx, app.Name, in.Value); err != nil {
		return Done{}, err
	}
	if in.Value == "" {
		return donef("The branch that is pushed to %s next deploys.", app.Name), nil
	}
	return donef("Pushes to %s of %s deploy.", in.Value, app.Name), nil
}

// GitReport is git:report.
type GitReport struct {
	App          AppName    `json:"app"`
	DeployBranch string     `json:"deploy_branch"`
	Commit       string     `json:"sha"`          // of the current release; empty for an image from elsewhere
	Source       string     `json:"source_image"` // of an image from elsewhere
	UpdatedAt    *time.Time `json:"last_updated_at"`
}

// Text implements the verbs' output.
func (r GitReport) Text(w io.Writer) error {
	updated := ""
	if r.UpdatedAt != nil {
		updated = r.UpdatedAt.Format(time.RFC3339)
	}
	return table(w, nil, [][]string{
		{"app", string(r.App)}, {"deploy branch", r.DeployBranch}, {"sha", r.Commit},
		{"source image", r.Source}, {"last updated at", updated},
	})
}

// ReportGit shows where an app's code comes from.
func (p *Platform) ReportGit(ctx context.Context, _ Call, in AppInput) (GitReport, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return GitReport{}, err
	}
	r := GitReport{App: app.Name, DeployBranch: branchOf(app)}
	if app.Release == 0 {
		return r, nil
	}
	now, err := p.Store.Release(ctx, app.Name, app.Release)
	if err != nil {
		return r, err
	}
	r.Commit, r.UpdatedAt = now.Commit, &now.CreatedAt
	if reference, ok := strings.CutPrefix(now.Description, "Deploy "); ok && now.Commit == "" {
		r.Source = reference
	}
	return r, nil
}
