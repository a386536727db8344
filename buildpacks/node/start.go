package node

import (
	"path"
	"regexp"
	"strings"
)

// servers are the files that are started when package.json names none.
var servers = [...]string{"server.js", "index.js", "app.js", "main.js", "server.mjs", "index.mjs"}

// bunServers are those of Bun, which runs TypeScript.
var bunServers = [...]string{"index.ts", "server.ts", "app.ts", "main.ts", "src/index.ts", "src/server.ts", "index.tsx", "src/index.tsx"}

// start is the command line of the web process at the root, or "".
func (a app) start() string {
	command := a.command()
	if command == "" || a.dir == "." {
		return command
	}
	return "cd " + quote(argument(a.dir)) + " && " + command
}

// command is the same in the directory of the app's own package.
func (a app) command() string {
	own := a.member()
	command := own.pkg.script("start")
	switch {
	case command != "" && !own.watches(a.src):
		command = a.startScript(own.pkg)
	case command != "" || a.madeByBuild():
		command = a.frameworkStart()
	default:
		command = a.startFile()
	}
	return command
}

// madeByBuild tells whether a framework makes the server, whatever else lies there.
func (a app) madeByBuild() bool { return a.member().shape(a.src).start != "" && a.own.Main.value == "" }

// frameworkStart is run by Yarn where programs of packages are not in a directory.
func (a app) frameworkStart() string {
	command := a.member().shape(a.src).start
	if a.in.pnp && command != "" && !strings.Contains(command, "node ") {
		return "yarn run " + command
	}
	return command
}

// startScript is what npm start would run. It is run without npm where that makes no difference, because
// a signal to the process group reaches the app once then, and not a second time from npm; and because npm
// takes time to start and memory as long as the app runs.
func (a app) startScript(pkg manifest) string {
	script := pkg.script("start")
	plain := !pkg.hasScript("prestart", "poststart") && !strings.Contains(script, "npm_") && !strings.Contains(script, "\n")
	switch {
	case a.in.Name == bun && (!plain || !strings.HasPrefix(script, "bun ")):
		return "bun run start"
	case a.in.pnp && (!plain || !strings.HasPrefix(script, "node ")):
		return "yarn run start"
	case !plain:
		return map[string]string{npm: "npm start", yarn: "yarn start", berry: "yarn start", pnpm: "pnpm start"}[a.in.Name]
	}
	return script
}

// startFile starts what package.json calls main, or a file with a name that servers have.
func (a app) startFile() string {
	program := "node "
	names := servers[:]
	if a.in.Name == bun {
		program, names = "bun ", append(bunServers[:], names...)
	}
	if main := a.mainFile(); main != "" {
		return program + quote(argument(main))
	}
	for _, name := range names {
		if a.src.Has(path.Join(a.dir, name)) {
			return program + name
		}
	}
	return ""
}

// mainFile is the module that package.json calls main, found as require() finds it. A build script may
// still have to make it.
func (a app) mainFile() string {
	main := path.Clean("/" + a.own.Main.value)[1:]
	if main == "" && a.in.Name == bun {
		main = path.Clean("/" + a.own.Module.value)[1:]
	}
	if main == "" {
		return ""
	}
	for _, file := range []string{main, main + ".js", main + "/index.js"} {
		if a.src.Has(path.Join(a.dir, file)) {
			return file
		}
	}
	if a.own.buildScript() == "" || a.member().shape(a.src).site.Dir != "" { // npm init writes a main for pages, too
		return ""
	}
	return main
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
