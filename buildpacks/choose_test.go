package buildpacks_test

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"paas/buildpacks"
	"paas/buildpacks/plan"
	"paas/buildpacks/treetest"
	"paas/platform"
)

const (
	nodeBuild = `{"scripts": {"build": "make-assets", "start": "node x"}, "devDependencies": {"a": "1"}}`
	toolRepo  = "https://git.example.org/acme/tool"
)

// chosen plans with a choice and config vars.
func chosen(t *testing.T, files map[string]string, choice platform.BuildChoice, config platform.Config) (platform.Tree, plan.Plan, error) {
	t.Helper()
	return buildpacks.Choose(t.Context(), platform.BuildRequest{Source: treetest.Files(files), Choice: choice, Config: config})
}

func stepNames(p plan.Plan) string {
	var names []string
	for _, s := range p.Steps {
		names = append(names, s.Name)
	}
	return strings.Join(names, ", ")
}

func TestChooseOrder(t *testing.T) {
	both := map[string]string{"requirements.txt": "", "app.py": "", "package.json": nodeBuild, "package-lock.json": "{}"}
	with := func(pairs ...string) map[string]string {
		files := maps.Clone(both)
		for i := 0; i < len(pairs); i += 2 {
			files[pairs[i]] = pairs[i+1]
		}
		return files
	}
	cases := []struct {
		name, title string
		files       map[string]string
		choice      platform.BuildChoice
		config      platform.Config
	}{
		{"files", "Python app detected (requirements.txt)", both, platform.BuildChoice{}, nil},
		{".buildpacks", "Node.js app detected (.buildpacks)", with(".buildpacks", "# ours\nheroku/nodejs\n"), platform.BuildChoice{}, nil},
		{"config before file", "Python app detected (BUILDPACK_URL)", with(".buildpacks", "heroku/nodejs"), platform.BuildChoice{}, platform.Config{"BUILDPACK_URL": "https://github.com/heroku/heroku-buildpack-python.git#v1"}},
		{".env", "Node.js app detected (BUILDPACK_URL)", with(".env", "A=1\nexport BUILDPACK_URL='heroku/nodejs'\n"), platform.BuildChoice{}, nil},
		{"owner before config", "Node.js app detected (buildpacks:set)", both, platform.BuildChoice{Buildpacks: []string{"heroku/nodejs"}}, platform.Config{"BUILDPACK_URL": "heroku/python"}},
		{"app.json", "Node.js app detected (app.json buildpacks)", with("app.json", `{"buildpacks": [{"url": "heroku/nodejs"}]}`), platform.BuildChoice{}, nil},
		{".buildpacks before app.json", "Python app detected (.buildpacks)", with(".buildpacks", "heroku/python", "app.json", `{"buildpacks": [{"url": "heroku/nodejs"}]}`), platform.BuildChoice{}, nil},
		{"project.toml group", "Node.js app detected (project.toml)", with("project.toml", "[[io.buildpacks.group]]\nid = 'heroku/nodejs'\nversion = '3'\n"), platform.BuildChoice{}, nil},
		{"project.toml image", "Python app detected (requirements.txt)", with("project.toml", "[io.buildpacks]\nbuilder = 'heroku/builder:24'\n"), platform.BuildChoice{}, nil},
		{"project.toml, old schema", "Node.js app detected (project.toml)", with("project.toml", "[[build.buildpacks]]\nuri = 'urn:cnb:registry:paketo-buildpacks/nodejs@1.0'\n"), platform.BuildChoice{}, nil},
		{".buildpacks before project.toml", "Python app detected (.buildpacks)", with(".buildpacks", "python", "project.toml", "[[io.buildpacks.group]]\nid = 'heroku/nodejs'\n"), platform.BuildChoice{}, nil},
		{"static by the owner", "Static app detected (index.html)", with("index.html", ""), platform.BuildChoice{Builder: "static"}, nil},
		{"procfile by the owner", "Procfile app detected (Procfile)", with("Procfile", "web: ./x"), platform.BuildChoice{Builder: "procfile"}, nil},
		{"a buildpack of a repository", "Buildpack app detected (.buildpacks)", with(".buildpacks", toolRepo), platform.BuildChoice{}, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, p, err := chosen(t, c.files, c.choice, c.config)
			if err != nil || p.Title() != c.title {
				t.Errorf("%q, %v", p.Title(), err)
			}
		})
	}
}

