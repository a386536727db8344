package platform

import (
	"context"
	"fmt"
	"io"
)

// Repositories reads the apps' git repositories.
type Repositories interface {
	// Source opens the tree of a revision: a full commit id, a branch, or empty for the head of the branch
	// that deploys. An unknown one is an *Error of kind NotFound. The caller closes it.
	Source(ctx context.Context, app App, revision string) (Source, error)
}

// Source is a commit whose tree can be read until Close.
type Source struct {
	Commit string // hex id
	Tree   Tree
	Close  func()
}

// RebuildInput is ps:rebuild.
type RebuildInput struct {
	App string `arg:"app" optional:"true"`
	All bool   `flag:"all" help:"every app that was built from source, one after the other"`
}

// Rebuilt is what ps:rebuild put live.
type Rebuilt []RebuiltApp

// RebuiltApp is one app of it.
type RebuiltApp struct {
	App     AppName `json:"app"`
	Release int     `json:"release"`
	Commit  string  `json:"commit"`
	URL     string  `json:"url"`
}

// Text implements the verbs' output.
func (list Rebuilt) Text(w io.Writer) error {
	for _, r := range list {
		if _, err := fmt.Fprintf(w, "%s v%d is live with commit %s\n%s\n", r.App, r.Release, shortCommit(r.Commit), r.URL); err != nil {
			return err
		}
	}
	return nil
}

// Rebuild builds the commit that serves once more, with the settings and toolchains of today, and puts
// the result live like a push of it.
func (p *Platform) Rebuild(ctx context.Context, call Call, in RebuildInput) (Rebuilt, error) {
	if in.All == (in.App != "") {
		return nil, Errorf(Usage, "name one app, or write --all")
	}
	apps, err := p.oneOrAll(ctx, call, in.App)
	if err != nil {
		return nil, err
	}
	list := Rebuilt{}
	for _, app := range apps {
		if in.All && !p.fromSource(ctx, app) {
			continue
		}
		r, err := p.rebuild(ctx, call, app)
		if err != nil {
			return list, err
		}
		list = append(list, r)
	}
	return list, nil
}

func (p *Platform) fromSource(ctx context.Context, app App) bool {
	r, err := p.Store.Release(ctx, app.Name, app.Release)
	return err == nil && r.Commit != ""
}

func (p *Platform) rebuild(ctx context.Context, call Call, app App) (RebuiltApp, error) {
	commit := ""
	if app.Release > 0 {
		r, err := p.Store.Release(ctx, app.Name, app.Release)
		if err != nil {
			return RebuiltApp{}, err
		}
		commit = r.Commit
	}
	src, err := p.Repositories.Source(ctx, app, commit)
	if err != nil {
		return RebuiltApp{}, err
	}
	defer src.Close()
	r, err := p.Push(ctx, Push{Actor: call.Actor, App: app, Branch: app.DeployBranch, Commit: src.Commit, Source: src.Tree, Out: call.Err})
	return RebuiltApp{App: app.Name, Release: r.Number, Commit: src.Commit, URL: p.URL(app.Name)}, err
}

// buildRequest is a build of the source with what the app has now.
func (p *Platform) buildRequest(ctx context.Context, app App, src Source) (BuildRequest, error) {
	config, err := p.Store.Config(ctx, app.Name)
	if err != nil {
		return BuildRequest{}, err
	}
	choice, err := p.buildChoice(ctx, app.Name)
	if err != nil {
		return BuildRequest{}, err
	}
	team, err := p.team(ctx, app.Name)
	return BuildRequest{App: app, Source: src.Tree, Commit: src.Commit, Config: config, Choice: choice, Team: team}, err
}
