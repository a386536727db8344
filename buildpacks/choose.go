package buildpacks

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"paas/buildpacks/foreign"
	"paas/buildpacks/heroku"
	"paas/buildpacks/node"
	"paas/buildpacks/php"
	"paas/buildpacks/plan"
	"paas/buildpacks/procfile"
	"paas/buildpacks/source"
	"paas/platform"
)

// Which builder an app gets is decided in this order:
//
//	builder:set                                  the owner
//	buildpacks:set, then BUILDPACK_URL           the owner's list, the app's config var or its .env
//	.buildpacks, then app.json buildpacks        the source's list
//	project.toml                                 Cloud Native Buildpacks
//	heroku.yml build.docker, then Dockerfile     an image of its own
//	languages by their files, a site, a Procfile
//
// Whatever it is, the Procfile and app.json are read, and .slugignore, or the descriptor's exclude and
// include, say what is no part of the app.
type chooser struct {
	choice  platform.BuildChoice
	config  platform.Config
	src     platform.Tree // what is built
	tree    *source.Tree  // the same
	dir     string        // of the repository, that src is
	says    declarations
	project foreign.Project
	hasProj bool
	docker  foreign.Manifest
	extra   foreign.Commands
}

// Choose plans a build of the request's source. The tree is the part of the source that is the app. Equal
// requests have equal plans; nothing in the tree is run and nothing fetched. What the pusher can mend is a
// *platform.Error of kind Failed.
func Choose(ctx context.Context, req platform.BuildRequest) (platform.Tree, plan.Plan, error) {
	if err := ctx.Err(); err != nil {
		return nil, plan.Plan{}, fmt.Errorf("detect app: %w", err)
	}
	c := chooser{choice: req.Choice, config: req.Config, src: req.Source}
	if err := c.open(); err != nil {
		return nil, plan.Plan{}, err
	}
	if err := c.read(); err != nil {
		return nil, plan.Plan{}, err
	}
	c.tree = c.tree.WithConfig(c.config)
	p, err := c.plan()
	if err != nil {
		return nil, plan.Plan{}, err
	}
	c.finish(&p)
	if p.Release > 0 {
		return c.src, p, nil // its processes are known when it has run
	}
	return c.src, p, runnable(c.tree, p)
}

// open finds the part of the source that is the app.
func (c *chooser) open() (err error) {
	if c.tree, err = source.Open(c.src); err != nil {
		return fmt.Errorf("detect app: %w", err)
	}
	if c.choice.Dir == "" {
		return nil
	}
	if !c.tree.HasDir(c.choice.Dir) {
		return platform.Errorf(platform.Failed, "the app is in the directory %s by its settings, which the source does not have", c.choice.Dir).
			WithHint("correct it: ssh paas builder:set APP build-dir DIRECTORY (without one it is the top)")
	}
	c.dir = c.choice.Dir
	if node.IsMember(c.tree, c.dir) {
		c.tree = c.tree.WithPart(c.dir)
		return nil
	}
	return c.narrow(c.dir, "", nil)
}

// narrow makes a part of the source all that there is.
func (c *chooser) narrow(dir, why string, drop func(string) bool) (err error) {
	part := c.tree.Part()
	if c.src, err = source.View(c.src, dir, why, drop); err != nil {
		return fmt.Errorf("detect app: %w", err)
	}
	if c.tree, err = source.Open(c.src); err == nil && part != "" {
		c.tree = c.tree.WithPart(part)
	}
	return err
}

// read reads what the source says about its build, whatever its language.
func (c *chooser) read() (err error) {
	if c.project, c.hasProj, err = foreign.ReadProject(c.tree, cmp.Or(c.choice.Project, foreign.ProjectName)); err != nil {
		return err
	}
	if err := c.exclude(); err != nil {
		return err
	}
	own := c.tree.OfPart()
	if c.says, err = readDeclarations(own, c.choice); err != nil {
		return err
	}
	if c.docker, err = foreign.ReadManifest(own); err != nil {
		return err
	}
	c.extra, err = foreign.ReadCommands(own)
	return err
}

// exclude drops what is no part of the app.
func (c *chooser) exclude() error {
	lines, ok, err := foreign.ReadIgnore(c.tree)
	if err != nil {
		return err
	}
	if ok {
		if err := c.narrow("", fmt.Sprintf("without %q", lines), foreign.ParsePatterns(lines).Match); err != nil {
			return err
		}
	}
	if len(c.project.Exclude) > 0 {
		if err := c.narrow("", fmt.Sprintf("without %q", c.project.Exclude), foreign.ParsePatterns(c.project.Exclude).Match); err != nil {
			return err
		}
	}
	if len(c.project.Include) == 0 {
		return nil
	}
	only := foreign.ParsePatterns(c.project.Include)
	return c.narrow("", fmt.Sprintf("only %q", c.project.Include), func(path string) bool { return !only.Match(path) })
}

// plan decides.
func (c *chooser) plan() (plan.Plan, error) {
	switch c.choice.Builder {
	case platform.BuildWithDockerfile:
		return c.fromDockerfile(c.dockerfile(), "builder:set")
	case platform.BuildWithPack:
		return c.fromImage()
	case platform.BuildWithStatic:
		return planNamed(plan.Static, "builder:set", c.tree, c.says)
	case platform.BuildWithProcfile:
		return procfilePlan(cmp.Or(c.says.procfile, procfile.Name)), nil
	}
	names, from, err := c.list()
	if err != nil || len(names) > 0 {
		return c.fromList(names, from, err)
	}
	if c.choice.Builder != "" {
		return detectLanguage(c.tree, c.says)
	}
	if c.hasProj {
		if p, ok, err := c.fromProject(); ok || err != nil {
			return p, err
		}
	}
	return c.detect()
}

