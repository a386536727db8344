package node

import (
	"path"
	"regexp"
	"strings"

	"paas/buildpacks/source"
)

// servers are the files that are started when package.json names none.
var servers = [...]string{"server.js", "index.js", "app.js", "main.js", "server.mjs", "index.mjs"}

// start is the command line of the web process, or "".
func start(src *source.Tree, pkg manifest) string {
	if _, isSite := pkg.site(); isSite && devServer.MatchString(pkg.script("start")) {
		return ""
	}
	if pkg.script("start") != "" {
		return startScript(pkg)
	}
	if main := mainFile(src, pkg); main != "" {
		return "node " + quote(argument(main))
	}
	if file, ok := src.First(servers[:]...); ok {
		return "node " + file
	}
	return ""
}

// devServer knows start scripts that watch the source of a site whose build is to be served instead.
var devServer = regexp.MustCompile(`^(vite( dev| serve)?|react-scripts start|vue-cli-service serve|parcel( serve)?( [\w./*-]+)?|gatsby develop|astro dev)( --.*)?$`)

// startScript is what npm start would run. It is run without npm where that makes no difference, because
// a signal to the process group reaches the app once then, and not a second time from npm; and because npm
// takes time to start and memory as long as the app runs.
func startScript(pkg manifest) string {
	script := pkg.script("start")
	if pkg.hasScript("prestart", "poststart") || strings.Contains(script, "npm_") || strings.Contains(script, "\n") {
		return "npm start"
	}
	return script
}

// mainFile is the module that package.json calls main, found as require() finds it. A build script may
// still have to make it.
func mainFile(src *source.Tree, pkg manifest) string {
	main := path.Clean("/" + pkg.Main.value)[1:]
	if main == "" {
		return ""
	}
	if file, ok := src.First(main, main+".js", main+"/index.js"); ok {
		return file
	}
	if pkg.buildScript() != "" {
		return main
	}
	return ""
}

// argument keeps a path from being taken for an option.
func argument(path string) string {
	if strings.HasPrefix(path, "-") {
		return "./" + path
	}
	return path
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./@%+:,][A-Za-z0-9_./@%+:,-]*$`)

// quote makes one word of s for a shell.
func quote(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// buildScript is the name of the script that builds the app, or "".
func (m manifest) buildScript() string {
	for _, name := range []string{"heroku-postbuild", "build"} {
		if m.hasScript(name) {
			return name
		}
	}
	return ""
}

// Site is what a build script leaves for a file server.
type Site struct {
	Dir      string
	Fallback string // the file for paths that only the page's own script knows, or ""
}

// site tells where the app's framework puts the pages it builds.
func (m manifest) site() (Site, bool) {
	if m.buildScript() == "" {
		return Site{}, false
	}
	for _, f := range []struct {
		name string
		site Site
	}{
		{"astro", Site{Dir: "dist"}},
		{"gatsby", Site{Dir: "public"}},
		{"@11ty/eleventy", Site{Dir: "_site"}},
		{"react-scripts", Site{"build", "index.html"}},
		{"@vue/cli-service", Site{"dist", "index.html"}},
		{"parcel", Site{Dir: "dist"}},
		{"vite", Site{"dist", "index.html"}},
	} {
		if m.uses(f.name) {
			return f.site, true
		}
	}
	return Site{}, false
}
