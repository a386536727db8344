package buildpacks

import (
	"errors"
	"strings"
	"testing"

	"paas/platform"
)

// Each is a line as the tool printed it.
func TestACauseIsNamedWithWhatToType(t *testing.T) {
	for line, want := range map[string]string{
		"npm error `npm ci` can only install packages when your package.json and package-lock.json or npm-shrinkwrap.json are in sync. Please update": "does not fit package.json|run npm install",
		"error Your lockfile needs to be updated, but yarn was run with `--frozen-lockfile`.":                                                         "yarn.lock does not fit|run yarn install",
		"➤ YN0028: │ The lockfile would have been modified by this install, which is explicitly forbidden.":                                           "yarn.lock does not fit|run yarn install",
		` ERR_PNPM_OUTDATED_LOCKFILE  Cannot install with "frozen-lockfile" because pnpm-lock.yaml is not up to date with package.json`:               "pnpm-lock.yaml does not fit|pnpm install",
		"error: lockfile had changes, but lockfile is frozen":                                                                                         "bun.lock does not fit|bun install",
		"npm error code ERESOLVE": "versions of each other|legacy-peer-deps",
		"npm error notarget No matching version found for left-pad@99.0.0.":                                                  "no version left-pad@99.0.0|package.json",
		"npm error 404  'no-such-thing-here@^1.0.0' is not in this registry.":                                                "no package no-such-thing-here@|NPM_TOKEN",
		"src/App.vue(1,46): error TS1005: ',' expected.":                                                                     "the first in src/App.vue|tsc",
		"\x1b[31merror\x1b[0m: lockfile had changes, but lockfile is frozen":                                                 "bun.lock|bun install",
		`npm error Missing script: "build"`:                                                                                  `no script build|"scripts"`,
		"FATAL ERROR: Ineffective mark-compacts near heap limit Allocation failed - JavaScript heap out of memory":           "heap|config:set hello NODE_OPTIONS",
		"Error: Cannot find module 'typescript'":                                                                             "typescript is not there|dependencies",
		`[vite]: Rollup failed to resolve import "./Header" from "/app/src/main.js".`:                                        "./Header is not there|upper and lower",
		"src/index.ts(3,7): error TS2322: Type 'string' is not assignable to type 'number'.":                                 "the first in src/index.ts|tsc --noEmit",
		"main.go:4:2: missing go.sum entry for module providing package rsc.io/quote":                                        "go.sum|go mod tidy",
		"go: inconsistent vendoring in /app:":                                                                                "vendor/|go mod vendor",
		"main.go:5:2: no required module provides package rsc.io/quote; to add it:":                                          "go.mod does not have rsc.io/quote|go mod tidy",
		"main.go:5:2: package hello/internal/db is not in std (/opt/go/src/hello/internal)":                                  "no package hello/internal/db|committed",
		"go: example.com/lib@v0.0.0: replacement directory ../lib does not exist":                                            "../lib|replace line",
		"go: example.com/private@v1.0.0: reading https://proxy.example.org/example.com/private/@v/v1.0.0.mod: 404 Not Found": "proxy does not have|go mod vendor",
		"ERROR: No matching distribution found for flask==99":                                                                "no index has flask|.python-version",
		"Error: pg_config executable not found.":                                                                             "PostgreSQL|psycopg2-binary",
		"ModuleNotFoundError: No module named 'django'":                                                                      "no module django|requirements.txt",
		"error: the lock file /app/Cargo.lock needs to be updated but --locked was passed to prevent this":                   "Cargo.lock|cargo",
		"main.c:1:10: fatal error: sodium.h: No such file or directory":                                                      "sodium.h|Aptfile",
		"/usr/bin/ld: cannot find -lsodium: No such file or directory":                                                       "library sodium|Aptfile",
		"tar: x: Cannot write: No space left on device":                                                                      "disk was full|ssh paas disk",
		"a test failed":      "|lines above",
		"warning: no module": "|lines above",
	} {
		sentence, hint, _ := strings.Cut(want, "|")
		err := failure("hello", "make", platform.Exit{Code: 1}, platform.BuildLimits{}, []string{"before", line, "after"})
		var human *platform.Error
		if !errors.As(err, &human) || !strings.Contains(human.Message, sentence) || !strings.Contains(human.Hint, hint) {
			t.Errorf("%s: %v", line, err)
		}
		if !strings.HasPrefix(human.Message, "build failed: `make` exited with status 1") {
			t.Errorf("%s: the command is lost: %s", line, human.Message)
		}
	}
}
