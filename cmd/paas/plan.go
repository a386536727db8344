package main

import (
	"context"
	"encoding/json"
	"flag"
	"strings"

	"paas/buildpacks"
	"paas/platform"
)

// buildPlan prints how a directory would be built.
func buildPlan(ctx context.Context, args []string, env environ) error {
	set := newFlags("build:plan")
	choice := choiceFlags(set)
	if err := flags(set, args, 1, env); err != nil {
		return err
	}
	tree, err := buildpacks.DirTree(set.Arg(0))
	if err != nil {
		return err
	}
	_, plan, err := buildpacks.Choose(ctx, platform.BuildRequest{Source: tree, Choice: *choice})
	if err != nil {
		return err
	}
	enc := json.NewEncoder(env.stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(plan)
}

// choiceFlags are what builder:set and buildpacks:set choose for an app.
func choiceFlags(set *flag.FlagSet) *platform.BuildChoice {
	c := &platform.BuildChoice{}
	set.StringVar(&c.Builder, "builder", "", "buildpacks, dockerfile, pack, static or procfile (default: found out)")
	set.StringVar(&c.Dir, "build-dir", "", "directory below DIR that is the app")
	set.StringVar(&c.Dockerfile, "dockerfile-path", "", "path of the Dockerfile")
	set.StringVar(&c.Procfile, "procfile-path", "", "path of the Procfile")
	set.StringVar(&c.AppJSON, "appjson-path", "", "path of the app.json")
	set.StringVar(&c.Project, "projecttoml-path", "", "path of the project.toml")
	set.Func("buildpacks", "buildpacks, separated by commas", func(text string) error {
		c.Buildpacks = strings.Split(text, ",")
		return nil
	})
	return c
}
