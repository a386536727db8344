package node

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"paas/buildpacks/plan"
	"paas/buildpacks/treetest"
	"paas/platform"
)

func planned(t *testing.T, files map[string]string) plan.Plan {
	t.Helper()
	return treetest.Planned(t, Plan, files)
}

func find(t *testing.T, p plan.Plan, name string) plan.Step {
	t.Helper()
	for _, s := range p.Steps {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no step %q in %+v", name, p.Steps)
	return plan.Step{}
}

func names(p plan.Plan) string {
	var all []string
	for _, s := range p.Steps {
		all = append(all, s.Name)
	}
	return strings.Join(all, " ")
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestVersion(t *testing.T) {
	cases := []struct {
		name          string
		files         map[string]string
		version, from string
	}{
		{"none", map[string]string{}, "", ""},
		{"engines first", map[string]string{Manifest: `{"engines": {"node": ">=20 <23"}}`, ".nvmrc": "18", ".tool-versions": "nodejs 16"}, ">=20 <23", "package.json engines.node"},
		{"nvmrc", map[string]string{".nvmrc": "# x\nv22.1.0\n", ".node-version": "18"}, "v22.1.0", ".nvmrc"},
		{"nvmrc lts", map[string]string{".nvmrc": "lts/*"}, "", ".nvmrc"},
		{"nvmrc codename", map[string]string{".nvmrc": "lts/Jod"}, "22.x", ".nvmrc"},
		{"node-version", map[string]string{".nvmrc": "\n", ".node-version": "22\r\n"}, "22", ".node-version"},
		{"tool-versions", map[string]string{".tool-versions": "nodejs 20.1.0"}, "20.1.0", ".tool-versions"},
		{"latest", map[string]string{Manifest: `{"engines": {"node": "latest"}}`}, "", "package.json engines.node"},
		{"engines as a list", map[string]string{Manifest: `{"engines": ["node >= 4"]}`}, "", ""},
		{"engines of numbers", map[string]string{Manifest: `{"engines": {"node": 20}}`}, "", ""},
	}
	for _, c := range cases {
		if c.files[Manifest] == "" {
			c.files[Manifest] = "{}"
		}
		p := planned(t, c.files)
		equal(t, c.name, p.Toolchains[0], plan.Toolchain{Name: "node", Version: c.version, From: c.from})
	}
	p := planned(t, map[string]string{Manifest: `{"engines": {"npm": "10.x"}}`})
	equal(t, "npm", p.Toolchains[1], plan.Toolchain{Name: "npm", Version: "10.x", From: "package.json engines.npm"})
}

func TestInstall(t *testing.T) {
	const dep, dev = `"dependencies": {"express": "4"}`, `"devDependencies": {"x": "1"}`
	lock := `{"lockfileVersion": 3, "packages": {"": {}}}`
	cases := []struct {
		name     string
		files    map[string]string
		steps    string
		files1   []string
		commands []string
	}{
		{"lock", map[string]string{Manifest: "{" + dep + "}", "package-lock.json": lock}, "dependencies app",
			[]string{Manifest, "package-lock.json"}, []string{"npm ci --omit=dev"}},
		{"shrinkwrap wins", map[string]string{Manifest: "{" + dep + "}", "npm-shrinkwrap.json": lock, "package-lock.json": lock, ".npmrc": "a=b"}, "dependencies app",
			[]string{Manifest, ".npmrc", "npm-shrinkwrap.json"}, []string{"npm ci --omit=dev"}},
		{"no lock", map[string]string{Manifest: "{" + dep + "}"}, "dependencies app",
			[]string{Manifest}, []string{"npm install --omit=dev"}},
		{"linked manifest", map[string]string{"conf/p.json": "{" + dep + "}", Manifest: "-> conf/p.json", "package-lock.json": lock}, "dependencies app",
			[]string{Manifest, "conf/p.json", "package-lock.json"}, []string{"npm ci --omit=dev"}},
		{"build", map[string]string{Manifest: "{" + dep + "," + dev + `, "scripts": {"build": "tsc"}}`, "package-lock.json": lock}, "dependencies app build",
			[]string{Manifest, "package-lock.json"}, []string{"npm ci --include=dev"}},
		{"lifecycle", map[string]string{Manifest: "{" + dep + "," + dev + `, "scripts": {"postinstall": "x"}}`, "package-lock.json": lock}, "app dependencies",
			[]string{}, []string{"npm ci --include=dev", "npm prune --omit=dev --ignore-scripts"}},
		{"prebuild", map[string]string{Manifest: `{"scripts": {"heroku-prebuild": "x"}}`}, "app dependencies",
			[]string{}, []string{"npm run heroku-prebuild", "npm install --include=dev"}},
		{"local", map[string]string{Manifest: `{"dependencies": {"a": "file:./a"}}`, "package-lock.json": lock}, "app dependencies",
			[]string{}, []string{"npm ci --omit=dev"}},
		{"workspaces", map[string]string{Manifest: `{"workspaces": ["packages/*"]}`, "package-lock.json": lock, "packages/a/package.json": "{}", "other/package.json": "{}"},
			"dependencies app", []string{Manifest, "package-lock.json", "packages/a/package.json"}, []string{"npm ci --omit=dev"}},
		{"workspaces with programs", map[string]string{Manifest: `{"workspaces": {"packages": ["**"]}}`, "package-lock.json": lock, "a/b/package.json": `{"bin": "x.js"}`},
			"app dependencies", []string{}, []string{"npm ci --omit=dev"}},
		{"husky", map[string]string{Manifest: "{" + dep + "," + dev + `, "scripts": {"prepare": "husky || true"}}`, "package-lock.json": lock}, "dependencies app",
			[]string{Manifest, ".husky/", "package-lock.json"}, []string{"npm ci --include=dev", "npm prune --omit=dev --ignore-scripts"}},
	}
	for _, c := range cases {
		p := planned(t, c.files)
		s := find(t, p, "dependencies")
		equal(t, c.name+" steps", names(p), c.steps)
		equal(t, c.name+" files", s.Files, c.files1)
		equal(t, c.name+" commands", s.Commands, c.commands)
	}
}

func TestNothingToInstall(t *testing.T) {
	for _, text := range []string{`{}`, `{"dependencies": {}}`, `{"dependencies": null, "workspaces": []}`, `{"dependencies": "odd"}`} {
		p := planned(t, map[string]string{Manifest: text, "yarn.lock": ""})
		if names(p) != "app" || len(p.Path) > 0 {
			t.Errorf("%s: steps %q", text, names(p))
		}
	}
	p := planned(t, map[string]string{Manifest: `{"scripts": {"build": "node make.js"}}`})
	equal(t, "build only", names(p), "app build")
	equal(t, "build only", find(t, p, "build").Commands, []string{"npm run build"})
}

func TestBuild(t *testing.T) {
	p := planned(t, map[string]string{
		Manifest:            `{"devDependencies": {"x": "1"}, "scripts": {"build": "no", "heroku-postbuild": "yes", "heroku-cleanup": "c"}}`,
		"package-lock.json": `{}`,
	})
	s := find(t, p, "build")
	equal(t, "commands", s.Commands, []string{"npm run heroku-postbuild", "npm prune --omit=dev --ignore-scripts", "npm run heroku-cleanup"})
	if !s.Config || s.Env["NODE_ENV"] != "production" || s.Files == nil {
		t.Errorf("build step: %+v", s)
	}
}

func TestTools(t *testing.T) {
	lock := func(p string) string { return `{"lockfileVersion": 3, "packages": {"node_modules/a": ` + p + `}}` }
	cases := []struct {
		lock string
		want bool
	}{
		{lock(`{}`), false},
		{lock(`{"hasInstallScript": true}`), true},
		{lock(`{"hasInstallScript": false}`), false},
		{lock(`{"hasInstallScript": true, "os": ["darwin"]}`), false},
		{lock(`{"hasInstallScript": true, "os": ["darwin", "linux"]}`), true},
		{lock(`{"hasInstallScript": true, "os": ["!win32"]}`), true},
		{lock(`{"hasInstallScript": true, "os": ["!linux"]}`), false},
		{`{"lockfileVersion": 1, "dependencies": {"bcrypt": {"requires": {"node-gyp": "1"}}}}`, true},
		{`{"lockfileVersion": 1, "dependencies": {"express": {}}}`, false},
	}
	for _, c := range cases {
		p := planned(t, map[string]string{Manifest: `{"dependencies": {"a": "1"}}`, "package-lock.json": c.lock})
		s := find(t, p, "dependencies")
		if s.Tools != c.want || (s.Env["npm_config_nodedir"] == "/opt/node") != c.want {
			t.Errorf("%s: tools %v", c.lock, s.Tools)
		}
	}
	p := planned(t, map[string]string{Manifest: `{"dependencies": {"a": "1"}}`})
	if !find(t, p, "dependencies").Tools {
		t.Error("without a lockfile anything may have to be compiled")
	}
}

func TestNpmrcWithVariables(t *testing.T) {
	for text, want := range map[string]bool{"//r/:_authToken=${TOKEN}": true, "save-exact=true": false} {
		p := planned(t, map[string]string{Manifest: `{"dependencies": {"a": "1"}}`, "package-lock.json": `{}`, ".npmrc": text})
		equal(t, text, find(t, p, "dependencies").Config, want)
	}
}

func TestStart(t *testing.T) {
	cases := []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"script", map[string]string{Manifest: `{"scripts": {"start": "node server.js"}}`}, "node server.js"},
		{"script with hooks", map[string]string{Manifest: `{"scripts": {"start": "node a", "prestart": "x"}}`}, "npm start"},
		{"script that asks npm", map[string]string{Manifest: `{"scripts": {"start": "echo $npm_config_x"}}`}, "npm start"},
		{"script over main", map[string]string{Manifest: `{"main": "m.js", "scripts": {"start": "s"}}`, "m.js": ""}, "s"},
		{"main", map[string]string{Manifest: `{"main": "./lib/m"}`, "lib/m.js": "", "server.js": ""}, "node lib/m.js"},
		{"main directory", map[string]string{Manifest: `{"main": "lib"}`, "lib/index.js": ""}, "node lib/index.js"},
		{"main to be built", map[string]string{Manifest: `{"main": "dist/m.js", "scripts": {"build": "tsc"}}`}, "node dist/m.js"},
		{"main missing", map[string]string{Manifest: `{"main": "gone.js"}`, "app.js": ""}, "node app.js"},
		{"main outside", map[string]string{Manifest: `{"main": "../../etc/passwd"}`}, ""},
		{"main hostile", map[string]string{Manifest: `{"main": "a; rm -rf $HOME '.js"}`, "a; rm -rf $HOME '.js": ""}, `node 'a; rm -rf $HOME '\''.js'`},
		{"main option", map[string]string{Manifest: `{"main": "--help"}`, "--help": ""}, "node ./--help"},
		{"files", map[string]string{Manifest: `{}`, "index.js": "", "server.js": ""}, "node server.js"},
		{"nothing", map[string]string{Manifest: `{}`}, ""},
		{"a site's watcher", map[string]string{Manifest: `{"dependencies": {"react-scripts": "5"}, "scripts": {"start": "react-scripts start", "build": "react-scripts build"}}`}, ""},
		{"a site's server", map[string]string{Manifest: `{"dependencies": {"vite": "5"}, "scripts": {"start": "vite preview --port $PORT", "build": "vite build"}}`}, "vite preview --port $PORT"},
	}
	for _, c := range cases {
		equal(t, c.name, planned(t, c.files).Processes[platform.Web], c.want)
	}
}

