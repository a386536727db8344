package platform

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"
)

// StackView is one variant of one version of a stack as people see it.
type StackView struct {
	Name        string    `json:"name"`
	Version     int       `json:"version"`
	Variant     string    `json:"variant"` // "run" is below apps, "build" below the steps that compile
	Current     bool      `json:"current"`
	Kept        bool      `json:"kept"` // its layer is there
	Digest      string    `json:"digest"`
	Debian      string    `json:"debian"`
	Bytes       int64     `json:"bytes"` // what the variant adds to the disk
	MadeAt      time.Time `json:"made_at"`
	Source      string    `json:"source"`
	Description string    `json:"description"`
	Apps        []AppName `json:"apps"` // whose current release is on it
}

// StackList is stacks:list, the newest version of each stack first.
type StackList struct {
	Stacks []StackView `json:"stacks"`
	now    time.Time
}

// Text implements the verbs' output.
func (l StackList) Text(w io.Writer) error {
	var rows [][]string
	for _, v := range l.Stacks {
		state, size := "kept", Bytes(v.Bytes)
		switch {
		case !v.Kept:
			state, size = "not kept", "-"
		case v.Current:
			state = "current"
		}
		rows = append(rows, []string{
			v.Name, fmt.Sprintf("v%d", v.Version), v.Variant, state, v.Digest, v.Debian, size,
			age(l.now.Sub(v.MadeAt)), appNames(v.Apps), v.Description,
		})
	}
	return table(w, []string{"STACK", "VERSION", "VARIANT", "STATE", "DIGEST", "DEBIAN", "SIZE", "AGE", "APPS", "WHAT"}, rows)
}

func appNames(apps []AppName) string {
	var names []string
	for _, a := range apps {
		names = append(names, string(a))
	}
	if len(names) == 0 {
		return "-"
	}
	return shortNames(names)
}

// ListStacks shows every version of every base image, with the apps that run on it.
func (p *Platform) ListStacks(ctx context.Context, call Call, _ struct{}) (StackList, error) {
	list := StackList{Stacks: []StackView{}, now: p.Now()}
	all, err := p.Store.Stacks(ctx)
	if err != nil || len(all) == 0 {
		return list, err
	}
	usage, err := p.Images.Usage()
	if err != nil {
		return list, err
	}
	bytes := map[string]int64{}
	for _, u := range usage {
		bytes[u.Layer] = u.Bytes
	}
	users, err := p.usersOfLayers(ctx)
	if err != nil {
		return list, err
	}
	sees, err := p.Sees(ctx, call.Actor)
	if err != nil {
		return list, err
	}
	for layer, apps := range users {
		users[layer] = slices.DeleteFunc(apps, func(name AppName) bool { return !sees(name) })
	}
	last := ""
	for _, s := range all {
		for _, v := range []StackView{
			{Variant: "run", Digest: s.Layer, Apps: append([]AppName{}, users[s.Layer]...)},
			{Variant: "build", Digest: p.Bases.BuildVariant(s), Apps: []AppName{}},
		} {
			v.Name, v.Version, v.Current, v.Debian = s.Name, s.Number, s.Name != last, s.Debian
			v.MadeAt, v.Source, v.Description = s.CreatedAt, s.Source, s.Description
			v.Bytes, v.Kept = bytes[v.Digest], p.Images.Kept([]string{v.Digest})
			list.Stacks = append(list.Stacks, v)
		}
		last = s.Name
	}
	return list, nil
}

// usersOfLayers tells which apps' current releases are on a base.
func (p *Platform) usersOfLayers(ctx context.Context) (map[string][]AppName, error) {
	images, err := p.currentImages(ctx)
	users := map[string][]AppName{}
	for _, at := range images {
		if on := at.Image.Stack; on != nil {
			users[on.Layer] = append(users[on.Layer], at.App)
		}
	}
	return users, err
}

// currentImages are the current releases of all apps that have one, by name.
func (p *Platform) currentImages(ctx context.Context) (list []Release, err error) {
	apps, err := p.Store.Apps(ctx)
	if err != nil {
		return nil, fmt.Errorf("list apps: %w", err)
	}
	for _, app := range apps {
		if app.Release == 0 {
			continue
		}
		r, err := p.Store.Release(ctx, app.Name, app.Release)
		if KindOf(err) == NotFound {
			continue // destroyed meanwhile
		}
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, nil
}

// UseStackInput is stacks:use.
type UseStackInput struct {
	App   string `arg:"app"`
	Stack string `arg:"stack" optional:"true" help:"what the next push builds on; without it the answer is what it is"`
}

// UseStack puts an app on another stack, from its next push on.
func (p *Platform) UseStack(ctx context.Context, call Call, in UseStackInput) (Done, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return Done{}, err
	}
	if in.Stack == "" {
		name, err := p.stackName(ctx, app.Name)
		return donef("%s is on the stack %s.", app.Name, name), err
	}
	if _, err := p.currentStack(ctx, in.Stack); err != nil && in.Stack != DefaultStack {
		return Done{}, err
	}
	value := in.Stack
	if value == DefaultStack {
		value = "" // an app that was never asked about follows the default
	}
	err = p.Store.ChangeSettings(ctx, app.Name, call.Actor.Name, []Setting{{Topic: StackTopic, Key: stackKey, Value: value}})
	return donef("The next push to %s builds on the stack %s.", app.Name, in.Stack), err
}

func versionName(s Stack) string { return fmt.Sprintf("%s v%d", s.Name, s.Number) }
