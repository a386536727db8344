package node

import (
	"encoding/json"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"paas/buildpacks/plan"
	"paas/buildpacks/source"
)

// Site is what a build script leaves for a file server.
type Site struct {
	Dir      string
	Fallback string // the file for paths that only the page's own script knows, or ""
}

// shape is what a framework makes of an app: a server, or pages.
type shape struct {
	start   string            // command line of the server
	site    Site              // its Dir is "" where there is a server
	after   []string          // commands after the build
	env     map[string]string // of the build
	runs    map[string]string // environment of the server
	cache   string            // directory that speeds up the next build, "" for none
	warning string
}

const spa = "index.html"

// frameworks are by the package that tells them. One that is built upon another comes first.
var frameworks = []struct {
	name  string
	shape func(project) shape
}{
	{"next", next},
	{"nuxt", nuxt},
	{"@nestjs/core", nest},
	{"@remix-run/serve", remix},
	{"@remix-run/dev", remixSite},
	{"@react-router/dev", reactRouter},
	{"@sveltejs/kit", svelteKit},
	{"@solidjs/start", nitro},
	{"@tanstack/react-start", nitro},
	{"vinxi", nitro},
	{"astro", astro},
	{"gatsby", pages("public", "")},
	{"@docusaurus/core", pages("build", "")},
	{"vitepress", vitepress},
	{"@11ty/eleventy", pages("_site", "")},
	{"hexo", pages("public", "")},
	{"@angular/core", angular},
	{"react-scripts", pages("build", spa)},
	{"@vue/cli-service", pages("dist", spa)},
	{"parcel", pages("dist", "")},
	{"vite", vite},
	{"webpack", webpack},
}

// project is a package and where it lies.
type project struct {
	src *source.Tree
	dir string
	pkg manifest
}

// config is the text of the first of a framework's configuration files: name and any of JavaScript's suffixes. It
// is a program, of which only what is written out is understood.
func (p project) config(name string) string {
	for _, suffix := range []string{".js", ".mjs", ".ts", ".cjs", ".mts", ".cts"} {
		if text, err := p.src.Head(path.Join(p.dir, name+suffix), maxManifest); err == nil {
			return string(text)
		}
	}
	return ""
}

// shape is what the member's framework makes of it. Without a build script nothing is made.
func (m member) shape(src *source.Tree) shape {
	for _, f := range frameworks {
		if m.pkg.uses(f.name) {
			s := f.shape(project{src, m.dir, m.pkg})
			if s.site.Dir != "" {
				s.site.Dir = path.Join(m.dir, s.site.Dir)
			}
			if m.pkg.buildScript() == "" {
				return shape{cache: s.cache}
			}
			return s
		}
	}
	return shape{}
}

func pages(dir, fallback string) func(project) shape {
	return func(project) shape { return shape{site: Site{dir, fallback}} }
}

var nextOutput = regexp.MustCompile(`\boutput\s*:\s*["'](export|standalone)["']`)

// next starts its own server. The standalone one is a copy of what it needs, but for what browsers load.
func next(p project) shape {
	s := shape{start: "next start", cache: ".next/cache", env: map[string]string{"NEXT_TELEMETRY_DISABLED": "1"}}
	output := nextOutput.FindStringSubmatch(p.config("next.config"))
	switch {
	case output == nil:
	case output[1] == "export":
		return shape{site: Site{Dir: "out"}, cache: s.cache, env: s.env}
	case p.dir == ".":
		s.start = "HOSTNAME=0.0.0.0 node .next/standalone/server.js"
		s.after = []string{"cp -r .next/static .next/standalone/.next/", "if [ -d public ]; then cp -r public .next/standalone/; fi"}
	}
	return s
}

func nuxt(p project) shape {
	if strings.Contains(p.pkg.script("generate"), "nuxt") && p.pkg.buildScript() == "" || strings.Contains(p.pkg.script("build"), "nuxt generate") {
		return shape{site: Site{Dir: ".output/public"}}
	}
	return shape{start: "node .output/server/index.mjs"}
}