func TestChooseRefuses(t *testing.T) {
	web := map[string]string{"Procfile": "web: x"}
	cases := []struct {
		name, message string
		files         map[string]string
		choice        platform.BuildChoice
	}{
		{"no such directory", "directory api by its settings", web, platform.BuildChoice{Dir: "api"}},
		{"no such Procfile", "deploy/Procfile is to be read", web, platform.BuildChoice{Procfile: "deploy/Procfile"}},
		{"no Dockerfile", "docker/Dockerfile (builder:set), which the source does not have", web, platform.BuildChoice{Builder: "dockerfile", Dockerfile: "docker/Dockerfile"}},
		{"not that language", "asks for Python, but the source is no Python app", web, platform.BuildChoice{Buildpacks: []string{"heroku/python"}}},
		{"no site", "no site to serve", web, platform.BuildChoice{Builder: "static"}},
		{"a bad name", `.buildpacks: there is no buildpack "nonsense"`, map[string]string{".buildpacks": "nonsense"}, platform.BuildChoice{}},
		{"a password", "password", map[string]string{".buildpacks": "https://a:b@host/x/y"}, platform.BuildChoice{}},
		{"too many", "25 buildpacks; 20 is the most", map[string]string{".buildpacks": strings.Repeat("heroku/go\n", 25)}, platform.BuildChoice{}},
		{"buildpacks of nobody's", "no builder image that has them", map[string]string{"project.toml": "[[io.buildpacks.group]]\nid = 'acme/x'\n"}, platform.BuildChoice{}},
		{"bad project.toml", "project.toml is not TOML", map[string]string{"project.toml": "[", "Procfile": "web: x"}, platform.BuildChoice{}},
		{"bad heroku.yml", "heroku.yml is not YAML", map[string]string{"heroku.yml": "build: [", "Procfile": "web: x"}, platform.BuildChoice{}},
		{"bad railpack.json", "railpack.json line 1", map[string]string{"railpack.json": "{", "Procfile": "web: x"}, platform.BuildChoice{}},
		{".buildpacks out of the app", ".buildpacks leads out of the app", map[string]string{".buildpacks": "-> /etc/passwd"}, platform.BuildChoice{}},
		{".slugignore out of the app", ".slugignore leads out of the app", map[string]string{".slugignore": "-> ../x"}, platform.BuildChoice{}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := chosen(t, c.files, c.choice, nil)
			var e *platform.Error
			if !errors.As(err, &e) || e.Kind != platform.Failed || !strings.Contains(e.Message, c.message) {
				t.Errorf("want %q, got %v", c.message, err)
			}
		})
	}
}

