// Package python plans Python apps: requirements installed by pip into a virtual environment at /app/.venv,
// from wheels in the source tree where there are any, else from the index that the machine is set up for.
package python

import (
	"slices"

	"paas/buildpacks/node"
	"paas/buildpacks/plan"
	"paas/buildpacks/procfile"
	"paas/buildpacks/source"
	"paas/platform"
)

const (
	venv     = ".venv" // in /app
	cacheDir = "/cache/pip"
	maxText  = 1 << 20
)

// Detect tells whether the tree says that it is a Python app, whether Plan can plan it or not.
func Detect(src *source.Tree) bool {
	_, ok := src.First(Requirements, "manage.py", "Pipfile", "Pipfile.lock", "poetry.lock", "uv.lock", "pdm.lock")
	return ok || projectDependencies(src)
}

// Lone tells whether there is nothing but a script of a name that is commonly started, or a setup.py.
func Lone(src *source.Tree) bool {
	_, ok := src.First(append([]string{"setup.py"}, scripts[:]...)...)
	return ok
}

// projectDependencies tells whether a pyproject.toml is more than the settings of tools.
func projectDependencies(src *source.Tree) bool {
	p, err := readProject(src)
	return err == nil && len(p.Project.Dependencies)+len(p.Tool.Poetry.Dependencies) > 0
}

// Plan plans a Python app. It may be without a web process.
func Plan(src *source.Tree) (plan.Plan, error) {
	tool, err := toolchain(src)
	if err != nil {
		return plan.Plan{}, err
	}
	deps, from, err := dependencies(src, newPlace(tool))
	if err != nil {
		return plan.Plan{}, err
	}
	begin, err := findStart(src, deps)
	if err != nil {
		return plan.Plan{}, err
	}
	assets, _, err := node.PlanAssets(src)
	if err != nil {
		return plan.Plan{}, err
	}
	b := builder{src: src, tool: tool, deps: deps, from: from, start: begin, assets: assets}
	return b.plan(), nil
}

func refuseMisspelt(src *source.Tree) error {
	if file, ok := Misspelt(src); ok {
		return platform.Errorf(platform.Failed, "there is a %s, but the file must be called requirements.txt", file).
			WithHint("run: git mv %s requirements.txt", file)
	}
	if isDjango(src) {
		return platform.Errorf(platform.Failed, "manage.py is there, but requirements.txt is not").
			WithHint("run: pip freeze > requirements.txt && git add requirements.txt")
	}
	return nil
}

// Misspelt finds a file that was probably meant to be the requirements.txt.
func Misspelt(src *source.Tree) (string, bool) {
	return src.First("requirement.txt", "Requirements.txt", "requirements.text", "requirements.txt.txt", "requirments.txt",
		"requirememts.txt", "requirments.text", "requierments.txt", "requirements", "require.txt", "REQUIREMENTS.txt", "REQUIREMENTS.TXT")
}

// builder is all that was found out about an app.
type builder struct {
	src    *source.Tree
	tool   plan.Toolchain
	deps   installation
	from   string // the file that says what the app needs
	start  start
	assets node.Assets
}

func (b builder) plan() plan.Plan {
	p := plan.Plan{
		Builder:    plan.Python,
		Detected:   b.detected(),
		Toolchains: append([]plan.Toolchain{b.tool}, b.assets.Toolchains...),
		Steps:      b.steps(),
		Path:       []string{"/app/" + venv + "/bin"},
		Warnings:   append(b.warnings(), b.assets.Warnings...),
		Env: map[string]string{
			"FORWARDED_ALLOW_IPS":     "*", // only the router reaches the app
			"PYTHONDONTWRITEBYTECODE": "1",
			"PYTHONUNBUFFERED":        "1",
			"VIRTUAL_ENV":             "/app/" + venv,
		},
	}
	if b.start.command != "" {
		p.Processes = map[platform.ProcessType]string{platform.Web: b.start.command}
	}
	return p
}

func (b builder) detected() string {
	if b.from != "" {
		return b.from
	}
	file, _ := b.src.First(append([]string{"manage.py"}, scripts[:]...)...)
	return file
}

func (b builder) steps() []plan.Step {
	app := plan.Step{Name: "app", Files: []string{"/"}, Except: []string{venv + "/"}}
	if len(b.assets.Toolchains) > 0 {
		app.Except = append(app.Except, "node_modules/")
	}
	steps := []plan.Step{b.deps.step(), app}
	if b.deps.whole {
		slices.Reverse(steps)
	}
	steps = slices.Concat(b.assets.Before, steps, b.assets.After)
	if b.start.static {
		steps = append(steps, collectStatic())
	}
	return steps
}

// collectStatic gathers a Django app's files for the web, as Heroku does, unless told not to.
func collectStatic() plan.Step {
	return plan.Step{
		Name:     "static files",
		Files:    []string{},
		Commands: []string{`[ -n "${DISABLE_COLLECTSTATIC:-}" ] || ` + venv + "/bin/python manage.py collectstatic --noinput"},
		Config:   true,
	}
}

func (b builder) warnings() []string {
	var w []string
	if b.tool.From == "" {
		w = append(w, "No Python version is asked for; the newest one here is taken. Pin it: echo 3.13 > .python-version.")
	}
	if b.start.warning != "" && !b.src.Has(procfile.Name) {
		w = append(w, b.start.warning)
	}
	w = append(w, b.ignored()...)
	for _, dir := range []string{venv, "venv", "env/bin"} {
		if b.src.HasDir(dir) {
			w = append(w, dir+" is committed and not used. Run: git rm -r --cached "+dir+".")
		}
	}
	return w
}

// ignored names the other files that say what an app needs.
func (b builder) ignored() (warnings []string) {
	if b.from == projectFile {
		warnings = append(warnings, "pyproject.toml does not say which versions to install. Lock them: uv lock && git add uv.lock.")
	}
	for _, file := range []string{"Pipfile.lock", Requirements, "poetry.lock", "uv.lock", "pdm.lock"} {
		if b.from != "" && file != b.from && b.src.Has(file) {
			warnings = append(warnings, file+" is not read: "+b.from+" says what to install. Remove one of the two.")
		}
	}
	return warnings
}