func TestEnv(t *testing.T) {
	p := planned(t, map[string]string{Manifest: `{"name": "a", "version": "1.2.3"}`})
	equal(t, "env", p.Env, map[string]string{"NODE_ENV": "production", "npm_package_name": "a", "npm_package_version": "1.2.3"})
}

func TestWarnings(t *testing.T) {
	p := planned(t, map[string]string{Manifest: `{"dependencies": {"a": "1"}}`, "node_modules/a/x.js": ""})
	equal(t, "warnings", len(p.Warnings), 3)
	if s := find(t, p, "app"); !slices.Contains(s.Except, "node_modules/") || s.Sees("node_modules/a/x.js") {
		t.Error("committed modules must not cover installed ones")
	}
	p = planned(t, map[string]string{Manifest: `{"engines": {"node": "22"}, "dependencies": {"a": "1"}}`, "package-lock.json": `{}`, "yarn.lock": ""})
	if len(p.Warnings) != 1 || !strings.Contains(p.Warnings[0], "yarn.lock") {
		t.Errorf("two lockfiles: %q", p.Warnings)
	}
}

func TestRefuses(t *testing.T) {
	cases := []struct {
		files         map[string]string
		message, hint string
	}{
		{map[string]string{Manifest: "{\n\n,}"}, "package.json line 3 is not JSON", "comma"},
		{map[string]string{Manifest: "[]"}, "package.json is not a JSON object", "starts with {"},
		{map[string]string{Manifest: strings.Repeat(`{"a":`, 50000)}, "package.json line 1 is not JSON", ""},
		{map[string]string{Manifest: strings.Repeat(" ", 50<<20)}, "package.json is larger than 1 MiB", "right file"},
		{map[string]string{Manifest: "-> /etc/passwd"}, "package.json leads out of the app", "symlink"},
		{map[string]string{Manifest: `{"engines": {"node": "twenty"}}`}, `package.json engines.node asks for Node.js "twenty"`, "22.x"},
		{map[string]string{Manifest: `{"engines": {"npm": "ten"}}`}, `package.json engines.npm asks for npm "ten"`, "22.x"},
		{map[string]string{Manifest: `{}`, ".nvmrc": "lts/none"}, `.nvmrc asks for Node.js "lts/none"`, "22.x"},
		{map[string]string{Manifest: `{"dependencies": {"a": "1"}}`, "package-lock.json": `{"packages": "hasInstallScript": }`}, "package-lock.json line 1 is not JSON", ""},
	}
	for _, c := range cases {
		_, err := Plan(treetest.Opened(t, c.files))
		var e *platform.Error
		if !errors.As(err, &e) || e.Kind != platform.Failed || !strings.Contains(e.Message, c.message) || !strings.Contains(e.Hint, c.hint) {
			t.Errorf("want %q (%q), got %v", c.message, c.hint, err)
		}
	}
}