func nitro(project) shape { return shape{start: "node .output/server/index.mjs"} }

func nest(p project) shape {
	if prod := p.pkg.script("start:prod"); prod != "" {
		return shape{start: prod}
	}
	return shape{start: "node dist/main.js"}
}

func remix(project) shape { return shape{start: "remix-serve ./build/server/index.js"} }

var noServer = regexp.MustCompile(`\bssr\s*:\s*false`)

func remixSite(p project) shape {
	if noServer.MatchString(p.config("vite.config")) {
		return shape{site: Site{"build/client", spa}}
	}
	return shape{}
}

func reactRouter(p project) shape {
	if noServer.MatchString(p.config("react-router.config")) {
		return shape{site: Site{"build/client", spa}}
	}
	return shape{start: "react-router-serve ./build/server/index.js"}
}

var staticFallback = regexp.MustCompile(`\bfallback\s*:\s*["']([\w./-]+)["']`)

func svelteKit(p project) shape {
	server := shape{start: "node build", runs: map[string]string{"PROTOCOL_HEADER": "x-forwarded-proto"}} // else it takes every page for one of https
	switch {
	case p.pkg.uses("@sveltejs/adapter-node"):
		return server
	case p.pkg.uses("@sveltejs/adapter-static"):
		site := Site{Dir: "build"}
		if m := staticFallback.FindStringSubmatch(p.config("svelte.config")); m != nil {
			site.Fallback = m[1]
		}
		return shape{site: site}
	}
	if p.pkg.uses("@sveltejs/adapter-auto") {
		server.env = map[string]string{"GCP_BUILDPACKS": "true"} // the one surrounding for which it takes adapter-node
		server.warning = "This SvelteKit app has no adapter of its own; @sveltejs/adapter-node is fetched by every build. Run: npm install -D @sveltejs/adapter-node, and name it in svelte.config.js."
		return server
	}
	return shape{warning: "This SvelteKit app has no adapter that makes a server. Run: npm install -D @sveltejs/adapter-node, and name it in svelte.config.js."}
}

var astroServer = regexp.MustCompile(`\boutput\s*:\s*["'](server|hybrid)["']`)

// astro has pages, unless an adapter makes a server. One in middleware mode is for a server of the app's own.
func astro(p project) shape {
	config := p.config("astro.config")
	if p.pkg.uses("@astrojs/node") && (strings.Contains(config, "@astrojs/node") || config == "") {
		return shape{start: "HOST=0.0.0.0 node ./dist/server/entry.mjs"}
	}
	s := shape{site: Site{Dir: outDir(config, "dist")}}
	if astroServer.MatchString(config) {
		s.warning = "This Astro app asks for a server, and has no adapter for Node.js. Run: npx astro add node."
	}
	return s
}

func vitepress(p project) shape {
	for _, dir := range []string{"docs", "."} {
		if p.src.HasDir(path.Join(p.dir, dir, ".vitepress")) || strings.Contains(p.pkg.script("build"), "vitepress build "+dir) {
			return shape{site: Site{Dir: path.Join(dir, ".vitepress/dist")}}
		}
	}
	return shape{site: Site{Dir: ".vitepress/dist"}}
}

// angularWorkspace is what matters of an angular.json (its schema in @angular/cli).
type angularWorkspace struct {
	DefaultProject string `json:"defaultProject"`
	Projects       map[string]struct {
		Architect struct {
			Build struct {
				Builder string `json:"builder"`
				Options struct {
					OutputPath json.RawMessage `json:"outputPath"`
					SSR        json.RawMessage `json:"ssr"`
				} `json:"options"`
			} `json:"build"`
		} `json:"architect"`
	} `json:"projects"`
}

