package ruby

import (
	"strings"

	"paas/buildpacks/plan"
)

// build compiles what the app has tasks for. Tasks see the app's config vars, and where those are not set what
// Rails needs to start at all.
func (b builder) build() []plan.Step {
	var commands []string
	s := plan.Step{Name: "build", Files: []string{}, Env: b.bundlerEnv(), Config: true}
	if b.rakes() && !b.precompiled() {
		commands = append(commands, b.precompile())
		s.Env["SECRET_KEY_BASE_DUMMY"] = "1"
		s.Env["SKIP_YARN_INSTALL"], s.Env["SKIP_BUN_INSTALL"] = "1", "1" // the modules are there
		s.Caches = []plan.Cache{{ID: "assets", Dir: "/cache/assets"}}
	}
	if b.gems.has("bootsnap") && b.rails() {
		commands = append(commands, "bundle exec bootsnap precompile --gemfile app/ lib/ config/")
	}
	if len(commands) == 0 {
		return nil
	}
	s.Commands = commands
	return []plan.Step{s}
}

// rakes tells whether there may be tasks.
func (b builder) rakes() bool {
	_, ok := b.src.First("Rakefile", "rakefile", "Rakefile.rb", "rakefile.rb")
	return ok && b.gems.has("rake", "railties", "rails")
}

// precompiled tells whether assets were compiled and committed.
func (b builder) precompiled() bool {
	for _, f := range b.src.Below("public/assets") {
		name := strings.TrimPrefix(f.Path, "public/assets/")
		if strings.HasPrefix(name, ".sprockets-manifest") || strings.HasPrefix(name, "manifest") || name == ".manifest.json" {
			return true
		}
	}
	return false
}

// precompile runs the task assets:precompile if there is one, and nothing if there is none. A Rakefile that cannot
// be loaded is a failure only for Rails, whose task must be there. Sprockets' cache lies outside of the layer.
func (b builder) precompile() string {
	vars, list, run := "RAILS_ENV RACK_ENV SECRET_KEY_BASE", "bundle exec rake -P", "bundle exec rake assets:precompile"
	defaults := `: "${RAILS_ENV:=production}" "${RACK_ENV:=production}" "${SECRET_KEY_BASE:=only-for-the-build}"`
	if url := b.database(); url != "" {
		defaults, vars = defaults+` "${DATABASE_URL:=`+url+`}"`, vars+" DATABASE_URL"
	}
	if !b.rails() {
		list += " 2>/dev/null || true"
	}
	if b.gems.has("sprockets") {
		run = "mkdir -p tmp/cache; rm -rf tmp/cache/assets; ln -s /cache/assets tmp/cache/assets; " + run + "; rm tmp/cache/assets"
	}
	return defaults + "; export " + vars + "; tasks=$(" + list + `); if [[ $tasks == *"rake assets:precompile"* ]]; then ` + run + "; fi"
}

// database is an address for those who only look at it: nothing connects during a build.
func (b builder) database() string {
	for _, d := range []struct{ gem, url string }{
		{"pg", "postgresql://user:pass@127.0.0.1/dbname"}, {"mysql2", "mysql2://user:pass@127.0.0.1/dbname"}, {"trilogy", "trilogy://user:pass@127.0.0.1/dbname"},
	} {
		if b.gems.has(d.gem) {
			return d.url
		}
	}
	return ""
}
