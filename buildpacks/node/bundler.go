package node

import (
	"path"
	"regexp"
	"strings"

	"paas/buildpacks/source"
)

// Bundlers make pages, unless the app has a server of its own. Where they put them is in the build script or in their
// configuration.

var (
	outDirSetting = regexp.MustCompile(`\boutDir\s*:\s*["']([^"'\n]+)["']`)
	outDirOption  = regexp.MustCompile(`\bvite build\b[^&|;]*\s--outDir[ =]["']?([^\s"'&|;]+)`)
	rootSetting   = regexp.MustCompile(`(?m)^\s*root\s*:\s*["']([^"'\n]+)["']`)
	webpackOutput = regexp.MustCompile(`\bpath\s*:\s*(?:path\.)?(?:resolve|join)\(\s*(?:__dirname|import\.meta\.dirname)\s*,\s*["']([^"'\n]+)["']\s*\)`)
)

// inside is where a setting of a path leads from root, or "" if that is not below the app.
func inside(root, setting string) string {
	if path.IsAbs(setting) {
		return ""
	}
	dir, ok := source.Inside("", path.Join(root, setting))
	if !ok {
		return ""
	}
	return dir
}

func outDir(config, standard string) string {
	if m := outDirSetting.FindStringSubmatch(config); m != nil {
		if dir := inside("", m[1]); dir != "" {
			return dir
		}
	}
	return standard
}

// vite also builds the browser's part of apps with a server of their own: those have a start script. Its output is
// relative to its root, where the page lies.
func vite(p project) shape {
	config, root := p.config("vite.config"), ""
	if m := rootSetting.FindStringSubmatch(config); m != nil && p.src.Has(path.Join(p.dir, m[1], "index.html")) {
		root = m[1]
	}
	dir := inside(root, "dist")
	for _, m := range [][]string{outDirSetting.FindStringSubmatch(config), outDirOption.FindStringSubmatch(p.pkg.script(p.pkg.buildScript()))} {
		if m != nil && inside(root, m[1]) != "" {
			dir = inside(root, m[1])
		}
	}
	return shape{site: Site{dir, spa}}
}

// webpack makes a page only with the plugin for that; else it bundles for a server, or is one's.
func webpack(p project) shape {
	if !p.pkg.uses("html-webpack-plugin") || !strings.Contains(p.pkg.script(p.pkg.buildScript()), "webpack") {
		return shape{}
	}
	dir := "dist"
	for _, name := range []string{"webpack.config", "webpack.common", "webpack.prod", "config/webpack.config"} {
		if m := webpackOutput.FindStringSubmatch(p.config(name)); m != nil && inside("", m[1]) != "" {
			dir = inside("", m[1])
		}
	}
	return shape{site: Site{dir, spa}}
}
