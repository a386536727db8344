package buildpacks

import (
	"maps"
	"slices"

	"paas/buildpacks/heroku"
	"paas/buildpacks/plan"
)

// composition is several plans becoming one: the toolchains of all below, then what needs little of the
// source, the source, and what needs all of it, each in the plans' order.
type composition struct {
	plan          plan.Plan
	before, after []plan.Step
	source        plan.Step
	names         map[string]bool // of steps
}

// compose makes one plan of several. Processes are those of the last one, as Heroku has it; where the last
// one has none, and is one of our own, those of the one before it.
func compose(plans []plan.Plan) plan.Plan {
	if len(plans) == 1 {
		return plans[0]
	}
	c := composition{source: plan.Step{Name: "app", Files: []string{"/"}}, names: map[string]bool{"app": true}}
	c.plan.Env = map[string]string{}
	for _, p := range plans {
		c.add(p)
	}
	c.plan.Steps = slices.Concat(c.before, []plan.Step{c.source}, c.after)
	return c.plan
}

func (c *composition) add(p plan.Plan) {
	third := len(c.plan.Buildpacks) > 0 // those before this one
	c.addSteps(p, third)
	c.addToolchains(p.Toolchains)
	c.plan.Packages = slices.Compact(slices.Sorted(slices.Values(slices.Concat(c.plan.Packages, p.Packages))))
	maps.Copy(c.plan.Env, p.Env)
	c.plan.Path = slices.Concat(p.Path, c.plan.Path)
	c.plan.Warnings = append(c.plan.Warnings, p.Warnings...)
	c.plan.Notes = append(c.plan.Notes, p.Notes...)
	c.plan.Profile = c.plan.Profile || p.Profile
	c.plan.Builder, c.plan.Detected, c.plan.Release = p.Builder, p.Detected, 0
	if p.Release > 0 {
		c.plan.Release = len(c.plan.Buildpacks) + p.Release
		c.plan.Processes = nil
	}
	c.plan.Buildpacks = append(c.plan.Buildpacks, p.Buildpacks...)
	if len(p.Processes) > 0 {
		c.plan.Processes = p.Processes
	}
}

// addSteps keeps the order among buildpacks that may need what those before them made: behind one of a git
// repository everything comes after the source.
func (c *composition) addSteps(p plan.Plan, third bool) {
	at := slices.IndexFunc(p.Steps, plan.Step.IsSource)
	for i, s := range p.Steps {
		switch {
		case i == at:
			c.source.Except = append(c.source.Except, s.Except...)
			continue
		case s.Buildpack > 0:
			n := len(c.plan.Buildpacks) + s.Buildpack
			s = heroku.Step(n, p.Buildpacks[s.Buildpack-1])
		case third && !s.IsSource():
			s = heroku.After(s)
		}
		s.Name = c.name(s.Name, p)
		if i < at && !third {
			c.before = append(c.before, s)
			continue
		}
		c.after = append(c.after, s)
	}
}

// name keeps the names of steps apart.
func (c *composition) name(name string, p plan.Plan) string {
	if c.names[name] {
		name = p.Language() + " " + name
	}
	c.names[name] = true
	return name
}

// addToolchains has each toolchain once; one that a running app needs is no build-only one.
func (c *composition) addToolchains(list []plan.Toolchain) {
	for _, t := range list {
		i := slices.IndexFunc(c.plan.Toolchains, func(have plan.Toolchain) bool { return have.Name == t.Name })
		if i < 0 {
			c.plan.Toolchains = append(c.plan.Toolchains, t)
			continue
		}
		have := &c.plan.Toolchains[i]
		have.Build = have.Build && t.Build
		if have.Version == "" {
			have.Version, have.From = t.Version, t.From
		}
	}
}
