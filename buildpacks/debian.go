package buildpacks

import (
	"context"
	"slices"
	"strings"

	"paas/buildpacks/plan"
	"paas/platform"
)

// debianToolchain is a language as the suite's own packages bring it: one version, chosen by Debian.
type debianToolchain struct {
	name     string   // as people write it
	version  string   // of the suite, as much of it as the language promises compatibility for
	packages []string // on top of the base image
	pin      string   // what to type for an app that asks for another version and runs with this one, too
}

// phpVersion is in the names of the suite's packages.
const phpVersion = "8.4"

// debianToolchains are by the name that plans use. A plan asks for what only steps need as a toolchain of its own.
var debianToolchains = map[string]debianToolchain{
	"python": {
		name: "Python", version: "3.13", pin: "echo 3.13 > .python-version",
		packages: []string{"python3", "python3-venv", "python3-pip", "python-is-python3"},
	},
	"ruby": {
		name: "Ruby", version: "3.3", pin: "echo 3.3 > .ruby-version, and ruby \"~> 3.3\" in the Gemfile",
		packages: []string{"ruby", "ruby-bundler"},
	},
	"ruby-dev": {name: "Ruby's headers", packages: []string{"ruby-dev"}},
	"php": {
		name: "PHP", version: phpVersion, pin: "composer require \"php:^8.4\"",
		packages: phpPackages("cli", "fpm", "opcache", "readline", "bcmath", "curl", "gd", "intl", "mbstring", "mysql", "pgsql", "sqlite3", "xml", "zip"),
	},
	"composer": {name: "Composer", packages: append(phpPackages("cli", "zip"), "composer", "unzip")},
	"perl": {
		name: "Perl", version: "5.40", pin: "echo 5.40 > .perl-version",
		packages: []string{"perl"},
	},
	"cpan": {name: "Carton and cpanminus", packages: []string{"carton", "cpanminus"}},
}

// debian finds or makes the layer of a toolchain that Debian packages.
func (e *Engine) debian(ctx context.Context, base string, t plan.Toolchain, story *platform.Story) (made, error) {
	d := debianToolchains[t.Name]
	layer, err := e.packages(ctx, base, slices.Concat(d.packages, t.With), story)
	return made{layer: layer, version: d.version}, err
}

// unfit is the error about another version where nobody else has it.
func (d debianToolchain) unfit(t plan.Toolchain) error {
	return platform.Errorf(platform.Failed, "%s asks for %s %s; this server has %s %s", t.From, d.name, t.Version, d.name, d.version).
		WithHint("if the app runs with it too: %s", d.pin)
}

// fits tells whether the suite's version is one that was asked for: of the right one any patch release will do, and a
// shorter version is any of those that begin so.
func (d debianToolchain) fits(wish string) bool {
	return wish == "" || wish == d.version || strings.HasPrefix(wish, d.version+".") || strings.HasPrefix(d.version, wish+".")
}

// phpPackages are those of the suite's PHP, by their extensions.
func phpPackages(parts ...string) (packages []string) {
	for _, part := range parts {
		packages = append(packages, "php"+phpVersion+"-"+part)
	}
	return packages
}
