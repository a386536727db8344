package node

import (
	"errors"
	"strings"
	"testing"

	"paas/buildpacks/plan"
	"paas/buildpacks/treetest"
	"paas/platform"
)

func TestPackageManager(t *testing.T) {
	const berryLock = "__metadata:\n  version: "
	dep := func(more string) string { return `{"dependencies": {"a": "1"}` + more + `}` }
	cases := []struct {
		name  string
		files map[string]string
		want  plan.Toolchain
	}{
		{"npm without a lock", map[string]string{Manifest: dep("")}, plan.Toolchain{Name: npm}},
		{"packageManager", map[string]string{Manifest: dep(`, "packageManager": "pnpm@9.1.0+sha512.abc"`), "package-lock.json": "{}"}, plan.Toolchain{Name: pnpm, Version: "9.1.0", From: "package.json packageManager"}},
		{"packageManager npm", map[string]string{Manifest: dep(`, "packageManager": "npm@10.2.0"`)}, plan.Toolchain{Name: npm, Version: "10.2.0", From: "package.json packageManager"}},
		{"devEngines", map[string]string{Manifest: dep(`, "devEngines": {"packageManager": {"name": "yarn", "version": "^4.1.0"}}`)}, plan.Toolchain{Name: berry, Version: "^4.1.0", From: "package.json devEngines.packageManager"}},
		{"yarn 1", map[string]string{Manifest: dep(""), "yarn.lock": "# yarn lockfile v1"}, plan.Toolchain{Name: yarn, Version: "1.x", From: "yarn.lock"}},
		{"yarn 1 by engines", map[string]string{Manifest: dep(`, "engines": {"yarn": ">=1.22"}`), "yarn.lock": ""}, plan.Toolchain{Name: yarn, Version: ">=1.22", From: "package.json engines.yarn"}},
		{"yarn 2", map[string]string{Manifest: dep(""), "yarn.lock": berryLock + "4"}, plan.Toolchain{Name: berry, Version: "2.x", From: "yarn.lock"}},
		{"yarn 3", map[string]string{Manifest: dep(""), "yarn.lock": berryLock + "6"}, plan.Toolchain{Name: berry, Version: ">=3.2.0 <4.0.0", From: "yarn.lock"}},
		{"yarn 4", map[string]string{Manifest: dep(""), "yarn.lock": berryLock + "8"}, plan.Toolchain{Name: berry, Version: ">=4.0.0 <4.14.0", From: "yarn.lock"}},
		{"yarn of tomorrow", map[string]string{Manifest: dep(""), "yarn.lock": berryLock + "99"}, plan.Toolchain{Name: berry, Version: "4.x", From: "yarn.lock"}},
		{"yarnPath", map[string]string{Manifest: dep(""), "yarn.lock": berryLock + "6", ".yarnrc.yml": "yarnPath: .yarn/releases/yarn-3.6.1.cjs\n"}, plan.Toolchain{Name: berry, Version: "3.6.1", From: ".yarnrc.yml yarnPath"}},
		{"pnpm 7", map[string]string{Manifest: dep(""), "pnpm-lock.yaml": "lockfileVersion: 5.4\n"}, plan.Toolchain{Name: pnpm, Version: "7.x", From: "pnpm-lock.yaml"}},
		{"pnpm 9", map[string]string{Manifest: dep(""), "pnpm-lock.yaml": "lockfileVersion: '9.0'\n", "pnpm-workspace.yaml": "packages: [a]\n"}, plan.Toolchain{Name: pnpm, Version: "9.x", From: "pnpm-lock.yaml"}},
		{"pnpm 10", map[string]string{Manifest: dep(""), "pnpm-lock.yaml": "lockfileVersion: '9.0'\n", "pnpm-workspace.yaml": "overrides:\n  a: 1\n"}, plan.Toolchain{Name: pnpm, Version: "10.x", From: "pnpm-lock.yaml"}},
		{"pnpm by engines", map[string]string{Manifest: dep(`, "engines": {"pnpm": "8"}`)}, plan.Toolchain{Name: pnpm, Version: "8", From: "package.json engines.pnpm"}},
		{"npm by engines", map[string]string{Manifest: dep(`, "engines": {"pnpm": "8", "npm": "10"}`)}, plan.Toolchain{Name: npm, Version: "10", From: "package.json engines.npm"}},
		{"bun", map[string]string{Manifest: dep(""), "bun.lockb": "", ".bun-version": "1.2.0"}, plan.Toolchain{Name: bun, Version: "1.2.0", From: ".bun-version"}},
		{"bun by mise", map[string]string{Manifest: dep(""), "bun.lock": "", "mise.toml": "[tools]\nbun = \"1.1\""}, plan.Toolchain{Name: bun, Version: "1.1", From: "mise.toml"}},
	}
	for _, c := range cases {
		tools := planned(t, c.files).Toolchains
		equal(t, c.name, tools[len(tools)-1], c.want)
	}
}