func TestComposeNodeThenPython(t *testing.T) {
	_, p, err := chosen(t, map[string]string{
		".buildpacks":  "https://github.com/heroku/heroku-buildpack-nodejs\nhttps://github.com/heroku/heroku-buildpack-apt\nheroku/python\n",
		"package.json": nodeBuild, "package-lock.json": "{}", "requirements.txt": "flask", "app.py": "",
	}, platform.BuildChoice{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := stepNames(p); got != "dependencies, Python dependencies, app, build" {
		t.Errorf("steps %s", got)
	}
	var tools []string
	for _, tool := range p.Toolchains {
		tools = append(tools, tool.Name)
		if tool.Build {
			t.Errorf("%s is not at hand for the app", tool.Name)
		}
	}
	if !slices.Equal(tools, []string{"node", "npm", "python"}) || p.Processes["web"] != "python app.py" || p.Builder != plan.Python {
		t.Errorf("tools %q, web %q, builder %s", tools, p.Processes["web"], p.Builder)
	}
	if !slices.Equal(p.Path, []string{"/app/.venv/bin", "/app/node_modules/.bin"}) || p.Env["NODE_ENV"] == "" || p.Env["PYTHONUNBUFFERED"] == "" {
		t.Errorf("path %q, env %q", p.Path, p.Env)
	}
	app := p.Steps[2]
	if app.Sees(".venv/x") || app.Sees("node_modules/x") || !app.Sees("app.py") {
		t.Errorf("source step %+v", app)
	}
	if notes := strings.Join(p.Notes, "\n"); !strings.Contains(notes, "our own buildpack for Node.js takes its place") || !strings.Contains(notes, "apt is not fetched") {
		t.Errorf("notes %s", notes)
	}
}

func TestComposeOnlyWhatIsListed(t *testing.T) {
	files := map[string]string{".buildpacks": "heroku/python", "package.json": nodeBuild, "package-lock.json": "{}", "requirements.txt": "", "app.py": ""}
	_, p, err := chosen(t, files, platform.BuildChoice{}, nil)
	if err != nil || strings.Contains(stepNames(p), "assets") {
		t.Errorf("steps %s, %v", stepNames(p), err)
	}
	delete(files, ".buildpacks")
	if _, p, err = chosen(t, files, platform.BuildChoice{}, nil); err != nil || !strings.Contains(stepNames(p), "assets") {
		t.Errorf("without a list: steps %s, %v", stepNames(p), err)
	}
}

func TestComposeRepositories(t *testing.T) {
	_, p, err := chosen(t, map[string]string{
		".buildpacks":  "heroku/nodejs\n" + toolRepo + "#v2\nheroku/python\nhttps://git.example.org/acme/last.git\n",
		"package.json": `{"scripts": {"start": "node x"}, "dependencies": {"a": "1"}}`, "package-lock.json": "{}", "requirements.txt": "flask", "app.py": "",
	}, platform.BuildChoice{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := "dependencies, app, buildpack " + toolRepo + "#v2, Python dependencies, buildpack https://git.example.org/acme/last.git"
	if got := stepNames(p); got != want {
		t.Errorf("steps %s", got)
	}
	if len(p.Buildpacks) != 2 || p.Release != 2 || p.Steps[2].Buildpack != 1 || p.Steps[4].Buildpack != 2 || !p.Profile || len(p.Processes) != 0 {
		t.Errorf("%+v", p)
	}
	if p.Steps[3].Env["BASH_ENV"] == "" || p.Steps[0].Env["BASH_ENV"] != "" {
		t.Error("what a buildpack exports is for the steps behind it")
	}
}

func TestChooseDirectory(t *testing.T) {
	files := map[string]string{
		"package.json": "{}", "services/api/requirements.txt": "", "services/api/app.py": "", "services/api/deploy/Procfile": "web: python app.py --x", "other/x": "",
	}
	tree, p, err := chosen(t, files, platform.BuildChoice{Dir: "services/api", Procfile: "deploy/Procfile"}, nil)
	if err != nil || p.Dir != "services/api" || p.Processes["web"] != "python app.py --x" {
		t.Fatalf("%+v, %v", p, err)
	}
	list, err := tree.Files()
	if err != nil || len(list) != 3 || list[0].Path != "app.py" {
		t.Errorf("%v, %v", list, err)
	}
	if again, _, _ := chosen(t, files, platform.BuildChoice{Dir: "other"}, nil); again != nil && again.ID() == tree.ID() {
		t.Error("another directory is another tree")
	}
}

func TestChoosePackageOfAWorkspace(t *testing.T) {
	files := map[string]string{
		"package.json": `{"workspaces": ["apps/*", "libs/**"]}`, "package-lock.json": "{}", "libs/ui/package.json": "{}", "README.md": "",
		"apps/web/package.json": `{"scripts": {"build": "b", "start": "node web"}, "devDependencies": {"x": "1"}}`, "apps/web/Procfile": "worker: node w",
	}
	tree, p, err := chosen(t, files, platform.BuildChoice{Dir: "apps/web"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if list, _ := tree.Files(); len(list) != len(files) {
		t.Errorf("all of the workspace is needed: %v", list)
	}
	if stepNames(p) != "dependencies, app, build" || p.WorkDir != "apps/web" || p.Processes["web"] != "node web" || p.Processes["worker"] != "node w" {
		t.Errorf("%+v", p)
	}
	if got := p.Steps[2].Commands; !slices.Equal(got, []string{"npm run build --workspace apps/web", "npm prune --omit=dev --ignore-scripts"}) || !slices.Equal(p.Steps[0].Commands, []string{"npm ci --include=dev"}) {
		t.Errorf("%q", got)
	}
	for dir, files := range map[string]map[string]string{
		"apps/web": {"package.json": `{"workspaces": ["libs/*"]}`, "apps/web/package.json": `{"scripts": {"start": "x"}}`},
		"apps/own": {"package.json": `{"workspaces": ["apps/*"]}`, "apps/own/package.json": `{"scripts": {"start": "x"}}`, "apps/own/package-lock.json": "{}"},
	} {
		tree, p, err := chosen(t, files, platform.BuildChoice{Dir: dir}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if list, _ := tree.Files(); p.WorkDir != "" || len(list) != len(files)-1 {
			t.Errorf("%s is an app of its own: %+v", dir, p)
		}
	}
}

func TestChooseIgnores(t *testing.T) {
	files := map[string]string{
		".slugignore": "# no\n*.psd\n/docs\n!keep\nspec/\n", "a.psd": "", "docs/x": "", "sub/docs/x": "", "spec/y": "", "Procfile": "web: x", "project.toml": "[io.buildpacks]\nexclude = ['*.md']\n", "README.md": "", "package.json": "{}",
	}
	tree, p, err := chosen(t, files, platform.BuildChoice{Builder: "procfile"}, nil)
	if err != nil || p.Builder != plan.Procfile {
		t.Fatal(p, err)
	}
	var paths []string
	list, _ := tree.Files()
	for _, f := range list {
		paths = append(paths, f.Path)
	}
	if want := []string{".slugignore", "Procfile", "package.json", "project.toml", "sub/docs/x"}; !slices.Equal(paths, want) {
		t.Errorf("%q", paths)
	}
	files["project.toml"] = "[io.buildpacks]\ninclude = ['Procfile', 'sub/']\n"
	tree, _, err = chosen(t, files, platform.BuildChoice{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if list, _ = tree.Files(); len(list) != 2 {
		t.Errorf("%v", list)
	}
}

func TestChooseCommandsOfOthers(t *testing.T) {
	node := map[string]string{"package.json": nodeBuild, "package-lock.json": "{}"}
	cases := []struct {
		name, file, text, build, web string
	}{
		{"railpack", "railpack.json", `{"steps": {"build": {"commands": ["...", {"cmd": "more"}, {"src": ".", "dest": "."}]}}, "deploy": {"startCommand": "go!"}}`, "npm run build; more; npm prune --omit=dev --ignore-scripts", "go!"},
		{"nixpacks", "nixpacks.toml", "[phases.build]\ncmds = ['make']\n[start]\ncmd = 'run'\n", "make; npm prune --omit=dev --ignore-scripts", "run"},
		{"heroku.yml", "heroku.yml", "build:\n  config:\n    DEBUG: 1\nrun:\n  web: serve\n  worker:\n    command:\n      - work hard\n", "npm run build; npm prune --omit=dev --ignore-scripts", "serve"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			files := maps.Clone(node)
			files[c.file] = c.text
			_, p, err := chosen(t, files, platform.BuildChoice{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			last := p.Steps[len(p.Steps)-1]
			if got := strings.Join(last.Commands, "; "); got != c.build || p.Processes["web"] != c.web {
				t.Errorf("build %q, web %q", got, p.Processes["web"])
			}
			if c.file == "heroku.yml" && (last.Env["DEBUG"] != "1" || p.Processes["worker"] != "work hard") {
				t.Errorf("%+v", p)
			}
			files["Procfile"] = "web: mine"
			if _, p, err = chosen(t, files, platform.BuildChoice{}, nil); err != nil || p.Processes["web"] != "mine" {
				t.Errorf("a Procfile goes before: %q, %v", p.Processes["web"], err)
			}
		})
	}
}

func TestChooseBuildEnv(t *testing.T) {
	_, p, err := chosen(t, map[string]string{"package.json": nodeBuild, "package-lock.json": "{}", "project.toml": "[[io.buildpacks.build.env]]\nname = 'SITE'\nvalue = 'x'\n"}, platform.BuildChoice{}, nil)
	if err != nil || p.Steps[0].Env["SITE"] != "x" || p.Steps[1].Env != nil || p.Builder != plan.Node {
		t.Errorf("%+v, %v", p, err)
	}
}

// A choice changes plans only by what it chooses: no plan that was made before needs to be made again.
func TestChooseNothing(t *testing.T) {
	tree := treetest.Dir(t, "../examples/node")
	want, err := buildpacks.Detect(t.Context(), tree)
	if err != nil {
		t.Fatal(err)
	}
	_, got, err := buildpacks.Choose(t.Context(), platform.BuildRequest{Source: tree, Config: platform.Config{"A": "b"}})
	a, _ := json.Marshal(want)
	b, _ := json.Marshal(got)
	if err != nil || string(a) != string(b) {
		t.Errorf("%s\n%s, %v", a, b, err)
	}
}
