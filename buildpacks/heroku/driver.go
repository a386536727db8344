package heroku

import (
	"fmt"
	"strconv"

	"paas/buildpacks/plan"
)

// A buildpack's programs are run in a step of their own, over the app and what was built so far:
//
//	/opt/buildpacks/1/      the first buildpack, as its repository has it
//	/opt/buildpacks/1.sh    runs it: bin/detect, bin/compile, bin/release
//	/opt/buildpacks/1.yml   what bin/release answered
//	/opt/buildpacks/1/export   what those after it shall have in their environment
//	/opt/buildpacks/exports    sources all exports, for steps of our own buildpacks
const (
	Dir     = "/opt/buildpacks"
	EnvDir  = "/tmp/env" // config vars as files
	Stack   = "heroku-24"
	exports = Dir + "/exports"
)

// Place is the buildpack's directory.
func Place(n int) string { return Dir + "/" + strconv.Itoa(n) }

// Driver is the program that runs the n-th buildpack.
func Driver(n int) string { return fmt.Sprintf(driver, n) }

// Answer is the file that bin/release's answer is in.
func Answer(n int) string { return Place(n) + ".yml" }

// Exports is the file that Before names, and its content.
func Exports() (name, text string) {
	return exports, "unset BASH_ENV\nfor e in " + Dir + "/*/export; do [ ! -r \"$e\" ] || . \"$e\"; done\n"
}

const driver = `#!/bin/bash
n=%d
pack=${0%%.sh}
fail() { echo " !     $1"; exit 1; }
for (( i = 1; i < n; i++ )); do
	[ ! -r "${pack%%/*}/$i/export" ] || . "${pack%%/*}/$i/export"
done
[ -x "$pack/bin/compile" ] || fail "bin/compile is missing or not executable: this is no buildpack"
if [ -e "$pack/bin/detect" ]; then
	name=$("$pack/bin/detect" /app) || { [ -z "$name" ] || echo "$name"; fail "its bin/detect says that this is no app for it"; }
	echo "${name:-Some} app detected"
fi
"$pack/bin/compile" /app /cache/buildpacks ` + EnvDir + ` || exit
[ ! -x "$pack/bin/release" ] || "$pack/bin/release" /app > "$pack.yml" || fail "its bin/release failed"
`

// Plan runs a buildpack of a git repository.
func Plan(b plan.Buildpack) plan.Plan {
	return plan.Plan{
		Builder: plan.Buildpacks, Detected: b.Name(), Buildpacks: []plan.Buildpack{b}, Profile: true, Release: 1,
		Steps: []plan.Step{{Name: "app", Files: []string{"/"}}, Step(1, b)},
	}
}

// Step runs the n-th of a plan's buildpacks, with compilers and headers at hand. What differs from a dyno's
// build: /app is built where it will run.
func Step(n int, b plan.Buildpack) plan.Step {
	return plan.Step{
		Name: "buildpack " + b.Name(), Files: []string{}, Buildpack: n, Tools: true, Config: true, EnvDir: EnvDir,
		Commands: []string{Place(n) + ".sh # " + b.Name()},
		Env:      map[string]string{"HOME": "/app", "STACK": Stack, "BUILD_DIR": "/app", "CACHE_DIR": "/cache/buildpacks", "ENV_DIR": EnvDir},
		Caches:   []plan.Cache{{ID: "buildpacks", Dir: "/cache/buildpacks"}},
	}
}

// After gives a step of our own what buildpacks that ran before it export: bash sources the file first
// (bash(1), BASH_ENV).
func After(s plan.Step) plan.Step {
	env := map[string]string{"BASH_ENV": exports}
	for k, v := range s.Env {
		env[k] = v
	}
	s.Env = env
	return s
}