// angular says in angular.json what it builds and to where; since version 17 what browsers load is in a folder of
// its own.
func angular(p project) shape {
	text, err := p.src.Head(path.Join(p.dir, "angular.json"), maxManifest)
	var w angularWorkspace
	if err != nil || json.Unmarshal(text, &w) != nil {
		return shape{site: Site{"dist", spa}, cache: ".angular/cache"}
	}
	name := w.DefaultProject
	if _, ok := w.Projects[p.pkg.Name.value]; ok && name == "" {
		name = p.pkg.Name.value
	}
	if names := slices.Sorted(maps.Keys(w.Projects)); name == "" && len(names) > 0 {
		name = names[0]
	}
	build := w.Projects[name].Architect.Build
	base, browser := angularOutput(build.Options.OutputPath, name)
	if ssr := string(build.Options.SSR); ssr != "" && ssr != "false" && ssr != "null" {
		return shape{start: "node " + quote(path.Join(base, "server/server.mjs")), cache: ".angular/cache"}
	}
	if strings.HasSuffix(build.Builder, ":application") {
		base = path.Join(base, browser)
	}
	return shape{site: Site{base, spa}, cache: ".angular/cache"}
}

func angularOutput(setting json.RawMessage, name string) (base, browser string) {
	base, browser = path.Join("dist", name), "browser"
	if json.Unmarshal(setting, &base) == nil {
		return path.Clean(base), browser
	}
	var object struct {
		Base    string  `json:"base"`
		Browser *string `json:"browser"`
	}
	if json.Unmarshal(setting, &object) == nil && object.Base != "" {
		base = path.Clean(object.Base)
	}
	if object.Browser != nil {
		browser = *object.Browser
	}
	return base, browser
}

// devServer knows start scripts that watch the source, or that preview what was built: the build itself is to be
// served instead.
var devServer = regexp.MustCompile(`^(?:npx )?(vite( dev| serve)?|react-scripts start|vue-cli-service serve|parcel( serve)?( [\w./*-]+)?|gatsby develop|` +
	`astro dev|next dev|nuxt dev|nuxi dev|nest start|ng serve|ng start|docusaurus start|eleventy --serve|vitepress dev|react-router dev|` +
	`remix vite:dev|svelte-kit dev|hexo server|vinxi dev|webpack serve|webpack-dev-server|webpack --watch)( [\w./-]+)?( --?.*)?$|^(?:next|nuxt)( --?.*)?$`)

// preview are programs that show pages which were built.
var preview = regexp.MustCompile(`^(npx )?(vite preview|astro preview|serve|http-server|gatsby serve|docusaurus serve|vitepress preview)( .*)?$`)

// fixedPort is an option that makes a preview listen elsewhere than on PORT.
var fixedPort = regexp.MustCompile(`\s(-p|-l|--port|--listen)[ =]\S*\d+(\s|$)`)

var nextStart = regexp.MustCompile(`^next start( .*)?$`)

// watches tells whether the start script is not what starts the built app.
func (m member) watches(src *source.Tree) bool {
	s, script := m.shape(src), m.pkg.script("start")
	if s.start == "" && s.site.Dir == "" {
		return false
	}
	if program := strings.Fields(s.start); nextStart.MatchString(script) && !slices.Contains(program, "next") {
		return true // what was built is pages, or a server of its own
	}
	if shown := preview.FindStringSubmatch(script); shown != nil {
		return m.onlyShows(s, shown)
	}
	return devServer.MatchString(script)
}

// onlyShows tells whether a preview is to give way to what it would show: where a framework makes a server, where the
// preview would listen elsewhere than on PORT, and where it would not be in the image.
func (m member) onlyShows(s shape, shown []string) bool {
	program, ofBundler, _ := strings.Cut(shown[2], " ")
	if s.start != "" {
		return ofBundler != ""
	}
	if fixedPort.MatchString(shown[3]) || ofBundler != "" && !strings.Contains(shown[3], "PORT") {
		return true
	}
	_, stays := m.pkg.Prod.value[program]
	return !stays || shown[1] != ""
}

// caches are the directories that bundlers find their earlier work in. They are mounted over what is in the layers.
func (m member) caches(s shape) (list []plan.Cache) {
	if s.cache != "" {
		list = append(list, plan.Cache{ID: strings.ReplaceAll(path.Join(m.dir, s.cache), "/", "-"), Dir: path.Join("/app", m.dir, s.cache)})
	}
	return list
}
