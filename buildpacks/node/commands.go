package node

import (
	"maps"
	"strings"
)

// yarnrc and pnpmWorkspace are settings files.
const (
	npmrc         = ".npmrc"
	yarnrc        = ".yarnrc.yml"
	pnpmWorkspace = "pnpm-workspace.yaml"
)

// settings are the files that steer a package manager's install, beside package.json.
func (m *manager) settings() []string {
	switch m.Name {
	case yarn:
		return []string{npmrc, ".yarnrc", ".yarnclean"}
	case berry:
		return []string{yarnrc, ".pnp.cjs", ".pnp.loader.mjs"}
	case pnpm:
		return []string{npmrc, pnpmWorkspace, ".pnpmfile.cjs", ".pnpmfile.mjs", "pnpmfile.js"}
	case bun:
		return []string{npmrc, "bunfig.toml"}
	default:
		return []string{npmrc}
	}
}

// install is the command that installs exactly what the lockfile says, with what only the build needs or
// without. Yarn 2 and newer always install both.
func (m *manager) install(dev bool) string {
	switch m.Name {
	case yarn:
		return "yarn install --non-interactive --prefer-offline" + m.frozen(" --frozen-lockfile") + either(dev, " --production=false", " --production=true")
	case berry:
		return "yarn install" + m.frozen(" --immutable")
	case pnpm:
		return "pnpm install --prefer-offline" + m.exact(" --frozen-lockfile", " --no-frozen-lockfile") + either(dev, " --prod=false", " --prod")
	case bun:
		return "bun install" + m.frozen(" --frozen-lockfile") + either(dev, "", " --production")
	default:
		return either(m.lock != "", "npm ci", "npm install") + either(dev, " --include=dev", " --omit=dev")
	}
}

func (m *manager) frozen(flag string) string { return m.exact(flag, "") }

func (m *manager) exact(locked, free string) string { return either(m.lock != "", locked, free) }

func either(condition bool, yes, no string) string {
	if condition {
		return yes
	}
	return no
}

// prune is the command that removes what only the build needed, or "".
func (m *manager) prune(workspaces bool) string {
	switch m.Name {
	case yarn:
		return "yarn install --non-interactive --offline --ignore-scripts --production=true" + m.frozen(" --frozen-lockfile")
	case berry:
		return m.focus()
	case pnpm:
		if workspaces { // pnpm prune knows only the package it is started in
			return "pnpm install --prod --offline --ignore-scripts" + m.frozen(" --frozen-lockfile")
		}
		return "pnpm prune --prod --ignore-scripts"
	case bun:
		return bunPrune + m.frozen(" --frozen-lockfile")
	default:
		return "npm prune --omit=dev --ignore-scripts"
	}
}

// bunPrune installs anew: Bun leaves what is there. A cache is mounted on node_modules/.cache.
const bunPrune = `find . -path ./node_modules/.cache -prune -o -path '*/node_modules/*' -prune -exec rm -rf {} + && bun install --production --ignore-scripts`

// focus is only there from Yarn 4 on; before, it was a plugin.
func (m *manager) focus() string {
	if m.Version != "" && !strings.HasPrefix(strings.TrimLeft(m.Version, "^~>=v "), "4") {
		return ""
	}
	return "yarn workspaces focus --production --all"
}

// run is the command that runs a script of the package in a directory, "." for the app's own.
func (m *manager) run(script, dir string) string {
	if dir == "." {
		return m.program() + " run " + script
	}
	switch m.Name {
	case npm:
		return "npm run " + script + " --workspace " + quote(dir)
	case pnpm:
		return "pnpm --dir " + quote(dir) + " run " + script
	case bun:
		return "bun run --cwd " + quote(dir) + " " + script
	default:
		return "yarn --cwd " + quote(dir) + " run " + script
	}
}

// cacheDir is where the downloads of earlier builds lie.
func (m *manager) cacheDir() string { return "/cache/" + family(m.Name) }

// env is the package manager's environment in every step. A lockfile that is not the app's own is not left in the
// image. Of Yarn's two places for archives the mirror is the one that need not be in the image.
func (m *manager) env() map[string]string {
	env := map[string]string{"NODE_ENV": "production"}
	set := map[string]map[string]string{
		npm: {
			"npm_config_audit": "false", "npm_config_cache": m.cacheDir(), "npm_config_fund": "false", "npm_config_update_notifier": "false",
		},
		yarn: {"YARN_CACHE_FOLDER": m.cacheDir(), "npm_config_update_notifier": "false"},
		berry: {
			"YARN_GLOBAL_FOLDER": m.cacheDir(), "YARN_ENABLE_GLOBAL_CACHE": either(m.pnp, "false", "true"), "YARN_ENABLE_TELEMETRY": "0",
			"YARN_ENABLE_PROGRESS_BARS": "false", "YARN_ENABLE_INLINE_BUILDS": "true",
		},
		pnpm: {
			"npm_config_store_dir": m.cacheDir(), "pnpm_config_store_dir": m.cacheDir(), "npm_config_update_notifier": "false",
			"npm_config_manage_package_manager_versions": "false", "pnpm_config_pm_on_fail": "ignore", // it is the right version
		},
		bun: {"BUN_INSTALL_CACHE_DIR": m.cacheDir(), "DO_NOT_TRACK": "1"},
	}
	maps.Copy(env, set[m.Name])
	return env
}
