package node

import (
	"slices"
	"strings"
	"testing"

	"paas/buildpacks/plan"
	"paas/buildpacks/treetest"
	"paas/platform"
)

// An app whose start script was tsx, nodemon or tsc ended at once: "not found".
func TestStartsWithADevelopmentDependency(t *testing.T) {
	for _, c := range []struct {
		name, pkg, procfile, late string
	}{
		{"tsx", `{"scripts": {"start": "tsx src/index.ts"}, "devDependencies": {"tsx": "4"}}`, "", "tsx"},
		{"behind a variable", `{"scripts": {"start": "cross-env A=b node x"}, "devDependencies": {"cross-env": "7"}}`, "", "cross-env"},
		{"a module of it", `{"scripts": {"start": "node -r ts-node/register x.ts"}, "devDependencies": {"ts-node": "10"}}`, "", "ts-node"},
		{"scoped", `{"scripts": {"start": "node --import @swc-node/register/esm x.ts"}, "devDependencies": {"@swc-node/register": "1"}}`, "", "@swc-node/register"},
		{"another name", `{"scripts": {"start": "tsc && node dist/x.js"}, "devDependencies": {"typescript": "5"}}`, "", "typescript"},
		{"in another script", `{"scripts": {"start": "npm run go", "go": "nodemon x.js"}, "devDependencies": {"nodemon": "3"}}`, "", "nodemon"},
		{"before the start", `{"scripts": {"prestart": "npm run build", "build": "tsc", "start": "node x.js"}, "devDependencies": {"typescript": "5"}}`, "", "typescript"},
		{"in circles", `{"scripts": {"start": "npm run a", "a": "npm start"}, "devDependencies": {"b": "5"}}`, "", ""},
		{"release", `{"scripts": {"start": "node x.js"}, "devDependencies": {"prisma": "6"}}`, "release: npx prisma migrate deploy\n", "prisma"},
		{"only the Procfile", `{"scripts": {"start": "nodemon x.js"}, "devDependencies": {"nodemon": "3"}}`, "web: node x.js\n", ""},
		{"both kinds", `{"scripts": {"start": "tsx x.ts"}, "dependencies": {"tsx": "4"}, "devDependencies": {"tsx": "4"}}`, "", ""},
		{"built by then", `{"scripts": {"build": "tsc", "start": "node dist/x.js"}, "devDependencies": {"typescript": "5"}}`, "", ""},
		{"only watches", `{"scripts": {"build": "nest build", "start": "nest start"}, "dependencies": {"@nestjs/core": "11"}, "devDependencies": {"@nestjs/cli": "11"}}`, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := planned(t, map[string]string{Manifest: c.pkg, "package-lock.json": "{}", "Procfile": c.procfile})
			said := slices.ContainsFunc(p.Warnings, func(w string) bool { return strings.Contains(w, "started with "+c.late+",") })
			equal(t, "said", said, c.late != "")
			equal(t, "removed", removes(p), c.late == "")
		})
	}
}

// removes tells whether the plan leaves out or takes away development dependencies.
func removes(p plan.Plan) bool {
	return slices.ContainsFunc(p.Steps, func(s plan.Step) bool { return strings.Contains(strings.Join(s.Commands, ";"), "--omit=dev") })
}

func TestOwnerKeepsDevelopmentDependencies(t *testing.T) {
	files := map[string]string{Manifest: `{"scripts": {"build": "tsc", "start": "node x.js"}, "devDependencies": {"typescript": "5"}}`, "package-lock.json": "{}"}
	for _, c := range []struct {
		config  platform.Config
		removed bool
	}{
		{nil, true},
		{platform.Config{"NODE_ENV": "production", "NPM_CONFIG_PRODUCTION": "true"}, true},
		{platform.Config{"NPM_CONFIG_PRODUCTION": "false"}, false},
		{platform.Config{"YARN_PRODUCTION": "false"}, false},
		{platform.Config{"PNPM_SKIP_PRUNING": "true"}, false},
		{platform.Config{"NODE_ENV": "staging"}, false},
	} {
		p, err := Plan(treetest.Opened(t, files).WithConfig(c.config))
		if err != nil {
			t.Fatal(err)
		}
		if removes(p) != c.removed {
			t.Errorf("%v: removed %v", c.config, !c.removed)
		}
		if want := c.config["NODE_ENV"]; want != "" && find(t, p, "build").Env["NODE_ENV"] != want {
			t.Errorf("%v: the build has %v", c.config, find(t, p, "build").Env)
		}
	}
}