func TestLone(t *testing.T) {
	p, err := PlanLone(treetest.Opened(t, map[string]string{"server.js": "", ".nvmrc": "22"}))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "process", p.Processes[platform.Web], "node server.js")
	equal(t, "toolchains", p.Toolchains, []plan.Toolchain{{Name: "node", Version: "22", From: ".nvmrc"}})
	if Lone(treetest.Opened(t, map[string]string{"index.html": "", "app.js": ""})) != "" {
		t.Error("a page's own script is no server")
	}
}

func TestSite(t *testing.T) {
	src := treetest.Opened(t, map[string]string{Manifest: `{"devDependencies": {"vite": "5"}, "scripts": {"build": "vite build"}}`})
	site, ok, err := FindSite(src)
	if err != nil || !ok || site != (Site{"dist", "index.html"}) {
		t.Errorf("vite: %+v, %v, %v", site, ok, err)
	}
}

func TestAssets(t *testing.T) {
	src := treetest.Opened(t, map[string]string{Manifest: `{"devDependencies": {"x": "5"}, "scripts": {"build": "b"}}`, "package-lock.json": "{}"})
	a, ok, err := PlanAssets(src)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if len(a.Before) != 1 || !a.Before[0].Build || len(a.After) != 1 || !a.Toolchains[0].Build {
		t.Errorf("%+v", a)
	}
	equal(t, "commands", a.After[0].Commands, []string{"npm run build"})
	if _, ok, err := PlanAssets(treetest.Opened(t, map[string]string{Manifest: `{"devDependencies": {"x": "5"}}`})); ok || err != nil {
		t.Errorf("without a build script: %v, %v", ok, err)
	}
}
