package ruby

import (
	"reflect"
	"strings"
	"testing"

	"paas/buildpacks/plan"
	"paas/buildpacks/source"
	"paas/buildpacks/treetest"
	"paas/platform"
)

func planned(t *testing.T, files map[string]string) plan.Plan {
	t.Helper()
	return treetest.Planned(t, Plan, files)
}

func find(p plan.Plan, name string) plan.Step {
	for _, s := range p.Steps {
		if s.Name == name {
			return s
		}
	}
	return plan.Step{}
}

func names(p plan.Plan) string {
	var all []string
	for _, s := range p.Steps {
		all = append(all, s.Name)
	}
	return strings.Join(all, ", ")
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// lock is a lock file of gems without dependencies.
func lock(gems ...string) string {
	text := "GEM\n  remote: https://gems.example.com/\n  specs:\n"
	for _, g := range gems {
		text += "    " + g + " (1.0.0)\n      other (~> 1)\n"
	}
	return text + "\nPLATFORMS\n  ruby\n\nDEPENDENCIES\n  x\n\nBUNDLED WITH\n   2.5.22\n"
}

func TestDetect(t *testing.T) {
	for _, c := range []struct {
		files map[string]string
		want  bool
	}{
		{map[string]string{"Gemfile": ""}, true}, {map[string]string{"gems.rb": ""}, true}, {map[string]string{"config.ru": ""}, true},
		{map[string]string{"app.rb": ""}, false}, {map[string]string{"Gemfile": `gem "fastlane"`, "package.json": "{}"}, false},
		{map[string]string{"Gemfile": `gem 'rails', '~> 7.2'`, "package.json": "{}"}, true},
	} {
		equal(t, "detect", Detect(treetest.Opened(t, c.files)), c.want)
	}
}

func TestVersion(t *testing.T) {
	locked := lock("rack") + "\nRUBY VERSION\n   ruby 3.2.5p208\n"
	for _, c := range []struct {
		files         map[string]string
		version, from string
	}{
		{map[string]string{"Gemfile": ""}, "", ""},
		{map[string]string{"Gemfile": `ruby "3.1.0"`, "Gemfile.lock": locked, ".ruby-version": "3.0"}, "3.2.5", "Gemfile.lock RUBY VERSION"},
		{map[string]string{"Gemfile": `ruby "3.1.0"`, ".ruby-version": "3.0"}, "3.1.0", "Gemfile ruby"},
		{map[string]string{"Gemfile": "ruby '~> 3.2'\n"}, "3.3", "Gemfile ruby"},
		{map[string]string{"Gemfile": "ruby '~> 3.2.1'\n"}, "~> 3.2.1", "Gemfile ruby"},
		{map[string]string{"Gemfile": "ruby '>= 3.1', '< 4'\n"}, "3.3", "Gemfile ruby"},
		{map[string]string{"Gemfile": "# ruby '2.0'\nruby file: '.ruby-version'\n", ".ruby-version": "ruby-3.3.6\n"}, "3.3.6", ".ruby-version"},
		{map[string]string{"Gemfile": "", ".tool-versions": "ruby 3.3.1"}, "3.3.1", ".tool-versions"},
	} {
		equal(t, c.from, planned(t, c.files).Toolchains[0], plan.Toolchain{Name: "ruby", Version: c.version, From: c.from})
	}
}

func TestDependencies(t *testing.T) {
	const network = "bundle install --jobs 4 --retry 2"
	const first = "bundle install --local --quiet 2>/dev/null || " + network
	for _, c := range []struct {
		name    string
		files   map[string]string
		steps   string
		seen    []string
		command string
	}{
		{"locked", map[string]string{"Gemfile": `gem "rack"`, "Gemfile.lock": lock("rack")}, "dependencies, app", []string{"Gemfile.lock", "Gemfile"}, network},
		{"vendored", map[string]string{"Gemfile": `gem "rack"`, "Gemfile.lock": lock("rack"), "vendor/cache/rack-1.0.0.gem": ""}, "dependencies, app", []string{"Gemfile.lock", "Gemfile", "vendor/cache/"}, first},
		{"of Debian", map[string]string{"Gemfile": `gem "sinatra"`, "Aptfile": "ruby-sinatra"}, "dependencies, app", []string{"Gemfile"}, first},
		{"nothing", map[string]string{"Gemfile": "", ".ruby-version": "3.3"}, "dependencies, app", []string{"Gemfile", ".ruby-version"}, first},
		{"its own gemspec", map[string]string{"Gemfile": "gemspec", "Gemfile.lock": lock("rack")}, "app, dependencies", []string{}, network},
		{"a part of it", map[string]string{"Gemfile": "gem 'a'", "Gemfile.lock": "PATH\n  remote: a\n  specs:\n    a (1)\n"}, "app, dependencies", []string{}, network},
		{"no Gemfile", map[string]string{"config.ru": ""}, "app", nil, ""},
	} {
		p := planned(t, c.files)
		s := find(p, "dependencies")
		equal(t, c.name+": steps", names(p), c.steps)
		equal(t, c.name+": files", s.Files, c.seen)
		if c.command != "" {
			equal(t, c.name+": command", s.Commands[0], c.command)
			equal(t, c.name+": frozen", s.Env["BUNDLE_FROZEN"] == "true", c.files["Gemfile.lock"] != "")
		}
	}
	s := find(planned(t, map[string]string{"Gemfile": `source "https://x:#{ENV["TOKEN"]}@gems.example.com"`}), "dependencies")
	equal(t, "config", s.Config, true)
}

func TestStart(t *testing.T) {
	for _, c := range []struct {
		name, want string
		files      map[string]string
	}{
		{"rails", "ruby bin/rails server -b 0.0.0.0 -p $PORT -e $RAILS_ENV", map[string]string{"Gemfile.lock": lock("railties", "puma"), "config/application.rb": "", "bin/rails": "", "config.ru": ""}},
		{"old rails", "bundle exec rails server -b 0.0.0.0 -p $PORT -e $RAILS_ENV", map[string]string{"Gemfile.lock": lock("railties"), "config/application.rb": ""}},
		{"puma", "bundle exec puma -p $PORT", map[string]string{"Gemfile.lock": lock("rack", "puma"), "config.ru": ""}},
		{"unicorn", "bundle exec unicorn -p $PORT -c config/unicorn.rb", map[string]string{"Gemfile.lock": lock("unicorn"), "config.ru": "", "config/unicorn.rb": ""}},
		{"rackup", "bundle exec rackup -o 0.0.0.0 -p $PORT", map[string]string{"Gemfile.lock": lock("rack"), "config.ru": ""}},
		{"sinatra", "bundle exec ruby app.rb -o 0.0.0.0 -p $PORT", map[string]string{"Gemfile.lock": lock("sinatra"), "app.rb": "require 'sinatra'\n"}},
		{"script", "bundle exec ruby server.rb", map[string]string{"Gemfile.lock": lock("a"), "server.rb": ""}},
		{"nothing", "", map[string]string{"Gemfile.lock": lock("a")}},
	} {
		c.files["Gemfile"] = ""
		equal(t, c.name, planned(t, c.files).Processes[platform.Web], c.want)
	}
}

func TestRails(t *testing.T) {
	files := map[string]string{"Gemfile": "", "Gemfile.lock": lock("railties", "pg", "sprockets", "bootsnap", "execjs"), "config/application.rb": "", "Rakefile": "", "bin/rails": ""}
	p := planned(t, files)
	equal(t, "steps", names(p), "dependencies, app, build")
	s := find(p, "build")
	for _, part := range []string{"assets:precompile", "DATABASE_URL:=postgresql://", "SECRET_KEY_BASE:=", "ln -s /cache/assets"} {
		if !strings.Contains(s.Commands[0], part) {
			t.Errorf("no %s in %s", part, s.Commands[0])
		}
	}
	equal(t, "bootsnap", s.Commands[1], "bundle exec bootsnap precompile --gemfile app/ lib/ config/")
	equal(t, "dummy", s.Env["SECRET_KEY_BASE_DUMMY"], "1")
	equal(t, "secret", p.Declared["SECRET_KEY_BASE"].Generator, "secret")
	equal(t, "a JavaScript runtime for the build", p.Toolchains[2], plan.Toolchain{Name: "node", Build: true})
	files["public/assets/.manifest.json"] = "{}"
	if s := find(planned(t, files), "build"); strings.Contains(strings.Join(s.Commands, ";"), "precompile ") && strings.Contains(s.Commands[0], "assets:precompile") {
		t.Errorf("compiled again: %q", s.Commands)
	}
}

// Rails' own task runs the scripts of package.json: they are not run twice.
func TestRailsBundlesItself(t *testing.T) {
	files := map[string]string{"Gemfile": "", "Gemfile.lock": lock("railties", "jsbundling-rails"), "config/application.rb": "", "Rakefile": "",
		"package.json": `{"engines": {"node": "22"}, "devDependencies": {"esbuild": "1"}, "scripts": {"build": "esbuild x"}}`, "package-lock.json": "{}"}
	equal(t, "rails", names(planned(t, files)), "asset dependencies, dependencies, app, build")
	files["Gemfile.lock"] = lock("sinatra")
	equal(t, "others", names(planned(t, files)), "asset dependencies, dependencies, app, assets")
}

func TestWarnings(t *testing.T) {
	p := planned(t, map[string]string{"Gemfile": `gem "rack"`, "config.ru": "", ".bundle/config": "", "vendor/bundle/x": ""})
	equal(t, "warnings", len(p.Warnings), 5)
	if s := find(p, "app"); s.Sees(".bundle/config") || s.Sees("vendor/bundle/x") {
		t.Error("what is committed must not cover what was installed")
	}
}

func FuzzGems(f *testing.F) {
	f.Add([]byte("source 'x'\nruby '~> 3.3'\ngem \"rack\", '1'\n"), []byte(lock("rack")))
	f.Fuzz(func(t *testing.T, file, locked []byte) {
		src, err := source.Open(treetest.Files(map[string]string{"Gemfile": string(file), "Gemfile.lock": string(locked), "config.ru": ""}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Plan(src); err != nil && platform.KindOf(err) != platform.Failed {
			t.Fatalf("no sentence: %v", err)
		}
	})
}
