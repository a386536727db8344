package platform

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
)

// Submission is a source tree that comes as an archive.
type Submission struct {
	App     App
	Branch  string
	Archive io.Reader
	Type    string // "tar", "tar.gz", "zip"; "" for what it looks like
	Name    string // of the author
	Email   string
	Message string
	At      time.Time
}

// Archives turns archives into commits; the git repositories are.
type Archives interface {
	// Submit reads an archive and calls deploy with a commit of what is in it, on top of the branch. Only when
	// deploy returns nil does the commit become part of the app's repository, and the branch move. It holds up
	// pushes to the app until then. Nothing in the archive is trusted; what git would refuse, what leads out of
	// the tree and what is too big is of kind Failed.
	Submit(ctx context.Context, s Submission, deploy func(commit string, source Tree) error) error
}

// FromArchiveInput is git:from-archive, in Dokku's words.
type FromArchiveInput struct {
	App   string `arg:"app"`
	From  string `arg:"url" help:"of the archive, or - for standard input"`
	Name  string `arg:"git-username" optional:"true" help:"the commit's author"`
	Email string `arg:"git-email" optional:"true"`
	Type  string `flag:"archive-type" value:"TYPE" help:"tar, tar.gz or zip; without it, what it looks like"`
}

// FromArchive deploys a source archive: its files become a commit in the app's repository, and that a push.
func (p *Platform) FromArchive(ctx context.Context, call Call, in FromArchiveInput) (Deployed, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return Deployed{}, err
	}
	if in.Type != "" && !slices.Contains([]string{"tar", "tar.gz", "tgz", "zip"}, in.Type) {
		return Deployed{}, Errorf(Usage, "%q is not a type of archive: tar, tar.gz and zip are", in.Type)
	}
	from, name, err := p.openArchive(ctx, call, in.From)
	if err != nil {
		return Deployed{}, err
	}
	defer func() { _ = from.Close() }()
	s := Submission{
		App: app, Branch: branchOf(app), Archive: from, Type: in.Type, Message: "Deploy " + name,
		Name: orElse(in.Name, call.Actor.Name), Email: orElse(in.Email, call.Actor.Name+"@"+p.Settings.Domain), At: p.Now(),
	}
	d := Deployed{App: app.Name, Reference: name, URL: p.URL(app.Name)}
	err = p.Archives.Submit(ctx, s, func(commit string, source Tree) error {
		r, err := p.Push(ctx, Push{Actor: call.Actor, App: app, Branch: s.Branch, Commit: commit, Source: source, Out: call.Err})
		d.Release, d.Digest = r.Number, commit
		return err
	})
	if err == nil && app.DeployBranch == "" {
		_, err = p.Store.SetDeployBranch(context.WithoutCancel(ctx), app.Name, s.Branch)
	}
	return d, err
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// branchOf is the branch that deploys, or will.
func branchOf(app App) string { return orElse(app.DeployBranch, "main") }

// openArchive is where an archive comes from, and what to call it.
func (p *Platform) openArchive(ctx context.Context, call Call, from string) (io.ReadCloser, string, error) {
	if from == "-" {
		if call.In == nil || call.Terminal != nil {
			return nil, "", Errorf(Usage, "the archive comes on standard input").
				WithHint("git archive HEAD | ssh paas git:from-archive APP -")
		}
		return io.NopCloser(call.In), "an archive", nil
	}
	u, err := url.Parse(from)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, "", Errorf(Usage, "%q is neither an http(s) address nor -", from)
	}
	t, err := p.transfer(ctx, call, false)
	if err != nil {
		return nil, "", err
	}
	body, err := p.Distribution.Download(ctx, from, t)
	if err != nil {
		return nil, "", fmt.Errorf("fetch archive: %w", err)
	}
	u.User = nil
	return body, orElse(path.Base(strings.TrimSuffix(u.Path, "/")), u.Host), nil
}
