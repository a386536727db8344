package buildpacks

import (
	"context"
	"slices"

	"paas/buildpacks/java"
	"paas/buildpacks/plan"
	"paas/platform"
)

// debianToolchain is a language as the suite's own packages bring it: one version, chosen by Debian.
type debianToolchain struct {
	name     string   // as people write it
	version  string   // of the suite, as much of it as the language promises compatibility for
	packages []string // on top of the base image
	pin      string   // what to type for an app that asks for another version and runs with this one, too

	env   map[string]string // that its users need
	lines []debianLine      // other versions that the suite has, the more wanted first
	files map[string]string // beside the packages, by path below the root; text that starts with #! is a program
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
	"cpan":   {name: "Carton and cpanminus", packages: []string{"carton", "cpanminus"}},
	"jre":    javaToolchain("Java", "jre").with(java.RunPrograms()),
	"jdk":    javaToolchain("the JDK", "jdk", "unzip"),
	"maven":  javaToolchain("the JDK with Maven", "jdk", mavenPackages()...).with(java.MavenPrograms()),
	"gradle": javaToolchain("the JDK with Gradle", "jdk", "unzip", "gradle").with(java.GradlePrograms()),
	"rust": {
		name: "Rust", version: "1.96", pin: `write channel = "1.96" into rust-toolchain.toml`,
		packages: []string{"rustc-web", "cargo-web", "gcc", "libc6-dev"},
		lines:    []debianLine{{version: "1.85", packages: []string{"rustc", "cargo", "gcc", "libc6-dev"}}},
	},
	"elixir": {
		name: "Elixir", version: "1.18", pin: "echo elixir_version=1.18 > elixir_buildpack.config",
		packages: append(erlangPackages(), "elixir", "rebar3"),
	},
	"erlang": {name: "Erlang/OTP", version: "27", pin: "echo 27 > .erlang-version", packages: erlangPackages()},
	"cmake":  {name: "CMake", version: "3.31", packages: []string{"cmake", "ninja-build", "ccache"}},
	"meson":  {name: "Meson", version: "1.7", packages: []string{"meson", "ninja-build", "ccache"}},
	"ccache": {name: "ccache", packages: []string{"ccache"}},
	"dotnet": {name: ".NET", pin: "build it with a Dockerfile, or commit what dotnet publish makes, with a Procfile"},
}

// debian finds or makes the layer of a toolchain that Debian packages.
func (e *Engine) debian(ctx context.Context, base string, t plan.Toolchain, story *platform.Story) (made, error) {
	d := debianToolchains[t.Name]
	line, ok := d.line(t.Version)
	if !ok {
		return made{}, d.refuse(t)
	}
	layer, err := e.packagesWith(ctx, base, slices.Concat(line.packages, t.With), d.files, story)
	return made{layer: layer, version: line.version, env: line.env}, err
}

// hasDebian tells whether the layer of Debian's packages is there.
func (e *Engine) hasDebian(base string, t plan.Toolchain) bool {
	d := debianToolchains[t.Name]
	line, ok := d.line(t.Version)
	return ok && e.Images.Has(packagesWithKey(base, slices.Concat(line.packages, t.With), d.files))
}

// phpPackages are those of the suite's PHP, by their extensions.
func phpPackages(parts ...string) (packages []string) {
	for _, part := range parts {
		packages = append(packages, "php"+phpVersion+"-"+part)
	}
	return packages
}