// Of two lockfiles one is read, and the pusher is told which.
func TestTwoLockfiles(t *testing.T) {
	for want, files := range map[string]map[string]string{
		"Both pnpm-lock.yaml and yarn.lock are there; only pnpm-lock.yaml is read, by pnpm.":             {"pnpm-lock.yaml": "", "yarn.lock": ""},
		"Both yarn.lock and package-lock.json are there; only yarn.lock is read, by Yarn.":               {"yarn.lock": "", "package-lock.json": "{}", Manifest: `{"packageManager": "yarn@1.22.22", "dependencies": {"a": "1"}}`},
		"package-lock.json is not read: package.json packageManager asks for pnpm.":                      {"package-lock.json": "{}", Manifest: `{"packageManager": "pnpm@9.0.0", "dependencies": {"a": "1"}}`},
		"pnpm-lock.yaml is missing: every build may get other versions. Run pnpm install and commit the": {Manifest: `{"packageManager": "pnpm@9.0.0", "dependencies": {"a": "1"}}`},
	} {
		if files[Manifest] == "" {
			files[Manifest] = `{"dependencies": {"a": "1"}}`
		}
		if got := strings.Join(planned(t, files).Warnings, "\n"); !strings.Contains(got, want) {
			t.Errorf("want %q in:\n%s", want, got)
		}
	}
}

// Settings that speak of config vars get them; a registry of the app's own goes before the machine's.
func TestPrivateRegistry(t *testing.T) {
	const lock = `{"lockfileVersion": 3, "packages": {"": {}}}`
	for name, c := range map[string]struct {
		files          map[string]string
		config         bool
		variable, want string
	}{
		"npm":        {map[string]string{"package-lock.json": lock, ".npmrc": "//npm.example.com/:_authToken=${NPM_TOKEN}"}, true, "npm_config_registry", ""},
		"npm's own":  {map[string]string{"package-lock.json": lock, ".npmrc": "registry=https://npm.example.com/\n"}, false, "npm_config_registry", "https://npm.example.com/"},
		"yarn berry": {map[string]string{"yarn.lock": "__metadata:\n  version: 8", ".yarnrc.yml": "npmRegistryServer: \"https://npm.example.com\"\nnpmAuthToken: \"${NPM_TOKEN}\"\n"}, true, "YARN_NPM_REGISTRY_SERVER", "https://npm.example.com"},
		"bun":        {map[string]string{"bun.lock": "", "bunfig.toml": "token = \"$NPM_TOKEN\""}, true, "npm_config_registry", ""},
		"none":       {map[string]string{"pnpm-lock.yaml": "", ".npmrc": "save-exact=true"}, false, "npm_config_registry", ""},
	} {
		c.files[Manifest] = `{"dependencies": {"a": "1"}}`
		s := find(t, planned(t, c.files), "dependencies")
		if s.Config != c.config || s.Env[c.variable] != c.want {
			t.Errorf("%s: config %v, env %v", name, s.Config, s.Env)
		}
	}
}

func TestWorkspaceGlobs(t *testing.T) {
	for _, c := range []struct {
		patterns []string
		dir      string
		want     bool
	}{
		{[]string{"packages/*"}, "packages/a", true}, {[]string{"packages/*"}, "packages/a/b", false}, {[]string{"packages/**"}, "packages/a/b", true},
		{[]string{"./apps/web/"}, "apps/web", true}, {[]string{"**", "!**/test/**"}, "a/test/b", false}, {[]string{"apps/w?b"}, "apps/web", true},
		{[]string{"[", "x"}, "y", false}, {[]string{"*"}, "a", true}, {nil, "a", false},
	} {
		if got := belongs(c.patterns, c.dir); got != c.want {
			t.Errorf("%q has %q: %v", c.patterns, c.dir, got)
		}
	}
}

// Of several apps in a workspace none is guessed.
func TestWhichApp(t *testing.T) {
	files := map[string]string{
		Manifest:              `{"workspaces": ["apps/*"], "packageManager": "yarn@1.22.22"}`,
		"apps/a/package.json": `{"scripts": {"start": "node a.js"}}`, "apps/b/package.json": `{"scripts": {"start": "node b.js"}}`,
	}
	err := WhichApp(treetest.Opened(t, files))
	if err == nil || !strings.Contains(err.Error(), "several apps: apps/a, apps/b") {
		t.Error(err)
	}
	var human *platform.Error
	if !errors.As(err, &human) || !strings.Contains(human.Hint, "build-dir apps/a; or commit a Procfile with") {
		t.Errorf("no build-dir in the hint of %v", err)
	}
	delete(files, "apps/b/package.json")
	if err := WhichApp(treetest.Opened(t, files)); err != nil {
		t.Error(err)
	}
}