// list finds the names of buildpacks, and who names them.
func (c *chooser) list() (names []string, from string, err error) {
	if len(c.choice.Buildpacks) > 0 {
		return c.choice.Buildpacks, "buildpacks:set", nil
	}
	url, own := c.config[foreign.URLName], c.tree.OfPart()
	if url == "" {
		if url, err = foreign.ReadURL(own); err != nil {
			return nil, "", err
		}
	}
	if url != "" {
		return []string{url}, foreign.URLName, nil
	}
	if names, err = foreign.ReadList(own); err != nil || len(names) > 0 {
		return names, foreign.ListName, err
	}
	return c.says.app.Buildpacks, "app.json buildpacks", nil
}

// fromList plans the buildpacks of a list, in their order.
func (c *chooser) fromList(names []string, from string, err error) (plan.Plan, error) {
	if err != nil {
		return plan.Plan{}, err
	}
	var packs []heroku.Buildpack
	var notes []string
	for _, name := range names {
		b, err := heroku.Parse(name)
		if err != nil {
			return plan.Plan{}, asFailed(err, from)
		}
		if note := b.Note(); note != "" {
			notes = append(notes, note)
		}
		if !b.Spare && (b.Ours == "" || !slices.ContainsFunc(packs, func(p heroku.Buildpack) bool { return p.Ours == b.Ours })) {
			packs = append(packs, b)
		}
	}
	p, err := c.planList(packs, from)
	p.Notes = slices.Concat(notes, p.Notes)
	p.Detected = from
	return p, err
}

// planList plans each buildpack and composes them. Only those that are listed do something: another
// language of ours does not build a package.json's assets by itself then.
func (c *chooser) planList(packs []heroku.Buildpack, from string) (plan.Plan, error) {
	if len(packs) == 0 {
		return detectLanguage(c.tree, c.says)
	}
	var plans []plan.Plan
	for _, b := range packs {
		if b.Ours == "" {
			plans = append(plans, heroku.Plan(b.Git))
			continue
		}
		tree := c.tree
		if b.Ours != plan.Node && b.Ours != plan.Static {
			tree = tree.Without(node.Manifest)
		}
		p, err := planListed(b, len(packs) > 1, tree, c.says)
		if err != nil {
			return plan.Plan{}, err
		}
		plans = append(plans, p)
	}
	return compose(plans), nil
}

// planListed plans one of several: a site is not left by Node.js alone when others come behind it.
func planListed(b heroku.Buildpack, several bool, tree *source.Tree, says declarations) (plan.Plan, error) {
	if b.Ours == plan.Node && several && node.Detect(tree) {
		return node.Plan(tree)
	}
	if b.Ours == plan.Static && several {
		return planServed(tree)
	}
	return planNamed(b.Ours, b.Name, tree, says)
}

// asFailed makes a mistake in a file or setting one of the pusher's.
func asFailed(err error, from string) error {
	human, ok := err.(*platform.Error) //nolint:errorlint // it is not wrapped: heroku.Parse says so
	if !ok {
		return err
	}
	return platform.Errorf(platform.Failed, "%s: %s", from, human.Message).WithHint("%s", human.Hint)
}

// finish puts over the plan what the app says, whatever its language.
func (c *chooser) finish(p *plan.Plan) {
	p.Dir = c.dir
	p.Profile = p.Profile || c.tree.Has(".profile") || c.tree.HasDir(".profile.d")
	c.runCommands(p)
	c.addEnv(p)
	p.Warnings = append(p.Warnings, c.docker.Warnings...)
	c.says.addTo(p)
	php.Translate(p)
}

// runCommands takes over the build and start commands of other platforms' files. A Procfile goes before.
func (c *chooser) runCommands(p *plan.Plan) {
	processes := map[platform.ProcessType]string{}
	maps.Copy(processes, p.Processes)
	if c.extra.Start != "" {
		processes[platform.Web] = c.extra.Start
	}
	maps.Copy(processes, c.docker.Run)
	p.Processes = processes
	if len(c.extra.Build) > 0 {
		replaceBuild(p, c.extra)
	}
	if c.extra.Start != "" || len(c.extra.Build) > 0 {
		p.Notes = append(p.Notes, "Of "+c.extra.File+" the build and start commands are taken over, and nothing else.")
	}
}

// replaceBuild runs other commands in place of the first one of the step called build: what follows it there
// removes what only builds need.
func replaceBuild(p *plan.Plan, extra foreign.Commands) {
	i := slices.IndexFunc(p.Steps, func(s plan.Step) bool { return s.Name == "build" && !s.IsSource() })
	if i < 0 {
		p.Steps = append(p.Steps, plan.Step{Name: "build", Files: []string{}, Commands: extra.Build, Config: true})
		return
	}
	s := p.Steps[i]
	own := s.Commands[:1]
	if !extra.Extend {
		own = nil
	}
	s.Commands = slices.Concat(own, extra.Build, s.Commands[1:])
	p.Steps = slices.Clone(p.Steps)
	p.Steps[i] = s
}

// addEnv gives steps the build environment that project.toml and heroku.yml speak of.
func (c *chooser) addEnv(p *plan.Plan) {
	env := map[string]string{}
	maps.Copy(env, c.docker.Config)
	maps.Copy(env, c.project.Env)
	if len(env) == 0 {
		return
	}
	p.Steps = slices.Clone(p.Steps)
	for i, s := range p.Steps {
		if s.IsSource() {
			continue
		}
		merged := maps.Clone(env)
		maps.Copy(merged, s.Env)
		p.Steps[i].Env = merged
	}
}
