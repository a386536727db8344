package node

import (
	"testing"

	"paas/buildpacks/treetest"
	"paas/platform"
)

func TestSiteDirectory(t *testing.T) {
	const vite, webpack = `{"devDependencies": {"vite": "6"}, "scripts": {"build": "vite build"}}`,
		`{"devDependencies": {"webpack": "5", "html-webpack-plugin": "5"}, "scripts": {"build": "webpack --mode production", "start": "webpack serve --open"}}`
	for _, c := range []struct {
		name, pkg, file, text, want string
	}{
		{"outDir", vite, "vite.config.js", `build: { outDir: 'build' }`, "build"},
		{"outDir that leads out", vite, "vite.config.js", `build: { outDir: '../build' }`, "dist"},
		{"root", vite, "vite.config.ts", "export default defineConfig({\n  root: 'client',\n})", "client/dist"},
		{"root and outDir", vite, "vite.config.ts", "{\n root: './client',\n build: { outDir: '../public/app' } }", "public/app"},
		{"option", `{"devDependencies": {"vite": "6"}, "scripts": {"build": "tsc && vite build --outDir www"}}`, "x", "", "www"},
		{"webpack", webpack, "webpack.config.js", "", "dist"},
		{"webpack's path", webpack, "webpack.config.js", `output: { path: path.resolve(__dirname, 'public/build') }`, "public/build"},
		{"webpack for a server", `{"devDependencies": {"webpack": "5"}, "scripts": {"build": "webpack"}}`, "x", "", ""},
	} {
		src := treetest.Opened(t, map[string]string{Manifest: c.pkg, c.file: c.text, "client/index.html": ""})
		site, _, err := FindSite(src)
		if err != nil || site.Dir != c.want {
			t.Errorf("%s: %q, %v", c.name, site.Dir, err)
		}
	}
}

// npm init writes "main": "index.js" whether there is one or not: a page that is built was started as that.
func TestMainOfPages(t *testing.T) {
	p := planned(t, map[string]string{Manifest: `{"main": "index.js", "devDependencies": {"vite": "6"}, "scripts": {"build": "vite build"}}`})
	equal(t, "process", p.Processes[platform.Web], "")
}

// A preview does not listen on PORT, and what it shows is served without it.
func TestPreviews(t *testing.T) {
	const svelte = `"@sveltejs/kit": "2", "@sveltejs/adapter-node": "5", "vite": "6"`
	for _, c := range []struct{ name, start, deps, want string }{
		{"a server's", "vite preview", svelte, "node build"},
		{"pages", "vite preview", `"vite": "6"`, ""},
		{"pages at PORT", "vite preview --port $PORT", `"vite": "6"`, "vite preview --port $PORT"},
		{"serve", "serve -s dist", `"vite": "6", "serve": "14"`, "serve -s dist"},
		{"serve elsewhere", "serve -s dist -l 3000", `"vite": "6", "serve": "14"`, ""},
	} {
		p := planned(t, map[string]string{Manifest: `{"dependencies": {` + c.deps + `}, "scripts": {"build": "vite build", "start": "` + c.start + `"}}`})
		equal(t, c.name, p.Processes[platform.Web], c.want)
	}
}

// Nuxt's starter has a hook that made every change of the source install anew.
func TestNuxtPrepare(t *testing.T) {
	const pkg = `{"dependencies": {"nuxt": "3"}, "scripts": {"build": "nuxt build", "postinstall": "nuxt prepare"}}`
	for config, want := range map[string]string{
		"export default defineNuxtConfig({ modules: ['@nuxt/ui'] })": "dependencies app build",
		"defineNuxtConfig({ css: ['~/assets/main.css'] })":           "app dependencies build",
		"import x from './x'": "app dependencies build",
	} {
		equal(t, config, names(planned(t, map[string]string{Manifest: pkg, "nuxt.config.ts": config})), want)
	}
}

// SvelteKit's starter leaves the adapter to what it finds: nothing was made that could be started.
func TestSvelteKitWithoutAnAdapter(t *testing.T) {
	p := planned(t, map[string]string{Manifest: `{"devDependencies": {"@sveltejs/kit": "2", "@sveltejs/adapter-auto": "6"}, "scripts": {"build": "vite build"}}`})
	equal(t, "process", p.Processes[platform.Web], "node build")
	equal(t, "environment", find(t, p, "build").Env["GCP_BUILDPACKS"], "true")
	equal(t, "behind a proxy", p.Env["PROTOCOL_HEADER"], "x-forwarded-proto")
}
