package php

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

func TestConstraints(t *testing.T) {
	for constraint, want := range map[string]bool{
		"^8.2": true, "^8.4": true, "^8.5": false, "^7.4": false, "^7.4 || ^8.0": true, "^7.4|^8.1": true, "~8.3": true, "~8.3.0": false, "~8.4.0": true,
		">=8.1": true, ">= 7.2 <9": true, ">=8.1,<8.4": false, "8.4.*": true, "8.*": true, "8.3.*": false, "8.4": true, "8.4.2": true, "8": true, "*": true,
		"8.1 - 8.4": true, "7.0 - 8.3": false, "!=8.1": true, "": false, "nonsense": false, ">8.4": false, "<8.4.5": true, "<=8": true,
	} {
		equal(t, constraint, allows(constraint, newest), want)
	}
}

func TestVersion(t *testing.T) {
	for text, want := range map[string]plan.Toolchain{
		`{}`:                           {Name: "php"},
		`{"require": {"php": "^8.1"}}`: {Name: "php", Version: "8.4", From: "composer.json require.php"},
		`{"require": {"php": "^7.4"}}`: {Name: "php", Version: "^7.4", From: "composer.json require.php"},
		`{"require": [], "config": {"platform": {"php": "8.4.1"}}}`: {Name: "php", Version: "8.4", From: "composer.json config.platform.php"},
	} {
		equal(t, text, planned(t, map[string]string{"composer.json": text}).Toolchains[0], want)
	}
}

func TestExtensions(t *testing.T) {
	p := planned(t, map[string]string{
		"composer.json": `{"require": {"ext-redis": "*", "ext-json": "*", "ext-pdo_mysql": "*", "ext-PDO_ODBC": "*", "a/b": "1"}}`,
		"composer.lock": `{"packages": [{"require": {"ext-imagick": "*", "ext-unheard": "*"}}]}`,
	})
	equal(t, "packages", p.Toolchains[0].With, []string{"php8.4-imagick", "php8.4-odbc", "php8.4-redis"})
	_, err := Plan(treetest.Opened(t, map[string]string{"composer.json": `{"require": {"ext-unheard": "*"}}`}))
	if platform.KindOf(err) != platform.Failed || !strings.Contains(err.Error(), "ext-unheard") {
		t.Error(err)
	}
}

func TestSteps(t *testing.T) {
	const laravel = `{"require": {"php": "^8.2", "laravel/framework": "^12.0"}, "scripts": {"compile": ["x"]}}`
	for _, c := range []struct {
		name, steps, root string
		files             map[string]string
	}{
		{"plain", "app", ".", map[string]string{"index.php": ""}},
		{"no packages", "app, build", "public", map[string]string{"composer.json": `{"require": {"php": "^8.2"}}`, "public/index.php": "", "index.php": ""}},
		{"packages", "dependencies, app, build", "web", map[string]string{"composer.json": `{"require": {"a/b": "1"}}`, "web/index.php": ""}},
		{"committed", "app", ".", map[string]string{"composer.json": `{"require": {"a/b": "1"}}`, "index.php": "", "vendor/autoload.php": ""}},
		{"of the tree", "app, build", ".", map[string]string{"composer.json": `{"require": {"a/b": "1"}, "repositories": [{"type": "path", "url": "../x"}]}`, "index.php": ""}},
		{"laravel", "asset dependencies, dependencies, app, build, assets, caches", "public", map[string]string{"composer.json": laravel, "composer.lock": "{}", "artisan": "", "public/index.php": "",
			"package.json": `{"engines": {"node": "22"}, "devDependencies": {"vite": "7"}, "scripts": {"build": "vite build"}}`, "package-lock.json": "{}"}},
	} {
		p := planned(t, c.files)
		equal(t, c.name+": steps", names(p), c.steps)
		equal(t, c.name+": start", p.Processes[platform.Web], "paas php --root "+c.root)
	}
	p := planned(t, map[string]string{"composer.json": laravel, "artisan": "", "public/index.php": ""})
	caches := strings.Join(p.Steps[len(p.Steps)-1].Commands, "\n")
	if strings.Contains(caches, "config:cache") || !strings.Contains(caches, "route:cache") {
		t.Errorf("what config:set changes must not be cached: %s", caches)
	}
	equal(t, "env", p.Env["LOG_CHANNEL"], "stderr")
	equal(t, "symfony", planned(t, map[string]string{"composer.json": `{"require": {"symfony/framework-bundle": "7"}}`}).Env["APP_ENV"], "prod")
}

func TestTranslate(t *testing.T) {
	for line, want := range map[string]string{
		"heroku-php-apache2 web/":                      "paas php --root web",
		"vendor/bin/heroku-php-nginx -C a.conf public": "paas php --root public",
		"exec heroku-php-apache2":                      "paas php --root .",
		"heroku-php-apache2 -F fpm.conf":               "paas php --root . --fpm-config fpm.conf",
		"heroku-php-apache2 -F 'a;b' web/":             "paas php --root web",
		"heroku-php-apache2 $(reboot)":                 "paas php --root .",
		"php worker.php":                               "php worker.php",
	} {
		p := plan.Plan{Toolchains: []plan.Toolchain{{Name: "php"}}, Processes: map[platform.ProcessType]string{"web": line}}
		Translate(&p)
		equal(t, line, p.Processes["web"], want)
	}
	p := plan.Plan{Processes: map[platform.ProcessType]string{"web": "heroku-php-apache2"}}
	Translate(&p)
	equal(t, "another language", p.Processes["web"], "heroku-php-apache2")
}

func FuzzComposer(f *testing.F) {
	f.Add([]byte(`{"require": {"php": "^8.1 || ~7.4", "ext-redis": "*", "a/b": 1}, "repositories": {"x": {"type": "path", "url": "a/*"}}}`), []byte(`{"packages": [{"require": []}]}`))
	f.Fuzz(func(t *testing.T, text, lock []byte) {
		src, err := source.Open(treetest.Files(map[string]string{"composer.json": string(text), "composer.lock": string(lock), "index.php": ""}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Plan(src); err != nil && platform.KindOf(err) != platform.Failed {
			t.Fatalf("no sentence: %v", err)
		}
	})
}
