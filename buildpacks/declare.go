package buildpacks

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"paas/buildpacks/aptfile"
	"paas/buildpacks/manifest"
	"paas/buildpacks/plan"
	"paas/buildpacks/procfile"
	"paas/buildpacks/source"
	"paas/platform"
)

// declarations is what an app says about itself, whatever its language.
type declarations struct {
	processes map[platform.ProcessType]string
	procfile  string // its path, if there is one
	app       manifest.App
	legacy    []platform.Check
	packages  []string // of Debian
}

// readDeclarations reads the app's own files, from where its owner says they are. What was chosen must be there.
func readDeclarations(tree *source.Tree, choice platform.BuildChoice) (declarations, error) {
	var d declarations
	name := cmp.Or(choice.Procfile, procfile.Name)
	for _, file := range []struct {
		name  string
		limit int64
		parse func([]byte) error
	}{
		{name, procfile.MaxSize, func(text []byte) (err error) {
			d.procfile = name
			d.processes, err = procfile.Parse(text)
			return err
		}},
		{cmp.Or(choice.AppJSON, manifest.Name), manifest.MaxSize, func(text []byte) (err error) { d.app, err = manifest.Parse(text); return err }},
		{manifest.LegacyName, manifest.MaxSize, func(text []byte) (err error) { d.legacy, err = manifest.ParseLegacy(text); return err }},
	} {
		text, err := tree.Read(file.name, file.limit)
		if errors.Is(err, fs.ErrNotExist) {
			if file.name == choice.Procfile || file.name == choice.AppJSON {
				return d, notChosen(file.name)
			}
			continue
		}
		if err != nil {
			return d, err
		}
		if err := file.parse(text); err != nil {
			return d, err
		}
	}
	var err error
	d.packages, err = aptfile.Read(tree)
	return d, err
}

func notChosen(name string) error {
	return platform.Errorf(platform.Failed, "%s is to be read by the app's settings, and the source does not have it", name).
		WithHint("correct it: ssh paas builder:report APP shows the settings, and builder:set changes them")
}

func (d declarations) hasWeb() bool { return d.processes[platform.Web] != "" }

// addTo puts what the app says over what its language would do.
func (d declarations) addTo(p *plan.Plan) {
	processes := map[platform.ProcessType]string{}
	maps.Copy(processes, p.Processes)
	maps.Copy(processes, d.processes)
	p.Processes = processes
	p.Checks, p.Formation, p.Parallel = d.app.Checks, d.app.Formation, d.app.Parallel
	p.Cron, p.Scripts = d.app.Cron, d.app.Scripts
	d.addVars(p)
	d.addPackages(p)
	p.Warnings = append(p.Warnings, d.app.Warnings...)
	p.Notes = append(p.Notes, d.app.Notes...)
	d.addLegacy(p)
	if p.Release > 0 {
		return // more process types may come
	}
	warnUnknown(p, "healthchecks", slices.Sorted(maps.Keys(p.Checks)))
	warnUnknown(p, "formation", slices.Sorted(maps.Keys(p.Formation)))
}

// addVars keeps what the language needs beside what the app declares.
func (d declarations) addVars(p *plan.Plan) {
	vars := map[string]platform.EnvVar{}
	maps.Copy(vars, p.Declared)
	maps.Copy(vars, d.app.Env)
	p.Declared = vars
}

// addPackages is for languages of any kind: an app may need more of Debian than its language does.
func (d declarations) addPackages(p *plan.Plan) {
	p.Packages = slices.Compact(slices.Sorted(slices.Values(append(p.Packages, d.packages...))))
}

func (d declarations) addLegacy(p *plan.Plan) {
	if len(d.legacy) == 0 {
		return
	}
	if len(p.Checks[platform.Web]) > 0 {
		p.Warnings = append(p.Warnings, "CHECKS is not read: app.json has healthchecks for web.")
		return
	}
	checks := map[platform.ProcessType][]platform.Check{}
	maps.Copy(checks, p.Checks)
	checks[platform.Web] = d.legacy
	p.Checks = checks
	p.Warnings = append(p.Warnings, "CHECKS is read, but its checks belong into app.json now, as healthchecks.web.")
}

func warnUnknown(p *plan.Plan, key string, types []platform.ProcessType) {
	for _, t := range types {
		if p.Builder == plan.Pack || p.Builder == plan.Dockerfile && t == platform.Web {
			continue // whether there is one, the image says
		}
		if _, ok := p.Processes[t]; !ok {
			p.Warnings = append(p.Warnings, fmt.Sprintf("app.json %s.%s has no effect: there is no process type %s.", key, t, t))
		}
	}
}

// maxCommand is less than what Linux takes for one argument (execve(2), MAX_ARG_STRLEN, 128 KiB).
const maxCommand = 64 << 10

// runnable refuses a plan that nothing can be started from. No program takes a NUL byte.
func runnable(tree *source.Tree, p plan.Plan) error {
	if len(p.Processes) == 0 && p.Builder != plan.Dockerfile && p.Builder != plan.Pack { // which say it later
		return nothingToRun(tree, p)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Processes)) {
		if command := p.Processes[name]; len(command) > maxCommand || strings.ContainsRune(command, 0) {
			return platform.Errorf(platform.Failed, "the command of the process type %s has a NUL byte or more than %d KiB", name, maxCommand>>10).
				WithHint("write it into a script of the app, and name the script")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Env)) {
		if strings.ContainsRune(p.Env[name], 0) {
			return platform.Errorf(platform.Failed, "%s would set %s to a value with a NUL byte", p.Detected, name).
				WithHint("remove the NUL byte")
		}
	}
	return nil
}

func nothingToRun(tree *source.Tree, p plan.Plan) error {
	if p.Builder == plan.Procfile || tree.Has(procfile.Name) {
		return platform.Errorf(platform.Failed, "the Procfile names no process type").
			WithHint("add a line such as \"web: ./start.sh\"")
	}
	hint := map[string]string{
		plan.Node:   `add "start" to "scripts" in package.json, or a Procfile with "web: node FILE"`,
		plan.Bun:    `add "start" to "scripts" in package.json, or call the program index.ts`,
		plan.Deno:   `add "start" to "tasks" in deno.json, or call the program main.ts`,
		plan.Go:     `add a Procfile with "web: bin/NAME"`,
		plan.Ruby:   `add a config.ru, or a Procfile with "web: bundle exec COMMAND"`,
		plan.PHP:    `add an index.php, in public if the app has such a directory, or a Procfile with "web: COMMAND"`,
		plan.Perl:   `add an app.psgi, or a Procfile with "web: COMMAND"`,
		plan.Java:   `add a Procfile with "web: java -cp .java/classes MAIN", or call the class with the main method Main`,
		plan.Rust:   `add a Procfile with "web: bin/NAME", or default-run to the package in Cargo.toml`,
		plan.CPP:    `add a Procfile with "web: bin/NAME", or "web: ./NAME" if a Makefile makes it there`,
		plan.DotNet: `add a Procfile with "web: out/NAME"`,
		plan.Python: `add a Procfile with "web: COMMAND", or call the program main.py, app.py or server.py`,
	}[p.Builder]
	return platform.Errorf(platform.Failed, "this is a %s app (%s), but nothing says how to start it", p.Language(), p.Detected).
		WithHint("%s", hint)
}
