package buildpacks

import (
	"regexp"
	"strings"
)

// cause is what package managers and compilers say when a build cannot go on, and what its person does about it.
// "$1" in what and hint is what the line's first group found.
type cause struct {
	line       *regexp.Regexp
	what, hint string
}

// word is a package, file or program that a tool names: bounded, because it goes into a sentence.
const word = "([\\w@][\\w@./+~-]{0,99})"

// causes are tried in this order on all of the last lines: the first one is usually what made the others. The wording
// is that of npm 8 to 12, Yarn 1 to 4, pnpm 8 to 10, Bun 1, Node.js 18 to 26, TypeScript 5, Vite 5 and newer, Go 1.20 and
// newer, pip 23 and newer, uv, Poetry, Bundler 2, Composer 2, Cargo, GCC and Clang.
var causes = []cause{
	{regexp.MustCompile("`npm ci` can only install packages when your package.json and (\\S+) "), "the lockfile does not fit package.json", "run npm install, then commit package.json and package-lock.json"},
	{regexp.MustCompile(`(?i)your lockfile needs to be updated, but yarn was run with|YN0028: .*(?:lockfile would have been|explicitly forbidden)`), "yarn.lock does not fit package.json", "run yarn install, then commit yarn.lock"},
	{regexp.MustCompile(`ERR_PNPM_(?:OUTDATED_LOCKFILE|LOCKFILE_CONFIG_MISMATCH|FROZEN_LOCKFILE_WITH_OUTDATED_LOCKFILE)`), "pnpm-lock.yaml does not fit package.json", "run pnpm install, then commit pnpm-lock.yaml"},
	{regexp.MustCompile(`error: lockfile had changes, but lockfile is frozen`), "bun.lock does not fit package.json", "run bun install, then commit bun.lock"},
	{regexp.MustCompile(`(?:npm ERR!|npm error) code ERESOLVE`), "dependencies ask for versions of each other that do not fit", "run npm install with the same version of npm; or commit a .npmrc with the line legacy-peer-deps=true"},
	{regexp.MustCompile(`(?:npm ERR!|npm error) notarget No matching version found for ` + word), "the registry has no version $1", "ask for one that it has in package.json, run npm install, and commit both files"},
	{regexp.MustCompile(`(?:npm ERR!|npm error) 404\s+'?` + word + `@?\S{0,60} (?:is not in|could not be found)`), "the registry has no package $1", "is its name right? A private one needs a .npmrc with a token: ssh paas config:set APP NPM_TOKEN=…"},
	{regexp.MustCompile(`(?:npm ERR!|npm error) code (E401|E403)|ERR_PNPM_FETCH_(40[13])|YN0041|YN0035: .*Response Code.*40[13]`), "the registry refuses a package", "a private one needs a token (ssh paas config:set APP NPM_TOKEN=…); else ask for another version of the package that is named above"},
	{regexp.MustCompile(`(?:npm ERR!|npm error) code EBADENGINE|The engine "(?:node|npm|yarn)" is incompatible|ERR_PNPM_UNSUPPORTED_ENGINE`), "a package wants another version of Node.js", `say which in package.json: "engines": {"node": "22.x"}`},
	{regexp.MustCompile(`(?:npm ERR!|npm error) Missing script: "([\w:.-]{1,60})"`), "package.json has no script $1", `add it to "scripts", or take it out of what calls it`},
	{regexp.MustCompile(`JavaScript heap out of memory`), "Node.js had no room left in its own heap", "give it more: ssh paas config:set APP NODE_OPTIONS=--max-old-space-size=1536"},
	{regexp.MustCompile(`(?:Cannot find module|Cannot find package) '([\w@./~#+-]{1,100})'`), "$1 is not there", "is it among the dependencies in package.json, and not only installed on your computer? File names differ by upper and lower case here"},
	{regexp.MustCompile(`(?:failed to resolve import|Could not resolve|Can't resolve) ["']([\w@./~#+-]{1,100})["']`), "$1 is not there", "is it among the dependencies in package.json, and committed? File names differ by upper and lower case here"},
	{regexp.MustCompile(`^([\w./@()\[\]-]{1,120}\.\w{1,6})[(:]\d+[,:]\d+\)?.{0,3} ?-? error TS\d+`), "TypeScript finds errors, the first in $1", "see them: npx tsc --noEmit"},

	{regexp.MustCompile(`missing go\.sum entry|updates to go\.(?:mod|sum) needed|go: updating go\.mod`), "go.mod and go.sum do not fit the source", "run go mod tidy, then commit go.mod and go.sum"},
	{regexp.MustCompile(`go: inconsistent vendoring`), "vendor/ does not fit go.mod", "run go mod vendor, then commit vendor/"},
	{regexp.MustCompile(`no required module provides package ` + word), "go.mod does not have $1", "run go mod tidy, then commit go.mod and go.sum"},
	{regexp.MustCompile(`package ` + word + ` is not in (?:std|GOROOT)`), "there is no package $1", "is its import path right, and is its directory committed?"},
	{regexp.MustCompile(`go: .*replacement directory (\S{1,100}) does not exist`), "go.mod replaces a module by $1, which is not in the repository", "commit that directory, or take the replace line out of go.mod"},
	{regexp.MustCompile(`(?:reading|verifying|go: ` + word + `@\S+: ).*(?:404 Not Found|410 Gone|terminal prompts disabled|could not read Username)`), "the module proxy does not have a module that go.mod asks for", "a private one is committed with the app: go mod vendor"},
	{regexp.MustCompile(`verifying ` + word + `@\S+: checksum mismatch`), "$1 is not what go.sum says", "run go mod tidy after deleting its lines from go.sum, if you trust the new content"},

	{regexp.MustCompile(`No matching distribution found for ` + word), "no index has $1 for this version of Python", "is its name and version right? .python-version chooses another Python; wheels may be committed in vendor/"},
	{regexp.MustCompile(`THESE PACKAGES DO NOT MATCH THE HASHES`), "a package is not what requirements.txt says", "make the hashes anew, or commit the wheels that fit"},
	{regexp.MustCompile(`pg_config executable not found`), "psycopg2 is built from source, and lacks PostgreSQL's headers", "ask for psycopg2-binary, or commit an Aptfile with the line libpq-dev"},
	{regexp.MustCompile(`ModuleNotFoundError: No module named '` + word + `'`), "Python finds no module $1", "is it in requirements.txt or pyproject.toml, and committed?"},
	{regexp.MustCompile(`(?:uv\.lock|[Tt]he lockfile) (?:at \S+ )?needs to be updated, but`), "uv.lock does not fit pyproject.toml", "run uv lock, then commit uv.lock"},
	{regexp.MustCompile(`pyproject\.toml changed significantly since poetry\.lock was last generated`), "poetry.lock does not fit pyproject.toml", "run poetry lock, then commit poetry.lock"},

	{regexp.MustCompile(`(?:The gemfile's dependencies|The dependencies in your gemfile) changed|the lockfile (?:can't|cannot) be updated because frozen|can't find gem .* deployment mode`), "Gemfile.lock does not fit the Gemfile", "run bundle install, then commit Gemfile.lock"},
	{regexp.MustCompile(`Your bundle only supports platforms`), "Gemfile.lock is for other platforms only", "run bundle lock --add-platform x86_64-linux, then commit Gemfile.lock"},
	{regexp.MustCompile(`Required package "` + word + `" is not present in the lock file|lock file is not up to date with the latest changes in composer\.json`), "composer.lock does not fit composer.json", "run composer update --lock, then commit composer.lock"},
	{regexp.MustCompile(`requires? (ext-\w{1,40}) \*? ?-> (?:it is missing|the requested PHP extension)`), "PHP lacks $1", "ask for it in composer.json: composer require $1"},
	{regexp.MustCompile(`the lock file \S+ needs to be updated but --(?:locked|frozen) was passed|cannot update the lock file \S+ because --(?:locked|frozen)`), "Cargo.lock does not fit Cargo.toml", "run cargo generate-lockfile or cargo build, then commit Cargo.lock"},

	{regexp.MustCompile(`fatal error: '?` + word + `'?(?:: No such file or directory| file not found)`), "the C header $1 is not there", "name the Debian package that has it in a file Aptfile, one a line: libfoo-dev"},
	{regexp.MustCompile(`cannot find -l(\w[\w+.-]{0,60})`), "the C library $1 is not there", "name the Debian package that has it in a file Aptfile, one a line: libfoo-dev"},
	{regexp.MustCompile(`Package '?` + word + `'?(?:, required by .{1,80},)? (?:was )?not found(?: in the pkg-config search path)?$`), "pkg-config finds no $1", "name the Debian package that has it in a file Aptfile, one a line: libfoo-dev"},
	{regexp.MustCompile(`(?i)no space left on device|ENOSPC`), "its disk was full", "ssh paas disk tells what can be freed"},
}

// colour is how a terminal is told to change its own (ECMA-48, SGR).
var colour = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// knownCause finds what a command's last lines say.
func knownCause(app string, tail []string) (what, hint string, ok bool) {
	text := colour.ReplaceAllLiteralString(strings.Join(tail, "\n"), "")
	for _, c := range causes {
		for line := range strings.SplitSeq(text, "\n") {
			if m := c.line.FindStringSubmatch(line); m != nil {
				fill := strings.NewReplacer("$1", found(m), "APP", app)
				return fill.Replace(c.what), fill.Replace(c.hint), true
			}
		}
	}
	return "", "", false
}

// found is the first group that found something.
func found(match []string) string {
	for _, group := range match[1:] {
		if group != "" {
			return group
		}
	}
	return ""
}
